"""Rolling out and verifying: the release goes into the cluster, and the verdict comes from what the cluster shows."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, Final

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.manifests import workload_manifests
from kovra.adapters.cluster.status import WorkloadStatus, observe
from kovra.adapters.cluster.workload import ObjectRef
from kovra.features.deployments import queries
from kovra.features.deployments.compose import Placing, autoscaled, canary_in, instances_of, placement_of
from kovra.features.deployments.handlers.steps import POLL_S, StepFailed, Steps, release_id_of
from kovra.features.deployments.messages import ReapplyRelease
from kovra.features.deployments.queries import DeploymentRow
from kovra.features.deployments.service import progress, volumes
from kovra.features.deployments.service.acting import (
    ROUTES,
    apply_all,
    explained,
    opened_to_run,
    prune,
    refs_of,
    routes_to,
    wall_in,
    workload_of,
)
from kovra.features.deployments.service.opening import open_release
from kovra.features.deployments.service.progress import Step
from kovra.features.deployments.states import Outcome, Phase, Source
from kovra.features.deployments.verdict import Verdict, judge
from kovra.features.projects import queries as project_queries
from kovra.features.projects.queries import AppEnvironmentRow
from kovra.foundation import clock
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.errors import KovraError
from kovra.foundation.jobs.handling import JobContext
from kovra.foundation.jobs.messages import enqueue
from kovra.foundation.observability import logger

_SHORT_S: Final = 0.5
"""What is over so soon is waited for within the step."""
MOST_PUT_RIGHT: Final = 10
"""So often what others change is put right within one deployment."""


async def roll_out(context: JobContext, step: Step) -> None:
    """Put the release into the cluster; what it replaces stays recorded until the verdict."""
    d = step.deployment
    opened = await opened_to_run(context, d.app_environment_id, release_id_of(d), for_deployment=d.id)
    async with context.session() as session:
        # Fixed now: who asks for other numbers while this is judged does not move its goal.
        instances = instances_of(opened.row, opened.release.processes)
        restarted_at = _restarted_at(d, opened.row)
        workload = workload_of(context, opened, deployment_id=d.id, instances=instances, restarted_at=restarted_at)
        # What was tried on a few goes on serving them until the release serves all.
        documents = workload_manifests(replace(workload, canary=canary_in(d.progress)))
        await volumes.keep(session, opened.row, opened.release)
        await progress.add_to_inventory(session, opened.row, refs_of(documents), begins=True)
    await wall_in(context, opened)
    generations = await apply_all(context, documents, progress.inventory_of(opened.row))
    async with context.session() as session:
        applied = [ref.as_dict() for ref in refs_of(documents)]
        facts = {
            "applied": applied, "instances": instances, "restarted_at": restarted_at, "reach": opened.row.reach,
            "generations": generations,
        }  # fmt: skip
        await progress.move(session, step, Phase.verifying, progress=facts)


def _restarted_at(d: DeploymentRow, row: AppEnvironmentRow) -> str | None:
    """What stands in the pods' template: a new value replaces them, and so would leaving the old one out."""
    if d.source["kind"] == Source.restart:
        return clock.rfc3339(d.created_at)
    stamp: str | None = row.seen.get("restarted_at") if d.release_id == row.current_release_id else None
    return stamp


async def verify(context: JobContext, step: Step) -> None:
    """Look at the cluster: good and settled is live, failed is failed, everything else waits."""
    d = step.deployment
    client = context.registry.get(ClusterClient)
    async with context.session() as session:
        row = await session.one(
            project_queries.ANY_APP_ENVIRONMENT, org_id=context.org_id, app_environment_id=d.app_environment_id
        )
        release = await session.one(queries.RELEASE, org_id=context.org_id, release_id=release_id_of(d))
    placement = placement_of(context.org_id, row)
    status = await observe(client, placement, row.id)
    scaled = autoscaled(release.processes)
    verdict = _changed(d, status) or judge(
        status, release.number, d.progress["instances"], phase=d.phase, autoscaled=scaled
    )
    if verdict.reason is not None:
        store = context.registry.get(HolderKeyStore)
        async with context.session() as session:
            opened = await open_release(session, store, row.id, release.id, for_deployment=d.id)
        raise StepFailed(await explained(context, verdict.reason, opened, placement.namespace, verdict.look_at))
    if verdict.good:
        await _settle(context, step, verdict)
        return
    applied = await _apply_again(context, step) if verdict.is_lost else {}
    async with context.session() as session:
        facts = {"good_since": None, "waiting_for": verdict.waiting_for, **applied}
        await progress.seen(session, step, verdict, facts)
        progress.again(session, d, after_s=POLL_S)


def _changed(d: DeploymentRow, status: WorkloadStatus) -> Verdict | None:
    """Somebody has changed what was applied: that is put right, and judged by nobody. Not for ever: what goes on being
    changed is judged as it is found.
    """
    known: dict[str, int] = d.progress.get("generations") or {}
    changed = sorted(p.name for p in status.processes if p.generation != known.get(p.name, p.generation))
    if not changed or int(d.progress.get("put_right") or 0) >= MOST_PUT_RIGHT:
        return None
    return Verdict(is_lost=True, waiting_for=f"{changed[0]}: changed in the cluster by somebody else, and put right")


async def _apply_again(context: JobContext, step: Step) -> dict[str, Any]:
    """The same once more: the cluster has lost its state, the namespace was still being removed, or somebody has changed
    what was applied. Returns what to keep.
    """
    d = step.deployment
    logger.warning("rollout_lost_by_cluster", deployment=str(d.id))
    facts = {"instances": d.progress["instances"], "restarted_at": d.progress.get("restarted_at")}
    opened = await opened_to_run(context, d.app_environment_id, release_id_of(d), for_deployment=d.id)
    workload = workload_of(context, opened, deployment_id=d.id, **facts)
    documents = workload_manifests(replace(workload, canary=canary_in(d.progress)))
    async with context.session() as session:
        # The credential for its registry may have changed since, and its Secret has another name then.
        await progress.add_to_inventory(session, opened.row, refs_of(documents))
    await wall_in(context, opened)
    generations = await apply_all(context, documents, progress.inventory_of(opened.row))
    return {
        "applied": [ref.as_dict() for ref in refs_of(documents)], "reach": opened.row.reach, "generations": generations,
        "put_right": int(d.progress.get("put_right") or 0) + 1,
    }  # fmt: skip


async def _settle(context: JobContext, step: Step, verdict: Verdict) -> None:
    d = step.deployment
    needed = context.registry.get(Steps).settling_s
    since = d.progress.get("good_since")
    now = clock.now().timestamp()
    if since is None or now - float(since) < needed:
        left = needed - (now - float(since or now))
        if left < _SHORT_S:
            # A job that comes so soon would meet this step at work, and be dropped.
            await asyncio.sleep(left)
        async with context.session() as session:
            if since is None:
                facts = {"good_since": now, "waiting_for": "the settling time"}
                await progress.seen(session, step, verdict, facts)
            progress.again(session, d, after_s=left if left >= _SHORT_S else 0.0)
        return
    if canary_in(d.progress) is not None:
        await _lead_back(context, step)
    async with context.session() as session:
        row = await session.one(
            project_queries.APP_ENVIRONMENT_FOR_UPDATE, org_id=context.org_id, app_environment_id=d.app_environment_id
        )
        release = await session.one(queries.RELEASE, org_id=context.org_id, release_id=release_id_of(d))
        # What leads to it may have been changed since it was applied.
        routes = refs_of(await routes_to(session, context.registry.get(Placing), row, release, d.id))
        applied = [ref for ref in (ObjectRef(**r) for r in d.progress["applied"]) if ref.kind not in ROUTES] + routes
        recorded = sorted({*progress.inventory_of(row), *applied})
        # Until the old objects are gone they stay recorded: a prune that fails is made up for by the next one.
        await progress.went_live(session, step, row, release, recorded)
        await progress.finish(session, step, Outcome.live)
    await _clean_up(context, row, recorded, applied)


async def _lead_back(context: JobContext, step: Step) -> None:
    """All requests to the release itself, before what was tried beside it goes."""
    d = step.deployment
    async with context.session() as session:
        row = await session.one(
            project_queries.ANY_APP_ENVIRONMENT, org_id=context.org_id, app_environment_id=d.app_environment_id
        )
        release = await session.one(queries.RELEASE, org_id=context.org_id, release_id=release_id_of(d))
        documents = await routes_to(session, context.registry.get(Placing), row, release, d.id)
    await apply_all(context, documents)


async def _clean_up(
    context: JobContext, row: AppEnvironmentRow, recorded: list[ObjectRef], applied: list[ObjectRef]
) -> None:
    """Take away what the release that serves now has no use for."""
    try:
        await prune(context, recorded, applied)
        async with context.session() as session:
            await progress.replace_inventory(session, row.id, recorded, applied)
    except KovraError as hindered:
        logger.warning("clean_up_later", code=hindered.error_code)
        async with context.session() as session:
            enqueue(session, ReapplyRelease(id=row.id))
