"""An app environment's objects against what was applied, and putting them back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.differences import EXACT, Difference, differences, secret_values
from kovra.adapters.cluster.errors import ClusterForeign, ClusterNotFound, ClusterRefused
from kovra.adapters.cluster.manifests import workload_manifests
from kovra.adapters.cluster.manifests.scaling import least_by_target
from kovra.adapters.cluster.manifests.volumes import CLAIM
from kovra.adapters.cluster.manifests.workload import PULL, name_of_content, route_manifests
from kovra.adapters.cluster.scaling import apply_scaled
from kovra.adapters.cluster.workload import ObjectRef, Workload
from kovra.features.deployments import queries as deployment_queries
from kovra.features.deployments.compose import Placing, compose
from kovra.features.deployments.messages import ReapplyRelease
from kovra.features.deployments.queries import ReleaseRow
from kovra.features.deployments.service import progress
from kovra.features.deployments.service.acting import denied_later, refs_of
from kovra.features.deployments.service.opening import open_release
from kovra.features.drift import queries
from kovra.features.drift.messages import CheckDrift, CheckWalls
from kovra.features.drift.rules.items import Found, Item, is_fought_over, item_of, merged, put_back
from kovra.features.drift.service import reports
from kovra.features.drift.service.reports import Checks
from kovra.features.organizations import queries as organization_queries
from kovra.features.projects import queries as project_queries
from kovra.features.projects.queries import AppEnvironmentRow
from kovra.foundation import clock
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.jobs.handling import JobContext
from kovra.foundation.jobs.messages import enqueue
from kovra.foundation.observability import logger

SOON_S: Final = 60.0
"""What changes is looked at again so much later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """What is to be looked at."""

    row: AppEnvironmentRow
    release: ReleaseRow
    workload: Workload
    documents: list[dict[str, Any]]
    """As applied; of the Secret, only what is no value."""
    report: queries.ReportRow
    applied: dict[str, Any]


async def check_drift(context: JobContext, job: CheckDrift) -> None:
    """Look, put back what may be, and write down both."""
    async with context.session() as session:
        subject = await _subject(context, session, job)
    if subject is None:
        return
    with denied_later():
        found = await _look(context.registry.get(ClusterClient), subject)
        before = [item_of(document) for document in subject.report.items or []]
        seen = merged(before, found, clock.now())
        after = await _restored(context, subject, seen)
    async with context.session() as session:
        await reports.write_report(session, subject.row, before, seen, after, subject.applied)


async def _subject(context: JobContext, session: TenantSession, job: CheckDrift) -> _Subject | None:
    """What to look at; None where nothing serves, or where it is just being changed."""
    row = await session.find(project_queries.APP_ENVIRONMENT, org_id=context.org_id, app_environment_id=job.id)
    if row is None or row.current_release_id is None or row.current_deployment_id is None:
        return None
    report = await session.one(queries.REPORT, org_id=context.org_id, app_environment_id=row.id)
    every_s = context.registry.get(Checks).every_s
    if _is_old(report, every_s):
        enqueue(session, CheckWalls(id=row.environment_id))
    open_ones = await session.all(deployment_queries.OPEN_DEPLOYMENTS, org_id=context.org_id, app_environment_id=row.id)
    secrets = [ref.name for ref in progress.inventory_of(row) if ref.kind == "Secret"]
    sealed_in = [name for name in secrets if PULL not in name]
    pull_in = [name for name in secrets if PULL in name]
    is_changing = open_ones or progress.is_unsettled(row) or progress.is_reach_behind(row)
    if is_changing or len(sealed_in) != 1 or len(pull_in) > 1:
        await reports.look_again(session, row.id, min(every_s, SOON_S))
        await reports.write_unknown(session, row, report, "changing")
        return None
    await reports.look_again(session, row.id, every_s)
    release = await session.one(deployment_queries.RELEASE, org_id=context.org_id, release_id=row.current_release_id)
    plan = (await session.one(organization_queries.ORGANIZATION, org_id=context.org_id)).plan
    workload = _workload(context, row, release, plan=plan, sealed_in=sealed_in[0], pull_in=next(iter(pull_in), None))
    if not {*refs_of(route_manifests(workload))} <= {*progress.inventory_of(row)}:  # the way to it is being changed
        await reports.write_unknown(session, row, report, "changing")
        return None
    applied = _applied(row, report, workload)
    return _Subject(
        row=row, release=release, workload=workload, documents=applied["documents"], report=report, applied=applied
    )


def _is_old(report: queries.ReportRow, every_s: float) -> bool:
    at = report.walls_checked_at
    return at is None or (clock.now() - at).total_seconds() >= every_s / 2


def _workload(
    context: JobContext,
    row: AppEnvironmentRow,
    release: ReleaseRow,
    *,
    plan: str,
    sealed_in: str,
    pull_in: str | None,
) -> Workload:
    assert row.current_deployment_id is not None
    workload = compose(
        context.org_id,
        row,
        release,
        {},
        deployment_id=row.current_deployment_id,
        placing=context.registry.get(Placing),
        plan=plan,
        instances=progress.instances_seen(row, release.processes),
        restarted_at=row.seen.get("restarted_at"),
    )
    return replace(workload, sealed_in=sealed_in, pull_in=pull_in)


def _applied(row: AppEnvironmentRow, report: queries.ReportRow, workload: Workload) -> dict[str, Any]:
    """What was put into the cluster. A later version of Kovra, or another setting, would put something else: that is no
    drift, and waits for the next deployment.
    """
    key = f"{row.current_deployment_id} {row.reach} {row.maintenance} {json.dumps(row.seen, sort_keys=True)}"
    known = report.applied or {}
    if known.get("of") == key:
        return known
    return {
        "of": key,
        "documents": [_valueless(document) for document in workload_manifests(workload) if document["kind"] != CLAIM],
    }


def _valueless(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "data"} if _is_secret(document) else document


def _is_secret(document: dict[str, Any]) -> bool:
    return bool(document["kind"] == "Secret")


async def _look(client: ClusterClient, subject: _Subject) -> list[Found]:
    found = []
    for document in subject.documents:
        live = await client.find(ObjectRef.of(document))
        kind, name = document["kind"], document["metadata"]["name"]
        if live is None or "deletionTimestamp" in live["metadata"]:
            found.append(Found(kind=kind, name=name, change="deleted"))
            continue
        paths = differences(document, live)
        if _is_secret(document) and not _holds_what_it_is_named_by(subject.workload, name, live):
            paths = [*paths, Difference(path="data", wanted=None, found=None)]
        if paths:
            found.append(Found(kind=kind, name=name, change="changed", paths=tuple(paths)))
    return found


def _holds_what_it_is_named_by(workload: Workload, name: str, live: dict[str, Any]) -> bool:
    """By the digest in its name, so that no value of the organization is opened for it."""
    values = secret_values(live)
    return values is not None and name_of_content(replace(workload, sealed_in=None), values) == name


async def _restored(context: JobContext, subject: _Subject, seen: Sequence[Item]) -> list[Item]:
    """The items after everything was put back that may be."""
    wanted = {(d["kind"], d["metadata"]["name"]): d for d in subject.documents}
    if any(i.is_open and i.change == "deleted" for i in seen) and await _is_lost(context, subject):
        # The cluster has lost it, which is no drift: everything comes back, its walls first.
        async with context.session() as session:
            enqueue(session, ReapplyRelease(id=subject.row.id))
            await reports.look_again(session, subject.row.id, SOON_S)
        return list(seen)
    after = []
    for item in seen:
        if not item.is_open or item.key not in wanted:
            after.append(item)
        elif subject.row.drift_policy != "restore":
            after.append(replace(item, reason="report_only"))
        elif is_fought_over(item):
            after.append(replace(item, reason="fought_over"))
        else:
            after.append(await _put_back(context, subject, item, wanted[item.key]))
    return after


async def _is_lost(context: JobContext, subject: _Subject) -> bool:
    """Whether the namespace is gone too."""
    name = subject.workload.placement.namespace
    ref = ObjectRef(api_version="v1", kind="Namespace", namespace="", name=name)
    return await context.registry.get(ClusterClient).find(ref) is None


async def _put_back(context: JobContext, subject: _Subject, item: Item, document: dict[str, Any]) -> Item:
    client = context.registry.get(ClusterClient)
    context.check_time()
    try:
        if _is_secret(document):
            document = await _with_values(context, subject)
            if item.change == "changed":  # it is immutable
                await client.remove(ObjectRef.of(document))
        least = least_by_target(subject.documents).get(item.name) if item.kind == "Deployment" else None
        await apply_whole(client, document, item, least)
    except ClusterForeign:
        return replace(item, reason="not_ours")
    except (ClusterRefused, ClusterNotFound) as refused:
        logger.warning("drift_not_restored", kind=item.kind, code=refused.error_code)
        return replace(item, reason="refused")
    return put_back(item, clock.now())


async def _with_values(context: JobContext, subject: _Subject) -> dict[str, Any]:
    """The Secret itself; that it was opened is told to its organization."""
    async with context.session() as session:
        opened = await open_release(
            session,
            context.registry.get(HolderKeyStore),
            subject.row.id,
            subject.release.id,
            for_deployment=subject.workload.deployment_id,
        )
    workload = replace(subject.workload, environment=opened.environment)
    return next(document for document in workload_manifests(workload) if _is_secret(document))


async def apply_whole(client: ClusterClient, document: dict[str, Any], item: Item, least: int | None = None) -> None:
    """Apply; what was added to a spec, which no apply removes, goes first. ``least``: of what the cluster scales."""
    added = document["kind"] in EXACT or any(d.wanted is None for d in item.paths)
    if item.change == "changed" and added and "spec" in document:
        live = await client.find(ObjectRef.of(document))
        if live is not None:
            client.require_ours(document, live)
            spec = document["spec"] | ({"replicas": live["spec"].get("replicas") or least} if least else {})
            await client.put_spec({**document, "spec": spec}, str(live["metadata"]["uid"]))
    if least:
        await apply_scaled(client, document, least)
    else:
        await client.apply(document)
