"""Preparing: tag → digest, then the release is written; what would change nothing is skipped."""

from __future__ import annotations

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
from kovra.features.deployments.compose import instances_of
from kovra.features.deployments.handlers.steps import StepFailed
from kovra.features.deployments.rules.reasons import asked_with, reason
from kovra.features.deployments.service import progress
from kovra.features.deployments.service.progress import Step
from kovra.features.deployments.states import Phase, Source
from kovra.features.projects import queries as project_queries
from kovra.features.projects.queries import AppEnvironmentRow, AppRow
from kovra.features.registries.service import OpenedCredential, opened_for
from kovra.features.secrets import queries as secret_queries
from kovra.features.secrets.queries import RevisionRow
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import KovraError, Unavailable
from kovra.foundation.jobs.handling import JobContext

_RUNS_COMMAND = (Source.image, Source.release, Source.rollback)


async def prepare(context: JobContext, step: Step) -> None:
    """Write the release, unless it is there already."""
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
        runs_command = release.release_command and d.source["kind"] in _RUNS_COMMAND
        await progress.move(session, step, Phase.releasing if runs_command else Phase.rolling_out)


async def _write_release(
    context: JobContext, step: Step, row: AppEnvironmentRow, app: AppRow, revision: RevisionRow
) -> None:
    d = step.deployment
    text = str(d.source["image"])
    image = await _resolved(context, step, text)
    _refuse_root(step, app, image)
    async with context.session() as session:
        if await _changes_nothing(session, row, app, revision, image):
            await progress.skip(session, step, row)
            return
        release_id = await progress.write_release(
            session,
            step,
            row,
            app,
            revision,
            image=text,
            pinned=parse(text).pinned(image.digest),
            digest=image.digest,
            warnings=[image.warning] if image.warning else [],
        )
        phase = Phase.releasing if app.release_command else Phase.rolling_out
        await progress.move(session, step, phase, release_id=release_id)


def _refuse_root(step: Step, app: AppRow, image: ResolvedImage) -> None:
    unnamed = sorted(n for n, p in app.processes.items() if not p.get("run_as_user"))
    if unnamed and not runs_as_number(image.user):
        shown = image.user or "root"
        evidence = [f"The image's user is {shown!r}.", *unnamed]
        raise StepFailed(reason("image_user_not_allowed", step.deployment.phase, evidence))


async def _changes_nothing(
    session: TenantSession, row: AppEnvironmentRow, app: AppRow, revision: RevisionRow, image: ResolvedImage
) -> bool:
    """Whether what serves is this very release, and serves well."""
    if row.current_release_id is None or row.suspended or row.health == "degraded" or progress.is_unsettled(row):
        return False
    if progress.is_reach_behind(row):
        return False
    current = await session.one(queries.RELEASE, org_id=session.org_id, release_id=row.current_release_id)
    if row.seen.get("instances") != instances_of(row, app.processes):
        return False
    return (current.digest, current.config_revision_id, current.processes, current.release_command, current.drain_s) == (
        image.digest, revision.id, app.processes, app.release_command, app.drain_s,
    )  # fmt: skip


async def _resolved(context: JobContext, step: Step, text: str) -> ResolvedImage:
    reference, phase = parse(text), step.deployment.phase
    stored = await _credential(context, step, reference.registry)
    asked_as = Credential(username=stored.username, password=stored.password) if stored else None
    try:
        return await context.registry.get(Registries).resolve(reference, asked_as)
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
        return await opened_for(session, store, registry, for_deployment=step.deployment.id)
