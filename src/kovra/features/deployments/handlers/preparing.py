"""Preparing: tag → digest, then the release is written; what would change nothing is skipped."""

from __future__ import annotations

from uuid import UUID

from kovra.adapters.oci.client import (
    Credential,
    ImageNotFound,
    ImagePullDenied,
    Registries,
    ResolvedImage,
    runs_as_number,
)
from kovra.adapters.oci.reference import parse
from kovra.features.deployments import queries
from kovra.features.deployments.compose import Placing, instances_of
from kovra.features.deployments.handlers.mirroring import copied, kept_at
from kovra.features.deployments.handlers.steps import StepFailed
from kovra.features.deployments.queries import ReleaseRow
from kovra.features.deployments.rules.reasons import asked_with, reason
from kovra.features.deployments.service import progress
from kovra.features.deployments.service.mirroring import Images, is_mirrored
from kovra.features.deployments.service.progress import Step
from kovra.features.deployments.service.rollback import copy_release
from kovra.features.deployments.service.room import require_for_rollout
from kovra.features.deployments.states import Phase, Source
from kovra.features.projects import queries as project_queries
from kovra.features.projects.queries import AppEnvironmentRow, AppRow
from kovra.features.registries.service import OpenedCredential, Roles, opened_for, usable
from kovra.features.secrets import queries as secret_queries
from kovra.features.secrets.queries import RevisionRow
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import KovraError, Unavailable
from kovra.foundation.jobs.handling import JobContext

_RUNS_COMMAND = (Source.image, Source.release, Source.rollback)
_AS_IT_IS = (Source.restart, Source.scale, Source.suspend, Source.resume)


async def prepare(context: JobContext, step: Step) -> None:
    """Write the release, unless it is there already; where there is a mirror, its image is copied there before."""
    d = step.deployment
    if d.release_id is None:
        async with context.session() as session:
            row = await session.one(
                project_queries.ANY_APP_ENVIRONMENT, org_id=context.org_id, app_environment_id=d.app_environment_id
            )
            app = await session.find(project_queries.APP, org_id=context.org_id, app_id=d.app_id)
            revision = await session.one(
                secret_queries.REVISION, org_id=context.org_id, revision_id=d.config_revision_id
            )
        if app is None:
            raise StepFailed(reason("gone", d.phase))
        await _write_release(context, step, row, app, revision)
        return
    async with context.session() as session:
        release = await session.one(queries.RELEASE, org_id=context.org_id, release_id=d.release_id)
    copied_at = await _copied_later(context, step, release)
    if copied_at is None:
        return
    async with context.session() as session:
        release_id = release.id
        row = await session.one(
            project_queries.ANY_APP_ENVIRONMENT, org_id=context.org_id, app_environment_id=d.app_environment_id
        )
        if copied_at != release.pinned:
            release_id = await copy_release(
                session, row, release, config_revision_id=release.config_revision_id, pinned=copied_at, actor=d.actor
            )
        await _require_room(context, session, step, row, release_id)
        runs_command = release.release_command and d.source["kind"] in _RUNS_COMMAND
        phase = Phase.releasing if runs_command else Phase.rolling_out
        await progress.move(session, step, phase, release_id=release_id)


async def _copied_later(context: JobContext, step: Step, release: ReleaseRow) -> str | None:
    """From where a release that is written already runs; None: its image is being copied.

    One from before the mirror was on is copied when it is deployed again. A restart, or other numbers of instances, leave
    what serves where it is.
    """
    mirror = context.registry.get(Images).mirror
    if mirror is None or is_mirrored(release) or step.deployment.source["kind"] in _AS_IT_IS:
        return release.pinned
    source = parse(release.pinned)
    image, credential = await _resolved(context, step, source.canonical())
    if not await copied(context, step, mirror, source, image.variant, credential):
        return None
    return kept_at(context, mirror, step.deployment.app_id, image.variant)


async def _write_release(
    context: JobContext, step: Step, row: AppEnvironmentRow, app: AppRow, revision: RevisionRow
) -> None:
    d = step.deployment
    text, mirror = str(d.source["image"]), context.registry.get(Images).mirror
    # A tag may move while its image is copied: what it named first counts.
    named = parse(text).pinned(d.progress["named"]) if d.progress.get("named") else text
    image, credential = await _resolved(context, step, named)
    d.progress["named"] = image.digest
    _refuse_root(step, app, image)
    pinned = parse(text).pinned(image.digest)
    if mirror is not None:
        pinned = kept_at(context, mirror, row.app_id, image.variant)
    async with context.session() as session:
        if await _changes_nothing(session, row, app, revision, image, pinned if mirror else None):
            await progress.skip(session, step, row)
            return
    if mirror is not None and not await copied(context, step, mirror, parse(text), image.variant, credential):
        return
    async with context.session() as session:
        release_id = await progress.write_release(
            session,
            step,
            row,
            app,
            revision,
            image=text,
            pinned=pinned,
            digest=image.digest,
            warnings=[image.warning] if image.warning else [],
        )
        await _require_room(context, session, step, row, release_id)
        phase = Phase.releasing if app.release_command else Phase.rolling_out
        await progress.move(session, step, phase, release_id=release_id)


async def _require_room(
    context: JobContext, session: TenantSession, step: Step, row: AppEnvironmentRow, release_id: UUID
) -> None:
    """Say what the cluster's quota would refuse, before anything is applied; what was written goes with it."""
    plans, source = context.registry.get(Placing).plans, Source(step.deployment.source["kind"])
    found = await require_for_rollout(session, plans, row, source, release_id)
    if found:
        raise StepFailed(reason("quota_exceeded", step.deployment.phase, [over.sentence() for over in found]))


def _refuse_root(step: Step, app: AppRow, image: ResolvedImage) -> None:
    unnamed = sorted(n for n, p in app.processes.items() if not p.get("run_as_user"))
    if unnamed and not runs_as_number(image.user):
        shown = image.user or "root"
        evidence = [f"The image's user is {shown!r}.", *unnamed]
        raise StepFailed(reason("image_user_not_allowed", step.deployment.phase, evidence))


async def _changes_nothing(
    session: TenantSession,
    row: AppEnvironmentRow,
    app: AppRow,
    revision: RevisionRow,
    image: ResolvedImage,
    copied_at: str | None,
) -> bool:
    """Whether what serves is this very release, and serves well; from the mirror, where there is one."""
    if row.current_release_id is None or row.suspended or row.health == "degraded" or progress.is_unsettled(row):
        return False
    if progress.is_reach_behind(row):
        return False
    current = await session.one(queries.RELEASE, org_id=session.org_id, release_id=row.current_release_id)
    if row.seen.get("instances") != instances_of(row, app.processes):
        return False
    if copied_at is not None and current.pinned != copied_at:
        return False
    return (current.digest, current.config_revision_id, current.processes, current.release_command, current.drain_s) == (
        image.digest, revision.id, app.processes, app.release_command, app.drain_s,
    )  # fmt: skip


async def _resolved(context: JobContext, step: Step, text: str) -> tuple[ResolvedImage, Credential | None]:
    """The image, and as whom its registry was asked."""
    reference, phase = parse(text), step.deployment.phase
    mirror = context.registry.get(Images).mirror
    if mirror is not None and mirror.place.is_reserved(reference):
        # It was accepted before there was a mirror.
        raise StepFailed(reason("image_invalid", phase, [f"{text}: This registry is the platform's own."]))
    stored = await _credential(context, step, reference.registry)
    asked_as = Credential(username=stored.username, password=stored.password) if stored else None
    try:
        return await context.registry.get(Registries).resolve(reference, asked_as), asked_as
    except ImageNotFound as missing:
        raise StepFailed(reason("image_not_found", phase, [f"{text}: {missing.message}"])) from None
    except ImagePullDenied as denied:
        evidence = [f"{text}: {denied.message}", asked_with(reference.registry, stored.wire_id if stored else None)]
        raise StepFailed(reason("image_pull_denied", phase, evidence)) from None
    except Unavailable:
        raise
    except KovraError as refused:
        raise StepFailed(reason("image_invalid", phase, [f"{text}: {refused.message}"])) from None


async def _credential(context: JobContext, step: Step, registry: str) -> OpenedCredential | None:
    store = context.registry.get(HolderKeyStore)
    async with context.session() as session:
        stored = await opened_for(session, store, registry, for_deployment=step.deployment.id)
    return await usable(stored, context.registry.get(Roles).passwords)
