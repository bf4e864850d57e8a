"""Planning in the worker: rehearsed in the database, then asked of the cluster by dry run, then written down."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.differences import Difference
from kovra.adapters.cluster.differences import replaced as differences
from kovra.adapters.cluster.errors import (
    ClusterConflict,
    ClusterDenied,
    ClusterForeign,
    ClusterNotFound,
    ClusterRefused,
    ClusterUnreachable,
)
from kovra.adapters.cluster.manifests import workload_manifests
from kovra.adapters.cluster.manifests.workload import PULL
from kovra.adapters.cluster.workload import ObjectRef
from kovra.features.changesets import queries
from kovra.features.changesets.messages import PlanChangeSet
from kovra.features.changesets.queries import ChangeSetRow
from kovra.features.changesets.rules.warnings import warning
from kovra.features.changesets.service import keeping, rehearsing
from kovra.features.changesets.service.rehearsing import UNRESOLVED, Rehearsed, Rollout
from kovra.features.changesets.states import State
from kovra.features.clusters.queries import OF_ENVIRONMENT
from kovra.features.clusters.service.fleet import Fleet
from kovra.features.deployments.compose import Placing, compose, instances_of
from kovra.features.deployments.service import progress
from kovra.features.organizations import queries as organization_queries
from kovra.features.projects.rules import ImageRules
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.errors import Conflict, Invalid, NotFound, Permanent, QuotaExceeded
from kovra.foundation.ids import new_id
from kovra.foundation.jobs.handling import JobContext
from kovra.foundation.observability import logger

_PLANNED: Final = "planned"
"""Ends the name of a Secret that is not made yet: by its content, which nobody opens for a plan."""
Found = dict[str, Any]


async def plan_change_set(context: JobContext, job: PlanChangeSet) -> None:
    """Find out and write down; twice is the same as once."""
    store = context.registry.get(HolderKeyStore)
    async with context.session() as session:
        row = await session.find(queries.CHANGE_SET, org_id=context.org_id, change_set_id=job.id)
        plan = (await session.one(organization_queries.ORGANIZATION, org_id=context.org_id)).plan
    if row is None or row.state != State.planning:
        return
    try:
        rehearsed = await _rehearsed(context, store, row, plan)
    except (Invalid, Conflict, NotFound, QuotaExceeded) as impossible:
        async with context.session() as session:
            await keeping.failed(session, row, impossible)
        return
    objects, warnings = await _dry_run(context, rehearsed, plan)
    document = {**rehearsed.plan, "objects": objects, "warnings": [*rehearsed.plan["warnings"], *warnings]}
    async with context.session() as session:
        await keeping.planned(session, store, row, rehearsed.content, plan=document, base=rehearsed.base)


async def _rehearsed(context: JobContext, store: HolderKeyStore, row: ChangeSetRow, plan: str) -> Rehearsed:
    images, placing = context.registry.get(ImageRules), context.registry.get(Placing)
    found: list[Rehearsed] = []
    with rehearsing.taking_back(found):
        async with context.session() as session:
            await rehearsing.rehearse(session, store, row, images, placing.plans, placing.quota_of(plan))
    return found[0]


async def give_up(context: JobContext, job: PlanChangeSet) -> None:
    """The last attempt has failed: nobody waits for it for ever."""
    async with context.session() as session:
        row = await session.find(queries.CHANGE_SET, org_id=context.org_id, change_set_id=job.id)
        if row is not None and row.state == State.planning:
            await keeping.failed(session, row, Permanent("It could not be planned.", code="planning_failed"))


async def _dry_run(context: JobContext, rehearsed: Rehearsed, plan: str) -> tuple[list[Found] | None, list[Found]]:
    """What the cluster would make of it, and warnings; None: it does not say."""
    fleet, objects = context.registry.get(Fleet), list[Found]()
    try:
        for rollout in rehearsed.rollouts:
            async with fleet.of_row(context, OF_ENVIRONMENT, rollout.pair.environment_id) as there:
                objects += await _rolled_out(there, rollout, plan)
        for pair in rehearsed.removed:
            objects += [_gone(pair.app_slug, ref) for ref in progress.inventory_of(pair)]
    except (ClusterUnreachable, ClusterDenied) as away:
        logger.warning("dry_run_impossible", code=away.error_code)
        return None, [warning("objects_unknown")]
    refused = [one for one in objects if one["refused"]]
    return objects, [warning("refused", one["app"], f"{one['kind']} {one['name']}") for one in refused]


async def _rolled_out(context: JobContext, rollout: Rollout, plan: str) -> list[Found]:
    pair, slug = rollout.pair, rollout.slug
    documents = _documents(context, rollout, plan)
    found = []
    for document in documents:
        context.check_time()
        one = await _object(context.registry.get(ClusterClient), slug, document)
        found += [one] if one else []
    kept = {(ref.kind, ref.name) for ref in map(ObjectRef.of, documents)}
    recorded = progress.inventory_of(pair)
    return found + [_gone(slug, ref) for ref in recorded if ref.kind != "Secret" and (ref.kind, ref.name) not in kept]


def _documents(context: JobContext, rollout: Rollout, plan: str) -> list[dict[str, Any]]:
    """What would be applied, the values of the Secret excepted: no secret is opened to look."""
    pair, release = rollout.pair, rollout.release
    secrets = [ref.name for ref in progress.inventory_of(pair) if ref.kind == "Secret"]
    values = [name for name in secrets if PULL not in name]
    workload = compose(
        context.org_id,
        pair,
        release,
        {},
        deployment_id=pair.current_deployment_id or new_id(),
        placing=context.registry.get(Placing),
        plan=plan,
        instances=instances_of(pair, release.processes),
        restarted_at=pair.seen.get("restarted_at"),
    )
    pull_in = next((name for name in secrets if PULL in name), None)
    sealed_in = values[0] if rollout.keeps_values and values else f"{pair.app_slug}-{_PLANNED}"
    return workload_manifests(replace(workload, sealed_in=sealed_in, pull_in=pull_in))


async def _object(client: ClusterClient, app: str, document: dict[str, Any]) -> Found | None:
    """One object by dry run; None: nothing of it changes."""
    ref = ObjectRef.of(document)
    if ref.kind == "Secret":
        return _told(app, ref, "create") if ref.name.endswith(f"-{_PLANNED}") else None
    live = await client.find(ref)
    try:
        then = await client.apply(document, dry_run=True)
    except ClusterNotFound:  # its namespace is not made yet: nothing is there that it could differ from
        return _told(app, ref, "create")
    except (ClusterRefused, ClusterForeign, ClusterConflict) as refused:
        return _told(app, ref, "change" if live else "create", refused=refused.error_code)
    if live is None:
        return _told(app, ref, "create", dry_run=True)
    fields = differences(live, then)
    return _told(app, ref, "change", fields, dry_run=True) if fields else None


def _told(
    app: str,
    ref: ObjectRef,
    change: str,
    fields: list[Difference] | None = None,
    *,
    dry_run: bool = False,
    refused: str | None = None,
) -> Found:
    shown = [{"path": d.path, "before": d.found, "after": _resolved_later(d.wanted)} for d in fields or ()]
    return {
        "app": app, "kind": ref.kind, "name": ref.name, "change": change, "fields": shown, "dry_run": dry_run,
        "refused": refused,
    }  # fmt: skip


def _resolved_later(value: str | None) -> str | None:
    return value.replace(UNRESOLVED, "(resolved by the deployment)") if value else value


def _gone(app: str, ref: ObjectRef) -> Found:
    return _told(app, ref, "delete")
