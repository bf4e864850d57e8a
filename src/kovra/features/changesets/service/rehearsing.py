"""Planning: the changes are made in a transaction that is taken back, so that what is shown is what would be done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from kovra.adapters.cluster.workload import Quota
from kovra.adapters.oci.reference import parse
from kovra.features.changesets.queries import ChangeSetRow
from kovra.features.changesets.rules import quota
from kovra.features.changesets.rules.differing import Values, without_values
from kovra.features.changesets.rules.quota import Demand
from kovra.features.changesets.rules.warnings import warning
from kovra.features.changesets.service import acting, applying, deciding, keeping, snapshot
from kovra.features.changesets.service.applying import Means
from kovra.features.changesets.service.deciding import AppPlan
from kovra.features.changesets.service.keeping import Content
from kovra.features.changesets.service.snapshot import AppState, Place, Snapshot
from kovra.features.deployments import queries as deployment_queries
from kovra.features.deployments.compose import instances_of
from kovra.features.deployments.queries import ReleaseRow
from kovra.features.projects.plans import Plans
from kovra.features.projects.queries import AppEnvironmentRow
from kovra.features.projects.rules import ImageRules
from kovra.foundation import clock
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.ids import NIL, new_id

UNRESOLVED: Final = "sha256:" + "0" * 64
"""The digest of an image that nobody has asked a registry for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """What a deployment would put into the cluster."""

    slug: str
    pair: AppEnvironmentRow
    release: ReleaseRow
    keeps_values: bool
    """Whether config and secrets stay as they are, and so the Secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """What came of it."""

    content: Content
    plan: dict[str, Any]
    base: dict[str, Any]
    rollouts: list[Rollout]
    removed: list[AppEnvironmentRow]
    """Apps that go, with all they run here."""


class _TakenBack(Exception):
    """Ends the transaction without a commit, and carries what was found."""

    def __init__(self, found: Rehearsed) -> None:
        super().__init__("taken back")
        self.found = found


@contextmanager
def taking_back(found: list[Rehearsed]) -> Iterator[None]:
    """Around the transaction of a rehearsal: what it found is appended, what it wrote is gone."""
    try:
        yield
    except _TakenBack as back:
        found.append(back.found)


async def rehearse(
    session: TenantSession, store: HolderKeyStore, row: ChangeSetRow, images: ImageRules, plans: Plans, limits: Quota
) -> None:
    """Always raises: ``taking_back`` catches what was found, everything else is what makes the wish impossible."""
    content = await keeping.opened(session, store, row)
    assert content is not None
    wanted = content.wanted
    place, slugs = await snapshot.place_of(session, row.project_id, row.environment_id), acting.slugs_of(wanted)
    await snapshot.lock(session, place, slugs)
    before = await snapshot.take(session, place, slugs, store)
    applying.require_room(before)
    base = acting.base_of(before, sorted(wanted.apps))
    means = Means(session=session, store=store, images=images, plans=plans, access=await session.access())
    await applying.carry_out(means, place, wanted, before)
    after = await snapshot.take(session, place, slugs, store)
    decided = deciding.decide(before, after, wanted, await deciding.pending_images(session, place))
    changes, values = without_values(decided.changes)
    rollouts = [await _rollout(session, plan, before, after) for plan in decided.apps if plan.deploys]
    effect, exceeded = await _quota(session, place, before, after, rollouts, limits, plans)
    plan = {
        "apps": [app.document() for app in decided.apps],
        "changes": [change.document() for change in changes],
        "quota": effect,
        "warnings": [*decided.warnings, *([warning("quota_exceeded")] if exceeded else [])],
    }
    removed = [state.pair for slug, state in before.items() if slug not in after]
    raise _TakenBack(
        Rehearsed(content=_with(content, values), plan=plan, base=base, rollouts=rollouts, removed=removed)
    )


def _with(content: Content, values: Values) -> Content:
    return replace(content, values=values)


async def _rollout(session: TenantSession, plan: AppPlan, before: Snapshot, after: Snapshot) -> Rollout:
    state, old = after[plan.slug], before.get(plan.slug)
    return Rollout(
        slug=plan.slug,
        pair=state.pair,
        release=await _release(session, plan, state),
        keeps_values=old is not None and old.revision == state.revision,
    )


async def _live(session: TenantSession, pair: AppEnvironmentRow) -> ReleaseRow | None:
    if pair.current_release_id is None:
        return None
    return await session.find(deployment_queries.RELEASE, org_id=session.org_id, release_id=pair.current_release_id)


async def _release(session: TenantSession, plan: AppPlan, state: AppState) -> ReleaseRow:
    """The release as it would be: with the number of the one that is live, so that nothing differs but what is changed."""
    live, app = await _live(session, state.pair), state.row
    if live is not None and plan.deploys == "scale":
        return live
    image = plan.image or ""
    pinned = live.pinned if live is not None and live.image == image else parse(image).pinned(UNRESOLVED)
    if live is not None:
        return replace(
            live, image=image, pinned=pinned, processes=app.processes, release_command=app.release_command,
            drain_s=app.drain_s,
        )  # fmt: skip
    return ReleaseRow(
        id=new_id(), app_environment_id=state.pair.id, number=state.pair.last_release_number + 1, image=image,
        pinned=pinned, digest=UNRESOLVED, config_revision_id=NIL, config_number=state.revision, processes=app.processes,
        release_command=app.release_command, drain_s=app.drain_s, warnings=[], copied_from_id=None, actor="",
        created_at=clock.now(),
    )  # fmt: skip


async def _quota(
    session: TenantSession,
    place: Place,
    before: Snapshot,
    after: Snapshot,
    rollouts: list[Rollout],
    limits: Quota,
    plans: Plans,
) -> tuple[dict[str, Any], bool]:
    """What the environment's instances ask for, of all apps that are live or about to be."""
    everything = await snapshot.take(session, place, None, None)
    rolled = {rollout.slug: rollout for rollout in rollouts}
    old = quota.together([await _runs(session, before.get(slug, state), plans) for slug, state in everything.items()])
    old += quota.together(
        [await _runs(session, before[slug], plans) for slug in sorted(before.keys() - everything.keys())]
    )
    surge, parts = Demand(), []
    for slug, state in everything.items():
        if (rollout := rolled.get(slug)) is None:
            parts.append(await _runs(session, after.get(slug, state), plans))
            continue
        instances = instances_of(rollout.pair, rollout.release.processes)
        parts.append(quota.demand_of(rollout.release.processes, instances, plans))
        surge += quota.surge_of(rollout.release.processes, instances, plans)
    new = quota.together(parts)
    limit = Demand(cpu_millis=limits.cpu_millis, memory_mib=limits.memory_mib, pods=limits.pods)
    effect: Mapping[str, Demand] = {"before": old, "after": new, "surge": surge, "limit": limit}
    shown = {name: demand.document() for name, demand in effect.items()}
    return shown, bool(rollouts) and not (new + surge).is_within(limit)


async def _runs(session: TenantSession, state: AppState, plans: Plans) -> Demand:
    """What an app that nothing is deployed for asks for now."""
    live = await _live(session, state.pair)
    if live is None:
        return Demand()
    instances: dict[str, int] = state.pair.seen.get("instances") or instances_of(state.pair, live.processes)
    return quota.demand_of(live.processes, instances, plans)
