"""Whether what is asked for fits into its environment, said before anything is applied.

What counts is everything the environment may run at its worst moment, rollouts under way and accepted included. The api asks
when something is accepted; a credential narrowed to one app sees that app alone, so the worker, which sees all, asks once
more before anything is applied, one environment at a time: what it lets pass, the cluster's quota has room for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from kovra.adapters.cluster.workload import Quota
from kovra.features.deployments.queries.room import ROOM, Taking
from kovra.features.deployments.rules.demand import (
    NOTHING,
    Demand,
    Over,
    Running,
    lacking,
    replacing,
    running,
    total,
)
from kovra.features.deployments.states import STARTED, Phase, Source
from kovra.features.projects.plans import Plans
from kovra.features.projects.queries import AppEnvironmentRow
from kovra.foundation.db.session import TenantSession
from kovra.foundation.db.turns import take_turn
from kovra.foundation.errors import Conflict
from kovra.foundation.ids import NIL

_PAST_PREPARING = STARTED - {Phase.preparing}


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What an environment's quota allows, and what everything in it needs at its most, by app environment."""

    plan: str
    allowed: Demand
    by_app_environment: dict[UUID, Demand]
    takings: Sequence[Taking]

    def besides_but(self, cron_job_id: UUID | None, plans: Plans) -> Demand:
        """What runs and cron jobs need, but for one."""
        return total(
            Demand.of(plans.size_of(t.size)) for t in self.takings if t.size is not None and t.id != cron_job_id
        )

    def without(self, app_environment_id: UUID | None, plans: Plans) -> Demand:
        """What all others need."""
        others = (need for known, need in self.by_app_environment.items() if known != app_environment_id)
        return total([self.besides_but(None, plans), *others])


async def look(
    session: TenantSession, plans: Plans, environment_id: UUID, *, app_id: UUID = NIL, release_id: UUID = NIL,
    phases: frozenset[Phase] = frozenset(Phase),
) -> Room:  # fmt: skip
    """The room in an environment. ``phases``: deployments in these are counted. One round trip."""
    takings = await session.all(
        ROOM, org_id=session.org_id, environment_id=environment_id, app_id=app_id, release_id=release_id
    )
    needs: dict[UUID, Demand] = {}
    for one in (t for t in takings if t.kind == "live"):
        before, after = _seen(one, plans), _wanted(one, one, plans)
        needs[one.id] = replacing(before, after, plans)
        for other in takings:
            if other.kind == "open" and other.app_environment_id == one.id and other.phase in phases:
                needs[one.id] |= replacing(before, _wanted(other, one, plans), plans)
    plan = takings[0].plan if takings else "free"
    return Room(
        plan=plan,
        allowed=allowed_by(plans.quota_of(plan)),
        by_app_environment=needs,
        takings=takings,
    )


def allowed_by(quota: Quota) -> Demand:
    """What a quota allows in all."""
    return Demand(cpu_millis=quota.cpu_millis, memory_mib=quota.memory_mib, pods=quota.pods)


def _wanted(what: Taking, where: Taking, plans: Plans) -> Running:
    """Processes with as many instances as the app environment wants."""
    processes, scale = what.processes or {}, where.scale or {}
    wanted = {n: 0 if where.suspended else int(scale.get(n, p.get("instances", 1))) for n, p in processes.items()}
    # Of an autoscaled one any number stands for its most.
    wanted |= {n: int(not where.suspended) for n, p in processes.items() if p.get("autoscale")}
    return running(processes, wanted, plans, drain_s=what.drain_s or 0, has_command=bool(what.has_command))


def _seen(one: Taking, plans: Plans) -> Running:
    """What is in the cluster: as many instances as were last seen to be all there."""
    if one.processes is None:
        return NOTHING
    seen = (one.seen or {}).get("instances") or {}
    return running(one.processes, seen, plans, drain_s=one.drain_s or 0, has_command=bool(one.has_command))


async def foresee(
    session: TenantSession, plans: Plans, row: AppEnvironmentRow, source: Source, release_id: UUID | None
) -> None:
    """Raises Conflict, with the figures, when a deployment that is asked for would not fit. What runs no more than
    there is now, is never refused.
    """
    room = await look(session, plans, row.environment_id, app_id=row.app_id, release_id=release_id or NIL)
    found = _over(room, plans, row, source)
    if found:
        raise exceeded(found, room.plan)


async def require_for_rollout(
    session: TenantSession, plans: Plans, row: AppEnvironmentRow, source: Source, release_id: UUID | None
) -> list[Over]:
    """The same for the worker, which lets one deployment of an environment pass at a time: what does not fit."""
    await take_turn(session, "room", row.environment_id)
    room = await look(
        session, plans, row.environment_id, app_id=row.app_id, release_id=release_id or NIL, phases=_PAST_PREPARING
    )
    return _over(room, plans, row, source)


def _over(room: Room, plans: Plans, row: AppEnvironmentRow, source: Source) -> list[Over]:
    here = next((t for t in room.takings if t.kind == "live" and t.id == row.id), None)
    if here is None:
        return []
    before, after = _seen(here, plans), _wanted(_candidate(room, here, source), here, plans)
    if source in (Source.scale, Source.suspend) and after.steady.is_within(before.steady):
        return []
    asked = replacing(before, after, plans)
    storage = _storage_over(room, here, _candidate(room, here, source), plans.quota_of(room.plan))
    return [
        *storage,
        *_too_large(after, plans.quota_of(room.plan)),
        *lacking(asked, room.without(row.id, plans), room.allowed),
    ]


def _candidate(room: Room, here: Taking, source: Source) -> Taking:
    kind = "app" if source is Source.image else "release"
    return next((t for t in room.takings if t.kind == kind), here)


def _storage_over(room: Room, here: Taking, candidate: Taking, quota: Quota) -> list[Over]:
    """Volumes that there is no storage for: what is kept counts, mounted or not."""
    kept = {(t.app_environment_id, t.name): t.gib or 0 for t in room.takings if t.kind == "volume"}
    coming = [(t.app_environment_id, t) for t in room.takings if t.kind == "open" and t.app_environment_id != here.id]
    for place, what in coming:
        for name, gib in volumes_of(what.processes or {}).items():
            kept[place, name] = max(gib, kept.get((place, name), 0))
    wanted = {(here.id, name): gib for name, gib in volumes_of(candidate.processes or {}).items()}
    asked = sum(max(gib, kept.get(key, 0)) for key, gib in wanted.items())
    used = sum(gib for key, gib in kept.items() if key not in wanted)
    if not asked or asked + used <= quota.storage_gib:
        return []
    return [Over(resource="storage_gib", asked=asked, used=used, allowed=quota.storage_gib)]


def volumes_of(processes: Mapping[str, Any]) -> dict[str, int]:
    """GiB by process and name."""
    return {
        f"{process}/{volume['name']}": int(volume["size_gib"])
        for process, document in processes.items()
        for volume in document.get("volumes") or []
    }


def _too_large(after: Running, quota: Quota) -> list[Over]:
    """Sizes that are more than one instance may have on this plan."""
    found = []
    for n, size in after.processes.values():
        for resource, most in (("cpu_millis", quota.container_cpu_millis), ("memory_mib", quota.container_memory_mib)):
            if n and getattr(size, resource) > most:
                found.append(Over(resource=resource, asked=getattr(size, resource), used=0, allowed=most))
    return found


async def foresee_run(
    session: TenantSession, plans: Plans, environment_id: UUID, size: str, *, instead_of: UUID | None = None
) -> None:
    """Raises Conflict when one more run of this size, or one instead of a cron job's, would not fit beside all else."""
    room = await look(session, plans, environment_id)
    used = total([*room.by_app_environment.values(), room.besides_but(instead_of, plans)])
    found = lacking(Demand.of(plans.size_of(size)), used, room.allowed)
    if found:
        raise exceeded(found, room.plan)


def exceeded(found: Sequence[Over], plan: str) -> Conflict:
    """The refusal, with its figures."""
    return Conflict(
        "The environment's quota has no room for this: " + "; ".join(over.sentence() for over in found) + ".",
        hint="Use fewer or smaller instances, or a larger plan. Counted is what there is at most while instances are replaced.",
        code="quota_exceeded",
        facts={"plan": plan, "quota": [asdict(over) for over in found]},
    )
