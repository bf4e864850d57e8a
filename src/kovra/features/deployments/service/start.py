"""Accepting a deployment: one lock, one row, one event, one job, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from kovra.features.deployments import queries
from kovra.features.deployments.messages import (
    AdvanceDeployment,
    CancelDeployment,
    DeploymentCancelRequested,
    DeploymentFinished,
    DeploymentRequested,
)
from kovra.features.deployments.queries import DeploymentRow, Open
from kovra.features.deployments.rules.reasons import reason
from kovra.features.deployments.states import Phase, Policy, Source
from kovra.features.projects import queries as project_queries
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


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployOptions:
    """How long a deployment may take, and which images; from settings."""

    deadline_s: float = 900.0
    images: ImageRules = ImageRules()  # noqa: RUF009  # frozen


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
    session: TenantSession, store: HolderKeyStore, row: AppEnvironmentRow, wish: Wish, options: DeployOptions
) -> DeploymentRow:
    """Accept a deployment of a locked app environment; the overlap policy decides what becomes of others."""
    await _meet_others(session, row)
    if not row.last_config_number:
        await revisions.begin(session, store, row)
    deployment_id, now = new_id(), clock.now()
    source = {"kind": wish.source.value, **wish.facts}
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
        overlap_policy=row.overlap_policy or row.environment_overlap_policy,
        release_id=wish.release_id,
        previous_release_id=row.current_release_id,
        deadline_at=now + timedelta(seconds=options.deadline_s),
        phases=[{"name": Phase.queued.value, "started_at": clock.rfc3339(now), "ended_at": None}],
    )
    enqueue(session, AdvanceDeployment(id=deployment_id, app_environment_id=row.id))
    requested = DeploymentRequested(
        subject_id=deployment_id, app_environment_id=encode("aev", row.id), source=source, trigger=wish.trigger
    )
    record(session, requested, scope=row.scope)
    return made


async def _meet_others(session: TenantSession, row: AppEnvironmentRow) -> None:
    """What the overlap policy says of those before; one statement for each policy."""
    match Policy(row.overlap_policy or row.environment_overlap_policy):
        case Policy.queue_all:
            return
        case Policy.queue_latest:
            await _supersede_queued(session, row)
        case Policy.override:
            await _supersede_queued(session, row)
            for other in await _open(session, row):
                await request_cancel(session, row, other.id, by="superseded")
        case Policy.reject:
            others = await _open(session, row)
            if others:
                raise Conflict(
                    "Another deployment is under way.",
                    code="deployment_in_progress",
                    facts={"deployment_id": encode("dep", others[0].id)},
                )


async def _open(session: TenantSession, row: AppEnvironmentRow) -> list[Open]:
    return await session.all(queries.OPEN_DEPLOYMENTS, org_id=session.org_id, app_environment_id=row.id)


async def _supersede_queued(session: TenantSession, row: AppEnvironmentRow) -> None:
    why = reason("superseded_by", Phase.queued).document()
    for other in await session.all(queries.SUPERSEDE, org=session.org_id, aev=row.id, reason=why):
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
    return await start(session, store, row, wish, options)


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
    if source in (Source.suspend, Source.resume):
        await session.execute(
            queries.SET_SUSPENDED, org=session.org_id, app_environment_id=row.id, suspended=source is Source.suspend
        )
    if scale is not None:
        app = await session.one(project_queries.APP, org_id=session.org_id, app_id=row.app_id)
        check_scale(scale, app.processes)
        await session.execute(
            queries.SET_SCALE, org=session.org_id, app_environment_id=row.id, scale={**row.scale, **scale}
        )
    facts: dict[str, Any] = {"release": row.current_release_number}
    if scale is not None:
        facts["scale"] = scale
    wish = Wish(source=source, facts=facts, release_id=row.current_release_id)
    return await start(session, store, row, wish, options)
