"""The steps of a deployment. Each reads a snapshot, closes it, acts outside, and writes what it saw under its fence."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.errors import ClusterDenied, ClusterRefused, ClusterUnreachable
from kovra.adapters.cluster.manifests import release_job, workload_manifests
from kovra.adapters.cluster.status import observe, observe_job
from kovra.adapters.cluster.workload import ObjectRef
from kovra.adapters.oci.client import (
    ImageNotFound,
    ImagePullDenied,
    Registries,
    ResolvedImage,
    runs_as_number,
)
from kovra.adapters.oci.reference import parse
from kovra.features.deployments import queries
from kovra.features.deployments.compose import instances_of, placement_of
from kovra.features.deployments.handlers.cluster import (
    apply_all,
    last_lines,
    put_back,
    refs_of,
    wall_in,
    workload_of,
)
from kovra.features.deployments.messages import AdvanceDeployment, CancelDeployment
from kovra.features.deployments.queries import DeploymentRow
from kovra.features.deployments.rules.reasons import Reason, reason
from kovra.features.deployments.service import progress
from kovra.features.deployments.service.opening import open_release
from kovra.features.deployments.service.progress import LeaseLost, Step
from kovra.features.deployments.states import Outcome, Phase, Source
from kovra.features.deployments.verdict import judge, judge_job
from kovra.features.projects import queries as project_queries
from kovra.features.projects.queries import AppEnvironmentRow, AppRow
from kovra.features.secrets import queries as secret_queries
from kovra.features.secrets.queries import RevisionRow
from kovra.foundation import clock
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.errors import KovraError, NotFound, Unavailable
from kovra.foundation.jobs.handling import JobContext
from kovra.foundation.keyring import KeyVersionMissing, SealBroken
from kovra.foundation.observability import logger

POLL_S = 2.0
"""How soon a waiting step looks again when no watcher wakes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """How long a rollout must stay good before it counts as live."""

    seconds: float = 10.0


class _Failed(Exception):  # carries a verdict, not a defect
    def __init__(self, why: Reason) -> None:
        super().__init__(why.code)
        self.why = why


async def advance(context: JobContext, job: AdvanceDeployment | CancelDeployment) -> None:
    """Do one step, if there is one to do."""
    async with context.session() as session:
        fence = await progress.take_lease(session, job.id, context.worker)
        if fence is None:
            return
        deployment = await session.one(queries.DEPLOYMENT, org_id=context.org_id, deployment_id=job.id)
        if deployment.ahead and deployment.cancel_requested_at is None:
            await progress.release_lease(session, job.id, fence)
            return
    step = Step(deployment=deployment, fence=fence)
    try:
        await _guarded_step(context, step)
    except LeaseLost:
        logger.info("step_taken_over", deployment=str(job.id))
    finally:
        async with context.session() as session:
            await progress.release_lease(session, job.id, fence)


async def _guarded_step(context: JobContext, step: Step) -> None:
    """Foreign failures become reasons; what may pass by itself is tried again until the deadline."""
    try:
        await _step(context, step)
    except _Failed as failed:
        await _end(context, step, Outcome.failed, failed.why)
    except ClusterRefused as refused:
        await _end(context, step, Outcome.failed, reason(refused.kind, step.deployment.phase, [refused.message]))
    except ClusterDenied as denied:
        await _end(context, step, Outcome.failed, reason("cluster_denied", step.deployment.phase, [denied.message]))
    except (SealBroken, KeyVersionMissing) as unreadable:
        why = reason("value_unreadable", step.deployment.phase, [unreadable.message])
        await _end(context, step, Outcome.failed, why)
    except Unavailable as away:
        if step.deployment.deadline_at is not None and step.deployment.deadline_at <= clock.now():
            code = "cluster_unreachable" if isinstance(away, ClusterUnreachable) else "deadline_exceeded"
            await _finish_only(context, step, Outcome.failed, reason(code, step.deployment.phase, [away.message]))
            return
        async with context.session() as session:
            await progress.remember(session, step, {"waiting_for": away.message})
            progress.again(session, step.deployment, after_s=max(POLL_S, min(away.retry_after_s, 120.0)))


async def _step(context: JobContext, step: Step) -> None:
    d = step.deployment
    if d.cancel_requested_at is not None:
        code = "superseded_by" if d.cancel_requested_by == "superseded" else "canceled_by"
        outcome = Outcome.superseded if code == "superseded_by" else Outcome.canceled
        await _end(context, step, outcome, reason(code, d.phase))
        return
    if d.deadline_at is not None and d.deadline_at <= clock.now():
        waited = str(d.progress.get("waiting_for") or "")
        raise _Failed(reason("deadline_exceeded", d.phase, [f"It waited for: {waited}"] if waited else []))
    match Phase(d.phase):
        case Phase.queued | Phase.waiting:
            async with context.session() as session:
                await progress.move(session, step, Phase.preparing)
        case Phase.preparing | Phase.building:
            await _prepare(context, step)
        case Phase.releasing:
            await _release_command(context, step)
        case Phase.rolling_out:
            await _roll_out(context, step)
        case Phase.verifying:
            await _verify(context, step)
        case Phase.done:
            return


async def _prepare(context: JobContext, step: Step) -> None:
    """Tag → digest, then the release is written."""
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
            raise _Failed(reason("gone", d.phase))
        await _write_release(context, step, row, app, revision)
        return
    async with context.session() as session:
        release = await session.one(queries.RELEASE, org_id=context.org_id, release_id=d.release_id)
        runs_command = release.release_command and d.source["kind"] in (Source.image, Source.release, Source.rollback)
        await progress.move(session, step, Phase.releasing if runs_command else Phase.rolling_out)


async def _write_release(
    context: JobContext, step: Step, row: AppEnvironmentRow, app: AppRow, revision: RevisionRow
) -> None:
    d = step.deployment
    text = str(d.source["image"])
    reference = parse(text)
    image = await _resolved(context, step, text)
    if not runs_as_number(image.user):
        unnamed = sorted(n for n, p in app.processes.items() if not p.get("run_as_user"))
        if unnamed:
            shown = image.user or "root"
            raise _Failed(reason("image_user_not_allowed", d.phase, [f"The image's user is {shown!r}.", *unnamed]))
    async with context.session() as session:
        release_id = await progress.write_release(
            session,
            step,
            row,
            app,
            revision,
            image=text,
            pinned=reference.pinned(image.digest),
            digest=image.digest,
            warnings=[image.warning] if image.warning else [],
        )
        phase = Phase.releasing if app.release_command else Phase.rolling_out
        await progress.move(session, step, phase, release_id=release_id)


async def _resolved(context: JobContext, step: Step, text: str) -> ResolvedImage:
    try:
        return await context.registry.get(Registries).resolve(parse(text))
    except ImageNotFound as missing:
        raise _Failed(reason("image_not_found", step.deployment.phase, [f"{text}: {missing.message}"])) from None
    except ImagePullDenied as denied:
        raise _Failed(reason("image_pull_denied", step.deployment.phase, [f"{text}: {denied.message}"])) from None
    except Unavailable:
        raise
    except KovraError as refused:
        raise _Failed(reason("image_invalid", step.deployment.phase, [f"{text}: {refused.message}"])) from None


def _release_id(d: DeploymentRow) -> UUID:
    if d.release_id is None:
        raise NotFound("The deployment has no release.")
    return d.release_id


async def _release_command(context: JobContext, step: Step) -> None:
    """Run the release command once, and wait for its end; nothing is rolled out when it fails."""
    d = step.deployment
    store, client = context.registry.get(HolderKeyStore), context.registry.get(ClusterClient)
    async with context.session() as session:
        opened = await open_release(session, store, d.app_environment_id, _release_id(d), for_deployment=d.id)
    documents = release_job(workload_of(context, opened, deployment_id=d.id))
    job = refs_of(documents)[-1]
    namespace = placement_of(context.org_id, opened.row).namespace
    status = await observe_job(client, namespace, job.name)
    if not status.found and d.progress.get("release_job") != job.name:
        await wall_in(context, opened.row)
        async with context.session() as session:
            await progress.set_inventory(
                session, d.app_environment_id, [*progress.inventory_of(opened.row), *refs_of(documents)]
            )
        await apply_all(context, documents)
        async with context.session() as session:
            await progress.remember(session, step, {"release_job": job.name, "waiting_for": "the release command"})
            progress.again(session, d, after_s=POLL_S)
        return
    if not status.found:
        raise _Failed(reason("release_command_failed", d.phase, ["Its Job has disappeared from the cluster."]))
    verdict = judge_job(status, phase=d.phase)
    if verdict.reason is not None:
        lines = await last_lines(context, namespace, verdict.look_at, opened.mask)
        raise _Failed(reason(verdict.reason.code, d.phase, [*verdict.reason.evidence, *lines]))
    async with context.session() as session:
        if verdict.good:
            await progress.move(session, step, Phase.rolling_out)
        else:
            progress.again(session, d, after_s=POLL_S)


async def _roll_out(context: JobContext, step: Step) -> None:
    """Put the release into the cluster; what it replaces stays recorded until the verdict."""
    d = step.deployment
    store = context.registry.get(HolderKeyStore)
    restarted_at = clock.rfc3339(d.created_at) if d.source["kind"] == Source.restart else None
    async with context.session() as session:
        opened = await open_release(session, store, d.app_environment_id, _release_id(d), for_deployment=d.id)
        workload = workload_of(context, opened, deployment_id=d.id, restarted_at=restarted_at)
        documents = workload_manifests(workload)
        recorded = progress.inventory_of(opened.row)
        await progress.set_inventory(session, d.app_environment_id, [*recorded, *refs_of(documents)])
    await wall_in(context, opened.row)
    await apply_all(context, documents)
    async with context.session() as session:
        keep = [ref.as_dict() for ref in refs_of(documents)]
        await progress.move(session, step, Phase.verifying, progress={"applied": keep})


async def _verify(context: JobContext, step: Step) -> None:
    """Look at the cluster: good and settled is live, failed is failed, everything else waits."""
    d = step.deployment
    client = context.registry.get(ClusterClient)
    async with context.session() as session:
        row = await session.one(
            project_queries.ANY_APP_ENVIRONMENT, org_id=context.org_id, app_environment_id=d.app_environment_id
        )
        release = await session.one(queries.RELEASE, org_id=context.org_id, release_id=_release_id(d))
    placement = placement_of(context.org_id, row)
    status = await observe(client, placement, row.id)
    verdict = judge(status, release.number, instances_of(row, release.processes), phase=d.phase)
    if verdict.reason is not None:
        store = context.registry.get(HolderKeyStore)
        async with context.session() as session:
            opened = await open_release(session, store, row.id, release.id, for_deployment=d.id)
        lines = await last_lines(context, placement.namespace, verdict.look_at, opened.mask)
        evidence = [opened.mask(line) for line in verdict.reason.evidence]
        raise _Failed(reason(verdict.reason.code, d.phase, [*evidence, *lines]))
    if not verdict.good:
        async with context.session() as session:
            await progress.remember(session, step, {"good_since": None, "waiting_for": verdict.waiting_for})
            progress.again(session, d, after_s=POLL_S)
        return
    await _settle(context, step)


async def _settle(context: JobContext, step: Step) -> None:
    d = step.deployment
    needed = context.registry.get(Settling).seconds
    since = d.progress.get("good_since")
    now = clock.now().timestamp()
    async with context.session() as session:
        if since is None:
            await progress.remember(session, step, {"good_since": now, "waiting_for": "the settling time"})
            progress.again(session, d, after_s=max(needed, 0.05))
            return
        left = needed - (now - float(since))
        if left > 0:
            progress.again(session, d, after_s=left)
            return
        row = await session.one(
            project_queries.APP_ENVIRONMENT_FOR_UPDATE, org_id=context.org_id, app_environment_id=d.app_environment_id
        )
        release = await session.one(queries.RELEASE, org_id=context.org_id, release_id=_release_id(d))
        applied = [ObjectRef(**ref) for ref in d.progress.get("applied", [])]
        recorded = progress.inventory_of(row)
        # Until the old objects are gone they stay recorded: a prune that fails is made up for by the next one.
        await progress.went_live(session, step, row, release, sorted({*recorded, *applied}))
        await progress.finish(session, step, Outcome.live)
    await context.registry.get(ClusterClient).prune(recorded, applied)
    async with context.session() as session:
        await progress.set_inventory(session, d.app_environment_id, applied)


async def _end(context: JobContext, step: Step, outcome: Outcome, why: Reason) -> None:
    """End without success: what served before is put back, or what never served is taken away."""
    d = step.deployment
    touched = Phase(d.phase) in (Phase.rolling_out, Phase.verifying)
    if not touched:
        await _finish_only(context, step, outcome, why)
        return
    restored = await _restored(context, step)
    async with context.session() as session:
        await progress.finish(session, step, outcome, reason=why, restored_release_id=restored)


async def _restored(context: JobContext, step: Step) -> UUID | None:
    """Put back the previous release, or take away the failed one; which release serves again, if one does."""
    d = step.deployment
    try:
        if d.previous_release_id is not None:
            await put_back(context, d.app_environment_id, d.previous_release_id, d.id)
            return d.previous_release_id
        await _scale_away(context, step)
    except (SealBroken, KeyVersionMissing) as unreadable:
        # The deployment ends all the same. What the previous release still has in the cluster goes on serving.
        logger.error("release_not_restored", deployment=str(d.id), reason=unreadable.message)
        if d.previous_release_id is None:
            await _take_away(context, step)
    return None


async def _take_away(context: JobContext, step: Step) -> None:
    """Remove what was recorded of a release that never served; needs none of its values."""
    async with context.session() as session:
        row = await session.one(
            project_queries.ANY_APP_ENVIRONMENT,
            org_id=context.org_id,
            app_environment_id=step.deployment.app_environment_id,
        )
    await context.registry.get(ClusterClient).prune(progress.inventory_of(row), [])


async def _finish_only(context: JobContext, step: Step, outcome: Outcome, why: Reason) -> None:
    async with context.session() as session:
        await progress.finish(session, step, outcome, reason=why)


async def _scale_away(context: JobContext, step: Step) -> None:
    """Nothing served before: the failed release stays recorded, with no instance running."""
    d = step.deployment
    store = context.registry.get(HolderKeyStore)
    async with context.session() as session:
        opened = await open_release(session, store, d.app_environment_id, _release_id(d), for_deployment=d.id)
    none = dict.fromkeys(opened.release.processes, 0)
    await apply_all(context, workload_manifests(workload_of(context, opened, deployment_id=d.id, instances=none)))
