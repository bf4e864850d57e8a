"""Ending without success: what served before is put back, or what never served is taken away.

A cluster that does not let itself be put right holds no verdict up: putting right becomes a duty, recorded as a job.
"""

from __future__ import annotations

import asyncio
from typing import Final
from uuid import UUID

from kovra.adapters.cluster.manifests import workload_manifests
from kovra.adapters.cluster.workload import ObjectRef
from kovra.features.deployments.handlers.cluster import put_back, take_out
from kovra.features.deployments.handlers.steps import release_id_of
from kovra.features.deployments.messages import ReapplyRelease
from kovra.features.deployments.queries import DeploymentRow
from kovra.features.deployments.rules.reasons import Reason
from kovra.features.deployments.service import progress
from kovra.features.deployments.service.acting import apply_all, opened_to_run, prune, refs_of, workload_of
from kovra.features.deployments.service.progress import LeaseLost, Step
from kovra.features.deployments.states import Outcome
from kovra.features.projects import queries as project_queries
from kovra.features.projects.queries import AppEnvironmentRow
from kovra.foundation import clock
from kovra.foundation.errors import KovraError
from kovra.foundation.jobs.handling import JobContext
from kovra.foundation.jobs.messages import enqueue
from kovra.foundation.keyring import KeyVersionMissing, SealBroken
from kovra.foundation.observability import logger

_SHARE: Final = 0.8
"""Of the step's time; the rest is for writing the verdict."""
OWED: Final = "The cluster could not be put right yet; this is made up for when it answers again."


async def end(context: JobContext, step: Step, outcome: Outcome, why: Reason) -> None:
    """Put the cluster right, then write the verdict; in this order, so that a worker that dies between repeats both."""
    d = step.deployment
    async with context.session() as session:
        row = await session.one(
            project_queries.ANY_APP_ENVIRONMENT, org_id=context.org_id, app_environment_id=d.app_environment_id
        )
    begun = progress.is_unsettled(row)
    # What a deployment in front of it has begun in the cluster is that one's business.
    if d.ahead or not (begun or d.progress.get("brought")):
        await _finish(context, step, outcome, why)
        return
    restored = None
    try:
        async with asyncio.timeout(max(0.0, context.until - clock.monotonic()) * _SHARE):
            if begun:
                restored = await _restored(context, step, row)
            else:
                await _take_away(context, row, d, outcome)
    except LeaseLost:
        raise
    except (KovraError, TimeoutError) as hindered:
        code = hindered.error_code if isinstance(hindered, KovraError) else "timed_out"
        logger.error("cluster_not_put_right", deployment=str(d.id), code=code)
        await _finish(context, step, outcome, why.with_evidence(OWED), owed=row)
        return
    await _finish(context, step, outcome, why, restored=restored)


async def _finish(
    context: JobContext,
    step: Step,
    outcome: Outcome,
    why: Reason,
    *,
    restored: UUID | None = None,
    owed: AppEnvironmentRow | None = None,
) -> None:
    async with context.session() as session:
        if outcome is not Outcome.superseded:
            await progress.take_back(session, step)
        await progress.finish(session, step, outcome, reason=why, restored_release_id=restored)
        if owed is not None:
            await progress.unsettled(session, owed)
            enqueue(session, ReapplyRelease(id=step.deployment.app_environment_id))


async def _restored(context: JobContext, step: Step, row: AppEnvironmentRow) -> UUID | None:
    """Put back what serves, or take away what never did; which release serves again, if one does."""
    d = step.deployment
    try:
        if d.cancel_requested_by == "deleted":
            await take_out(context, row.id)
        elif row.current_release_id is not None:
            await put_back(context, row.id, row.current_release_id, d.id)
            return row.current_release_id
        elif d.release_id is not None:
            await _scale_away(context, step, row)
    except (SealBroken, KeyVersionMissing) as unreadable:
        # The deployment ends all the same. What the previous release still has in the cluster goes on serving.
        logger.error("release_not_restored", deployment=str(d.id), reason=unreadable.message)
        if row.current_release_id is None:
            # What was recorded of a release that never served can go without any of its values.
            await take_out(context, row.id)
    return None


async def _take_away(context: JobContext, row: AppEnvironmentRow, d: DeploymentRow, outcome: Outcome) -> None:
    """Only its release command has been in the cluster. The Job of one that failed stays to be looked at for an hour."""
    brought = [ObjectRef(**ref) for ref in d.progress["brought"]]
    gone = {ref for ref in brought if outcome is not Outcome.failed or ref.kind != "Job"}
    recorded = progress.inventory_of(row)
    left = [ref for ref in recorded if ref not in gone]
    await prune(context, recorded, left)
    async with context.session() as session:
        await progress.replace_inventory(session, row.id, recorded, left)


async def _scale_away(context: JobContext, step: Step, row: AppEnvironmentRow) -> None:
    """Nothing served before: the failed release stays recorded, with no instance running."""
    d = step.deployment
    opened = await opened_to_run(context, d.app_environment_id, release_id_of(d), for_deployment=d.id)
    none = dict.fromkeys(opened.release.processes, 0)
    documents = workload_manifests(workload_of(context, opened, deployment_id=d.id, instances=none))
    async with context.session() as session:
        await progress.add_to_inventory(session, opened.row, refs_of(documents))
    await apply_all(context, documents, progress.inventory_of(opened.row))
    async with context.session() as session:
        await progress.settled(session, row, none)
