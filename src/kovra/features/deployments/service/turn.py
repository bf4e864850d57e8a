"""A deployment's turn: it leaves the queue, and what only now can be known is fixed.

What was asked for in terms of "what serves" (a restart, a scale, new config for the same image) means what serves when
its turn comes, not when it was asked for: a deployment in front of it may have changed that.
"""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from kovra.features.deployments import queries
from kovra.features.deployments.compose import instances_of
from kovra.features.deployments.queries import ReleaseRow
from kovra.features.deployments.service import progress
from kovra.features.deployments.service.progress import Step
from kovra.features.deployments.service.rollback import copy_release
from kovra.features.deployments.states import ON_WHAT_SERVES, Phase, Source
from kovra.features.projects import queries as project_queries
from kovra.features.projects.queries import AppEnvironmentRow
from kovra.features.secrets import queries as secret_queries
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import NotFound


async def leave_queue(session: TenantSession, step: Step, *, deadline_s: float) -> None:
    """From now on it has so long: what it waited in the queue is not counted against it."""
    d = step.deployment
    row = await session.one(
        project_queries.APP_ENVIRONMENT_FOR_UPDATE, org_id=session.org_id, app_environment_id=d.app_environment_id
    )
    source, release_id = Source(d.source["kind"]), d.release_id
    if source in ON_WHAT_SERVES:
        current = await _current(session, row)
        if await _changes_nothing(session, source, row, current):
            await progress.skip(session, step, row)
            return
        release_id = await _release_of(session, step, source, row, current)
    turned = replace(step, deployment=replace(d, previous_release_id=row.current_release_id))
    await progress.move(session, turned, Phase.preparing, release_id=release_id, deadline_s=deadline_s)


async def _current(session: TenantSession, row: AppEnvironmentRow) -> ReleaseRow:
    if row.current_release_id is None:
        raise NotFound("Nothing is live here.")
    return await session.one(queries.RELEASE, org_id=session.org_id, release_id=row.current_release_id)


async def _release_of(
    session: TenantSession, step: Step, source: Source, row: AppEnvironmentRow, current: ReleaseRow
) -> UUID:
    if source is not Source.config:
        return current.id
    return await copy_release(session, row, current, actor=step.deployment.actor)


async def _changes_nothing(session: TenantSession, source: Source, row: AppEnvironmentRow, current: ReleaseRow) -> bool:
    """Whether all of it is there already, because it was there before or a deployment in front has done it."""
    if progress.is_unsettled(row) or progress.is_reach_behind(row) or row.health == "degraded":
        return False
    if source is Source.config:
        newest = await session.one(secret_queries.LATEST, org_id=session.org_id, app_environment_id=row.id)
        return newest.id == current.config_revision_id
    # A restart is wanted for its own sake.
    return source is not Source.restart and row.seen.get("instances") == instances_of(row, current.processes)
