"""Writing what was seen: every write names the step's fence, so a late worker changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from kovra.adapters.cluster.workload import ObjectRef
from kovra.features.deployments import queries
from kovra.features.deployments.compose import instances_of
from kovra.features.deployments.messages import (
    AdvanceDeployment,
    CheckHealth,
    DeploymentFinished,
    DeploymentMoved,
    DeploymentProgressed,
    HealthChanged,
    ReleaseCreated,
)
from kovra.features.deployments.queries import DeploymentRow, ReleaseRow, promoting
from kovra.features.deployments.rules.reasons import Reason
from kovra.features.deployments.rules.reasons import reason as make_reason
from kovra.features.deployments.states import Outcome, Phase
from kovra.features.deployments.verdict import Verdict
from kovra.features.projects import queries as project_queries
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


class LeaseLost(Conflict):
    """Another worker has taken the step over, or the deployment has ended."""

    code = "lease_lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step under its lease."""

    deployment: DeploymentRow
    fence: int


async def take_lease(session: TenantSession, deployment_id: UUID, owner: str, lasts: timedelta) -> int | None:
    """Take the lease; None when another worker holds it or the deployment has ended."""
    lease = await session.find(
        queries.TAKE_LEASE, org=session.org_id, deployment_id=deployment_id, owner=owner, until=clock.now() + lasts
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
    deadline_s: float | None = None,
) -> None:
    """Enter a phase and ask for its step; ``deadline_s``: all the rest may take so long."""
    d = step.deployment
    deadline_at = clock.now() + timedelta(seconds=deadline_s) if deadline_s is not None else d.deadline_at
    moved = await session.execute(
        queries.MOVE,
        org=session.org_id,
        deployment_id=d.id,
        fence_is=step.fence,
        phase=phase.value,
        phases=_entered(d.phases, phase),
        progress={**d.progress, "waiting_for": None, "away": None, **(progress or {})},
        release_id=release_id or d.release_id,
        previous_release_id=d.previous_release_id,
        deadline_at=deadline_at,
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
        progress={**step.deployment.progress, "away": None, **progress},
    )
    if not kept:
        raise LeaseLost("The step was taken over.")


async def extend(session: TenantSession, step: Step, *, lasts_s: float) -> None:
    """From now on it has so long."""
    extended = await session.execute(
        promoting.EXTEND,
        org=session.org_id,
        deployment_id=step.deployment.id,
        fence_is=step.fence,
        deadline_at=clock.now() + timedelta(seconds=lasts_s),
    )
    if not extended:
        raise LeaseLost("The step was taken over.")


async def seen(session: TenantSession, step: Step, verdict: Verdict, facts: Mapping[str, Any]) -> None:
    """Keep how many instances are ready, and tell it when they are more than ever in this deployment.

    One whose instances come and go tells no more often than it has instances: the ledger is kept for ever.
    """
    before, ready, wanted = step.deployment.progress, verdict.ready, verdict.wanted
    most, now = int(before.get("most_ready") or 0), sum(ready.values())
    counted = {"ready": dict(ready), "wanted": dict(wanted), "most_ready": max(most, now)}
    await remember(session, step, {**facts, **counted})
    if now > most:
        progressed = DeploymentProgressed(
            subject_id=step.deployment.id,
            app_environment_id=encode("aev", step.deployment.app_environment_id),
            instances={name: {"ready": ready.get(name, 0), "wanted": wanted[name]} for name in sorted(wanted)},
        )
        record(session, progressed, scope=step.deployment.scope, origin="worker")


async def finish(
    session: TenantSession,
    step: Step,
    outcome: Outcome,
    *,
    reason: Reason | None = None,
    release_id: UUID | None = None,
    restored_release_id: UUID | None = None,
) -> None:
    """Write the final outcome and wake the next deployment in the queue."""
    d = step.deployment
    release_id = release_id or d.release_id
    done = await session.execute(
        queries.FINISH,
        org=session.org_id,
        deployment_id=d.id,
        fence_is=step.fence,
        outcome=outcome.value,
        reason=reason.document() if reason else None,
        release_id=release_id,
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
        release_id=encode("rel", release_id) if release_id else None,
        restored_release_id=encode("rel", restored_release_id) if restored_release_id else None,
    )
    record(session, finished, scope=d.scope, origin="worker")
    DEPLOYMENTS.labels(outcome.value, reason.code if reason else "none").inc()
    waiting = await session.all(
        queries.OPEN_DEPLOYMENTS, org_id=session.org_id, app_environment_id=d.app_environment_id
    )
    if waiting:
        enqueue(session, AdvanceDeployment(id=waiting[0].id, app_environment_id=d.app_environment_id))


async def skip(session: TenantSession, step: Step, row: AppEnvironmentRow) -> None:
    """What serves is what was asked for: nothing is done."""
    why = make_reason("nothing_changed", step.deployment.phase)
    await finish(session, step, Outcome.skipped, reason=why, release_id=row.current_release_id)


async def take_back(session: TenantSession, step: Step) -> None:
    """It did not succeed: what it alone wanted (so many instances, none at all) is wanted no more."""
    was = step.deployment.progress.get("was")
    if not was:
        return
    row = await session.one(
        project_queries.APP_ENVIRONMENT_FOR_UPDATE,
        org_id=session.org_id,
        app_environment_id=step.deployment.app_environment_id,
    )
    if {"scale": row.scale, "suspended": row.suspended} == was["after"]:
        await session.execute(queries.SET_WANTED, org=session.org_id, app_environment_id=row.id, **was["before"])


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
    session: TenantSession,
    row: AppEnvironmentRow,
    versions: Mapping[str, int],
    *,
    for_deployment: UUID | None,
    for_run: UUID | None,
) -> None:
    """Tell the organization which of its secrets were opened, and for what."""
    if versions:
        opened = SecretOpened(
            subject_id=row.id,
            deployment_id=encode("dep", for_deployment) if for_deployment else None,
            run_id=encode("run", for_run) if for_run else None,
            secrets=dict(sorted(versions.items())),
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
    d = step.deployment
    health = "suspended" if row.suspended else ("watching" if row.watch_window_s else "stable")
    until = clock.now() + timedelta(seconds=row.watch_window_s) if health == "watching" else None
    await session.execute(
        queries.SET_CURRENT,
        org=session.org_id,
        app_environment_id=row.id,
        release_id=release.id,
        deployment_id=d.id,
        health=health,
        watch_until=until,
        inventory=_listed(inventory),
        seen=_seen(
            d.progress["instances"], d.progress.get("restarted_at"), str(d.progress.get("reach", "public internet"))
        ),
    )
    if until is not None:
        enqueue(session, CheckHealth(id=row.id), at=until)
    if health != row.health:
        changed = HealthChanged(subject_id=row.id, before=row.health, after=health)
        record(session, changed, scope=row.scope, origin="worker")


async def add_to_inventory(
    session: TenantSession, row: AppEnvironmentRow, more: Sequence[ObjectRef], *, begins: bool = False
) -> None:
    """Record what is about to be put into the cluster: what was recorded can be pruned.

    ``begins``: from now on the cluster is not what the current release says, until that is put right.
    """
    await replace_inventory(session, row.id, inventory_of(row), [*inventory_of(row), *more])
    if begins:
        await unsettled(session, row)


async def replace_inventory(
    session: TenantSession, app_environment_id: UUID, before: Sequence[ObjectRef], after: Sequence[ObjectRef]
) -> None:
    """Record what is in the cluster; raises LeaseLost when another has recorded something meanwhile."""
    replaced = await session.execute(
        queries.SET_INVENTORY,
        org=session.org_id,
        app_environment_id=app_environment_id,
        before=_listed(before),
        inventory=_listed(after),
    )
    if not replaced:
        raise LeaseLost("Another step has recorded objects meanwhile.")


def _listed(refs: Sequence[ObjectRef]) -> list[dict[str, str]]:
    return [ref.as_dict() for ref in sorted(set(refs))]


async def settled(session: TenantSession, row: AppEnvironmentRow, instances: Mapping[str, int]) -> None:
    """The cluster is what the current release says, with so many instances by process."""
    seen = _seen(instances, row.seen.get("restarted_at"), row.reach)
    await session.execute(queries.SET_SEEN, org=session.org_id, app_environment_id=row.id, seen=seen)


def _seen(instances: Mapping[str, int], restarted_at: str | None, reach: str) -> dict[str, Any]:
    at = clock.rfc3339(clock.now())
    return {"settled": True, "instances": dict(instances), "restarted_at": restarted_at, "reach": reach, "at": at}


def is_reach_behind(row: AppEnvironmentRow) -> bool:
    """Whether what runs was put there for others to reach, or to reach others, than is wanted now."""
    return bool(row.seen.get("reach", "public internet") != row.reach)


def instances_seen(row: AppEnvironmentRow, processes: Mapping[str, Any]) -> dict[str, int]:
    """How many instances the current release last had when all was well; what is wanted, when that is not known."""
    seen: dict[str, int] = row.seen.get("instances") or {}
    return dict(seen) if seen.keys() == processes.keys() else instances_of(row, processes)


async def unsettled(session: TenantSession, row: AppEnvironmentRow) -> None:
    """The cluster is not what the current release says."""
    await session.execute(
        queries.SET_SEEN, org=session.org_id, app_environment_id=row.id, seen={**row.seen, "settled": False}
    )


def is_unsettled(row: AppEnvironmentRow) -> bool:
    """Whether something was begun in the cluster that neither went live nor was put right."""
    return row.seen.get("settled") is False


async def set_health(session: TenantSession, row: AppEnvironmentRow, health: str) -> None:
    """What serves is now stable, degraded or suspended."""
    await session.execute(queries.SET_HEALTH, org=session.org_id, app_environment_id=row.id, health=health)
    if health != row.health:
        changed = HealthChanged(subject_id=row.id, before=row.health, after=health)
        record(session, changed, scope=row.scope, origin="worker")


def inventory_of(row: AppEnvironmentRow) -> list[ObjectRef]:
    """What is recorded as applied."""
    return [ObjectRef(**ref) for ref in row.inventory]
