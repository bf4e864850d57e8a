"""Writing what was seen: every write names the step's fence, so a late worker changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from kovra.adapters.cluster.workload import ObjectRef
from kovra.features.deployments import queries
from kovra.features.deployments.messages import (
    AdvanceDeployment,
    CheckHealth,
    DeploymentFinished,
    DeploymentMoved,
    HealthChanged,
    ReleaseCreated,
)
from kovra.features.deployments.queries import DeploymentRow, ReleaseRow
from kovra.features.deployments.rules.reasons import Reason
from kovra.features.deployments.states import Outcome, Phase
from kovra.features.projects.queries import AppEnvironmentRow, AppRow
from kovra.features.secrets.messages import SecretOpened
from kovra.features.secrets.queries import RevisionRow
from kovra.foundation import clock
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Conflict
from kovra.foundation.events import record
from kovra.foundation.ids import encode, new_id
from kovra.foundation.jobs.messages import enqueue
from kovra.foundation.observability import DEPLOYMENTS

LEASE: Final = timedelta(seconds=90)
"""Longer than a step may take: a lease that runs out means a dead worker."""


class LeaseLost(Conflict):
    """Another worker has taken the step over, or the deployment has ended."""

    code = "lease_lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step under its lease."""

    deployment: DeploymentRow
    fence: int


async def take_lease(session: TenantSession, deployment_id: UUID, owner: str) -> int | None:
    """Take the lease; None when somebody holds it or the deployment has ended."""
    lease = await session.find(
        queries.TAKE_LEASE, org=session.org_id, deployment_id=deployment_id, owner=owner, until=clock.now() + LEASE
    )
    return lease.fence if lease else None


async def release_lease(session: TenantSession, deployment_id: UUID, fence: int) -> None:
    """Give the lease back."""
    await session.execute(queries.RELEASE_LEASE, org=session.org_id, deployment_id=deployment_id, fence_is=fence)


def _entered(phases: Sequence[Mapping[str, Any]], phase: Phase | None) -> list[dict[str, Any]]:
    """The list of phases with the last one ended and, if any, a new one begun."""
    now = clock.rfc3339(clock.now())
    listed = [dict(p) for p in phases]
    if listed and listed[-1]["ended_at"] is None:
        listed[-1]["ended_at"] = now
    if phase is not None:
        listed.append({"name": phase.value, "started_at": now, "ended_at": None})
    return listed


async def move(
    session: TenantSession,
    step: Step,
    phase: Phase,
    *,
    release_id: UUID | None = None,
    progress: Mapping[str, Any] | None = None,
) -> None:
    """Enter a phase and ask for its step."""
    d = step.deployment
    moved = await session.execute(
        queries.MOVE,
        org=session.org_id,
        deployment_id=d.id,
        fence_is=step.fence,
        phase=phase.value,
        phases=_entered(d.phases, phase),
        progress={**d.progress, **(progress or {})},
        release_id=release_id or d.release_id,
    )
    if not moved:
        raise LeaseLost("The step was taken over.")
    again(session, d)
    moved_event = DeploymentMoved(
        subject_id=d.id, app_environment_id=encode("aev", d.app_environment_id), phase=phase.value
    )
    record(session, moved_event, scope=d.scope, origin="worker")


def again(session: TenantSession, deployment: DeploymentRow, *, after_s: float = 0.0) -> None:
    """Ask for another step, now (in order) or a little later (without a lock: waiting, it would hold up others)."""
    at = clock.now() + timedelta(seconds=after_s) if after_s else None
    job = AdvanceDeployment(id=deployment.id, app_environment_id=deployment.app_environment_id)
    enqueue(session, job, at=at)


async def remember(session: TenantSession, step: Step, progress: Mapping[str, Any]) -> None:
    """Keep something for the next step."""
    kept = await session.execute(
        queries.REMEMBER,
        org=session.org_id,
        deployment_id=step.deployment.id,
        fence_is=step.fence,
        progress={**step.deployment.progress, **progress},
    )
    if not kept:
        raise LeaseLost("The step was taken over.")


async def finish(
    session: TenantSession,
    step: Step,
    outcome: Outcome,
    *,
    reason: Reason | None = None,
    restored_release_id: UUID | None = None,
) -> None:
    """Write the final outcome and wake the next deployment in the queue."""
    d = step.deployment
    done = await session.execute(
        queries.FINISH,
        org=session.org_id,
        deployment_id=d.id,
        fence_is=step.fence,
        outcome=outcome.value,
        reason=reason.document() if reason else None,
        restored_release_id=restored_release_id,
        phases=_entered(d.phases, None),
    )
    if not done:
        raise LeaseLost("The step was taken over.")
    finished = DeploymentFinished(
        subject_id=d.id,
        app_environment_id=encode("aev", d.app_environment_id),
        outcome=outcome.value,
        code=reason.code if reason else None,
        release_id=encode("rel", d.release_id) if d.release_id else None,
        restored_release_id=encode("rel", restored_release_id) if restored_release_id else None,
    )
    record(session, finished, scope=d.scope, origin="worker")
    DEPLOYMENTS.labels(outcome.value, reason.code if reason else "none").inc()
    waiting = await session.all(
        queries.OPEN_DEPLOYMENTS, org_id=session.org_id, app_environment_id=d.app_environment_id
    )
    if waiting:
        enqueue(session, AdvanceDeployment(id=waiting[0].id, app_environment_id=d.app_environment_id))


async def write_release(
    session: TenantSession,
    step: Step,
    row: AppEnvironmentRow,
    app: AppRow,
    revision: RevisionRow,
    *,
    image: str,
    pinned: str,
    digest: str,
    warnings: list[str],
) -> UUID:
    """The immutable release of an image deployment."""
    release_id = new_id()
    numbered = await session.one(
        queries.ADD_RELEASE,
        id=release_id,
        org_id=session.org_id,
        app_environment_id=row.id,
        image=image,
        pinned=pinned,
        digest=digest,
        config_revision_id=revision.id,
        processes=app.processes,
        release_command=app.release_command,
        drain_s=app.drain_s,
        warnings=warnings,
        copied_from_id=None,
        actor=step.deployment.actor,
    )
    created = ReleaseCreated(
        subject_id=release_id,
        app_environment_id=encode("aev", row.id),
        number=numbered.number,
        image=image,
        digest=digest,
        config_revision=revision.number,
        copied_from=None,
    )
    record(session, created, scope=row.scope, actor=step.deployment.actor, origin="worker")
    return release_id


def secrets_opened(
    session: TenantSession, row: AppEnvironmentRow, versions: Mapping[str, int], deployment_id: UUID
) -> None:
    """Tell the organization which of its secrets were opened, and for what."""
    if versions:
        opened = SecretOpened(
            subject_id=row.id, deployment_id=encode("dep", deployment_id), secrets=dict(sorted(versions.items()))
        )
        record(session, opened, scope=row.scope, actor="system", origin="worker")


async def went_live(
    session: TenantSession,
    step: Step,
    row: AppEnvironmentRow,
    release: ReleaseRow,
    inventory: Sequence[ObjectRef],
) -> None:
    """The release serves: it becomes the current one, and its watch window begins."""
    health = "suspended" if row.suspended else ("watching" if row.watch_window_s else "stable")
    until = clock.now() + timedelta(seconds=row.watch_window_s) if health == "watching" else None
    await session.execute(
        queries.SET_CURRENT,
        org=session.org_id,
        app_environment_id=row.id,
        release_id=release.id,
        deployment_id=step.deployment.id,
        health=health,
        watch_until=until,
        inventory=[ref.as_dict() for ref in inventory],
    )
    if until is not None:
        enqueue(session, CheckHealth(id=row.id), at=until)
    if health != row.health:
        changed = HealthChanged(subject_id=row.id, before=row.health, after=health)
        record(session, changed, scope=row.scope, origin="worker")


async def set_inventory(session: TenantSession, app_environment_id: UUID, inventory: Sequence[ObjectRef]) -> None:
    """Record what was put into the cluster, before it is put there: what was recorded can be pruned."""
    await session.execute(
        queries.SET_INVENTORY,
        org=session.org_id,
        app_environment_id=app_environment_id,
        inventory=[ref.as_dict() for ref in sorted(set(inventory))],
    )


async def set_health(session: TenantSession, row: AppEnvironmentRow, health: str) -> None:
    """What serves is now stable, degraded or suspended."""
    await session.execute(queries.SET_HEALTH, org=session.org_id, app_environment_id=row.id, health=health)
    if health != row.health:
        changed = HealthChanged(subject_id=row.id, before=row.health, after=health)
        record(session, changed, scope=row.scope, origin="worker")


def inventory_of(row: AppEnvironmentRow) -> list[ObjectRef]:
    """What is recorded as applied."""
    return [ObjectRef(**ref) for ref in row.inventory]
