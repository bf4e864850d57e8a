"""Applying a change set: only to what it was made against, all of it or nothing, once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from kovra.features.changesets import queries
from kovra.features.changesets.queries import ChangeSetRow
from kovra.features.changesets.rules.wanted import Wanted
from kovra.features.changesets.service import applying, deciding, keeping, snapshot
from kovra.features.changesets.service.applying import Means
from kovra.features.changesets.service.deciding import AppPlan
from kovra.features.changesets.service.snapshot import Snapshot
from kovra.features.changesets.states import State, shown
from kovra.features.deployments.service import start as starting
from kovra.features.deployments.service.start import DeployOptions
from kovra.features.deployments.states import Source
from kovra.foundation.access import Permission
from kovra.foundation.clock import rfc3339
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Conflict, Gone
from kovra.foundation.web.actors import shown as shown_actor

MISSING = "absent"
"""Stands for an app that is not there."""


class Stale(Conflict):
    """What it was made against was changed; facts: ``changed``, ``by``."""

    code = "change_set_stale"


def slugs_of(wanted: Wanted) -> list[str] | None:
    """Which apps it reads and locks; None: all of the project."""
    return None if wanted.prune else sorted(wanted.apps)


def base_of(before: Snapshot, slugs: list[str]) -> dict[str, Any]:
    """Part by part, what a change set was made against."""
    return {slug: before[slug].versions() if slug in before else MISSING for slug in sorted({*slugs, *before})}


async def apply(session: TenantSession, store: HolderKeyStore, row: ChangeSetRow, options: DeployOptions) -> list[UUID]:
    """Make it so, and start a deployment for each app that needs one. Raises Stale, Gone, and what single changes raise."""
    _require_ready(row)
    content = await keeping.opened(session, store, row)
    assert content is not None
    wanted, place = content.wanted, await snapshot.place_of(session, row.project_id, row.environment_id)
    slugs = slugs_of(wanted)
    await snapshot.lock(session, place, slugs)
    row = await session.one(queries.CHANGE_SET_FOR_UPDATE, org_id=session.org_id, change_set_id=row.id)
    if row.state == State.applied:  # somebody else was faster
        return []
    await session.prove_again()
    before = await snapshot.take(session, place, slugs, store)
    await _refuse_stale(session, row, base_of(before, sorted(wanted.apps)))
    means = Means(
        session=session, store=store, images=options.images, plans=options.plans, access=await session.access()
    )
    await applying.carry_out(means, place, wanted, before)
    after = await snapshot.take(session, place, slugs, store)
    decided = deciding.decide(before, after, wanted, await deciding.pending_images(session, place))
    made = [await _deploy(means, options, plan, after, row) for plan in decided.apps if plan.deploys is not None]
    await keeping.applied(session, store, row, made)
    return made


def _require_ready(row: ChangeSetRow) -> None:
    match shown(row.state, row.expires_at):
        case "planning":
            raise Conflict("It is not planned yet.", code="change_set_planning", hint="Wait with GET …?wait=30.")
        case "failed":
            raise Conflict("What it wants cannot be had; see its reason.", code="change_set_failed")
        case "expired":
            raise Gone("It was made too long ago.", code="change_set_expired", hint="Make a new one.")


async def _refuse_stale(session: TenantSession, row: ChangeSetRow, now: Mapping[str, Any]) -> None:
    if now == row.base:
        return
    changed = [
        {"app": slug, "part": part}
        for slug in sorted({*now, *row.base})
        for part in _differing(row.base.get(slug, MISSING), now.get(slug, MISSING))
    ]
    since = row.planned_at or row.created_at
    facts = await session.all(
        queries.SINCE,
        org_id=session.org_id,
        project_id=row.project_id,
        environment_id=row.environment_id,
        since=since,
    )
    by = [
        {
            "type": f.type,
            "actor": shown_actor(f.actor),
            "app": f.app_slug,
            "subject": f.subject,
            "at": rfc3339(f.created_at),
        }
        for f in facts
    ]
    raise Stale(
        "The environment was changed since this was planned; nothing was done.",
        hint="Make a new change set, and look at it.",
        facts={"changed": changed[:100], "by": by},
    )


def _differing(one: Any, two: Any) -> list[str]:
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        return sorted(part for part in {*one, *two} if one.get(part) != two.get(part))
    return ["app"] if one != two else []


async def _deploy(means: Means, options: DeployOptions, plan: AppPlan, after: Snapshot, row: ChangeSetRow) -> UUID:
    means.access.require(Permission.deployments_create)
    session, state = means.session, after[plan.slug]
    pair = await starting.lock(session, state.pair.id)
    if plan.deploys == "scale":
        made = await starting.act(session, means.store, pair, Source.scale, options, scale=dict(pair.scale))
    else:
        made = await starting.deploy_image(
            session, means.store, pair, plan.image, options, trigger=row.trigger, message=row.message
        )
    return made.id
