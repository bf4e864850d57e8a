"""Accepting a deployment: one lock, one row, one event, one job, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from kovra.features.deployments import queries
from kovra.features.deployments.messages import (
    AdvanceDeployment,
    CancelDeployment,
    DeploymentCancelRequested,
    DeploymentFinished,
    DeploymentPromoteRequested,
    DeploymentRequested,
)
from kovra.features.deployments.queries import DeploymentRow, Open, promoting
from kovra.features.deployments.rules.reasons import reason
from kovra.features.deployments.service.room import foresee
from kovra.features.deployments.states import RANK, Phase, Policy, Source
from kovra.features.projects import queries as project_queries
from kovra.features.projects.plans import Plans
from kovra.features.projects.queries import AppEnvironmentRow
from kovra.features.projects.rules import ImageRules, check_scale
from kovra.features.projects.service import environment_named, require_use
from kovra.features.secrets.service import revisions
from kovra.foundation import clock
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Conflict, Invalid, NotFound
from kovra.foundation.events import record
from kovra.foundation.ids import NIL, decode, encode, new_id
from kovra.foundation.jobs.messages import enqueue
from kovra.foundation.observability import DEPLOYMENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployOptions:
    """Which images may be deployed, and how much of them; from settings."""

    images: ImageRules = ImageRules()  # noqa: RUF009  # frozen
    plans: Plans = field(default_factory=Plans)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants to make live."""

    source: Source
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Public facts of the source: image, release number, scale."""
    release_id: UUID | None = None
    """Known already, unless the source is an image."""
    trigger: str = "api"
    message: str = ""
    was: Mapping[str, Any] = field(default_factory=dict)
    """What the app environment wanted before, for when the deployment does not succeed."""
    override: bool = False
    """Whether what is under way is called off, whatever the overlap policy says."""


async def lock(session: TenantSession, app_environment_id: UUID) -> AppEnvironmentRow:
    """The app environment's row, locked and not deleted; also proves that the caller may change what a protected one runs.

    Rows are locked from the top down everywhere: project, app or environment, app environment, deployment, and the
    ledger's head last. ``FOR NO KEY UPDATE``, or a child's foreign key check would wait for whoever holds its parent.
    """
    row = await session.one(
        project_queries.ALIVE_APP_ENVIRONMENT_FOR_UPDATE, org_id=session.org_id, app_environment_id=app_environment_id
    )
    await require_use(session, row)
    return row


async def lock_pair(session: TenantSession, app_id: UUID, environment: str) -> AppEnvironmentRow:
    """The same by app and by id or slug of an environment; raises NotFound (the app) or Invalid (the environment)."""
    row = await session.find(
        project_queries.PAIR_FOR_UPDATE,
        org_id=session.org_id,
        app_id=app_id,
        id=decode("env", environment) or NIL,
        slug=environment,
    )
    if row is None:
        app = await session.one(project_queries.APP, org_id=session.org_id, app_id=app_id)
        await environment_named(session, app.project_id, environment)
        raise NotFound("Not found.")
    await require_use(session, row)
    return row


async def start(
    session: TenantSession, store: HolderKeyStore, row: AppEnvironmentRow, wish: Wish, plans: Plans | None = None
) -> DeploymentRow:
    """Accept a deployment of a locked app environment; the overlap policy decides what becomes of others.

    Asked for again while it still waits to begin, it is the same deployment: nobody rolls out twice by asking twice.
    ``plans``: refuse at once what would not fit; None: that shows when it is prepared.
    """
    if plans is not None:
        await foresee(session, plans, row, wish.source, wish.release_id)
    policy = Policy.override if wish.override else Policy(row.overlap_policy or row.environment_overlap_policy)
    source = {"kind": wish.source.value, **wish.facts}
    others = await session.all(
        queries.QUEUE,
        org_id=session.org_id,
        app_environment_id=row.id,
        source=source,
        trigger=wish.trigger,
        message=wish.message,
    )
    if others:
        makes_way = policy in (Policy.queue_latest, Policy.override)
        if makes_way and wish.source is Source.image and others[-1].same:
            return await session.one(queries.DEPLOYMENT, org_id=session.org_id, deployment_id=others[-1].id)
        await _meet_others(session, row, policy, others, wish.source)
    if not row.last_config_number:
        await revisions.begin(session, store, row)
    deployment_id, now = new_id(), clock.now()
    made = await session.one(
        queries.ACCEPT,
        id=deployment_id,
        org_id=session.org_id,
        app_environment_id=row.id,
        app_id=row.app_id,
        environment_id=row.environment_id,
        source=source,
        trigger=wish.trigger,
        message=wish.message,
        overlap_policy=policy.value,
        release_id=wish.release_id,
        progress={"was": dict(wish.was)} if wish.was else {},
        phases=[{"name": Phase.queued.value, "started_at": clock.rfc3339(now), "ended_at": None}],
    )
    enqueue(session, AdvanceDeployment(id=deployment_id, app_environment_id=row.id))
    requested = DeploymentRequested(
        subject_id=deployment_id, app_environment_id=encode("aev", row.id), source=source, trigger=wish.trigger
    )
    record(session, requested, scope=row.scope)
    return made


async def _meet_others(
    session: TenantSession, row: AppEnvironmentRow, policy: Policy, others: Sequence[Open], source: Source
) -> None:
    if policy is Policy.reject:
        raise Conflict(
            "Another deployment is under way.",
            code="deployment_in_progress",
            facts={"deployment_id": encode("dep", others[0].id)},
        )
    if policy is Policy.queue_all:
        return
    making_way = [other for other in others if RANK[Source(other.source["kind"])] <= RANK[source]]
    await _supersede_queued(session, row, [other.id for other in making_way])
    for other in making_way:
        if policy is Policy.override and other.phase not in (Phase.queued, Phase.waiting):
            await request_cancel(session, row, other.id, by="superseded")


async def _supersede_queued(session: TenantSession, row: AppEnvironmentRow, ids: Sequence[UUID]) -> None:
    if not ids:
        return
    why, at = reason("superseded_by", Phase.queued).document(), clock.rfc3339(clock.now())
    for other in await session.all(queries.SUPERSEDE, org=session.org_id, ids=ids, reason=why, at=at):
        DEPLOYMENTS.labels("superseded", "superseded_by").inc()
        finished = DeploymentFinished(
            subject_id=other.id,
            app_environment_id=encode("aev", row.id),
            outcome="superseded",
            code="superseded_by",
            release_id=None,
            restored_release_id=None,
        )
        record(session, finished, scope=row.scope)


async def request_cancel(session: TenantSession, row: AppEnvironmentRow, deployment_id: UUID, *, by: str) -> bool:
    """Write the wish to cancel; the worker ends the deployment at its next step. False when it has ended already."""
    asked = await session.execute(queries.REQUEST_CANCEL, org=session.org_id, deployment_id=deployment_id, by=by)
    if asked:
        enqueue(session, CancelDeployment(id=deployment_id, app_environment_id=row.id))
        requested = DeploymentCancelRequested(subject_id=deployment_id, app_environment_id=encode("aev", row.id))
        record(session, requested, scope=row.scope)
    return bool(asked)


async def request_promote(session: TenantSession, row: AppEnvironmentRow, deployment: DeploymentRow) -> None:
    """Write the wish that a canary takes over now; raises Conflict where none is under way."""
    canary = deployment.progress.get("canary")
    if deployment.outcome is not None or not canary or canary["over"]:
        raise Conflict("No canary is under way in this deployment.", code="not_a_canary")
    await session.execute(promoting.REQUEST_PROMOTE, org=session.org_id, deployment_id=deployment.id)
    requested = DeploymentPromoteRequested(subject_id=deployment.id, app_environment_id=encode("aev", row.id))
    record(session, requested, scope=row.scope)
    enqueue(session, AdvanceDeployment(id=deployment.id, app_environment_id=row.id))


async def deploy_image(
    session: TenantSession,
    store: HolderKeyStore,
    row: AppEnvironmentRow,
    image: str | None,
    options: DeployOptions,
    *,
    trigger: str = "api",
    message: str = "",
) -> DeploymentRow:
    """Deploy an image; none given: the app's own."""
    image = image or row.app_image
    if image is None:
        raise Invalid.field("/image", "missing", "Name an image here, or give the app one.")
    options.images.check(image)
    wish = Wish(source=Source.image, facts={"image": image}, trigger=trigger, message=message)
    return await start(session, store, row, wish, options.plans)


async def act(
    session: TenantSession,
    store: HolderKeyStore,
    row: AppEnvironmentRow,
    source: Source,
    options: DeployOptions,
    *,
    scale: dict[str, int] | None = None,
) -> DeploymentRow:
    """Restart, scale, suspend or resume what serves: a deployment of the current release."""
    if row.current_release_id is None:
        raise Conflict("Nothing is live here yet.", code="nothing_live", hint="Deploy something first.")
    if source is Source.suspend and row.suspended:
        raise Conflict("It is suspended already.", code="already_suspended")
    if source is Source.resume and not row.suspended:
        raise Conflict("It is not suspended.", code="not_suspended")
    was: dict[str, Any] = {}
    if source is not Source.restart:
        was = await _want(session, row, source, scale)
    wish = Wish(source=source, facts={"scale": scale} if scale else {}, was=was)
    return await start(session, store, row, wish, options.plans)


async def _want(
    session: TenantSession, row: AppEnvironmentRow, source: Source, scale: dict[str, int] | None
) -> dict[str, Any]:
    """Write what is wanted from now on, whichever deployment brings it about; what was, to take it back."""
    if scale is not None:
        app = await session.one(project_queries.APP, org_id=session.org_id, app_id=row.app_id)
        check_scale(scale, app.processes)
    before = {"scale": row.scale, "suspended": row.suspended}
    suspended = row.suspended if source is Source.scale else source is Source.suspend
    after = {"scale": {**row.scale, **(scale or {})}, "suspended": suspended}
    await session.execute(queries.SET_WANTED, org=session.org_id, app_environment_id=row.id, **after)
    return {"before": before, "after": after}
