"""What both kinds of handlers do with the cluster: open values, compose, apply, look."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID

from kovra.adapters.cluster.client import ClusterClient, to_remove
from kovra.adapters.cluster.errors import ClusterDenied
from kovra.adapters.cluster.manifests import workload_manifests
from kovra.adapters.cluster.status import PodFacts
from kovra.adapters.cluster.walls import raise_walls
from kovra.adapters.cluster.workload import ObjectRef, Workload
from kovra.features.deployments.compose import Placing, compose, isolation_of
from kovra.features.deployments.rules.masking import Mask
from kovra.features.deployments.service import progress
from kovra.features.deployments.service.opening import Opened, open_release
from kovra.features.organizations import queries as organization_queries
from kovra.features.projects import queries as project_queries
from kovra.features.projects.queries import AppEnvironmentRow
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.errors import Retry
from kovra.foundation.jobs.handling import JobContext
from kovra.foundation.observability import logger

DENIED_AGAIN_S: Final = 30.0
"""Credentials of ours that the cluster refuses are mended by people."""


def workload_of(
    context: JobContext, opened: Opened, *, deployment_id: UUID, instances: Mapping[str, int],
    restarted_at: str | None = None,
) -> Workload:  # fmt: skip
    """The workload of an opened release."""
    return compose(
        context.org_id,
        opened.row,
        opened.release,
        opened.environment,
        deployment_id=deployment_id,
        placing=context.registry.get(Placing),
        plan=opened.plan,
        instances=instances,
        restarted_at=restarted_at,
    )


@contextmanager
def denied_later() -> Iterator[None]:
    """A job whose credentials the cluster refuses comes back now and then, and is no dead letter."""
    try:
        yield
    except ClusterDenied as denied:
        logger.error("cluster_denied", code=denied.error_code)
        raise Retry(after_s=DENIED_AGAIN_S, why="the cluster refuses Kovra's credentials") from None


async def wall_in(context: JobContext, row: AppEnvironmentRow) -> None:
    """Namespace, policies, quota and account, before anything runs there."""
    async with context.session() as session:
        plan = (await session.one(organization_queries.ORGANIZATION, org_id=context.org_id)).plan
    isolation = isolation_of(context.org_id, row, context.registry.get(Placing), plan)
    await raise_walls(context.registry.get(ClusterClient), isolation, check=context.check_time)


def refs_of(documents: list[dict[str, Any]]) -> list[ObjectRef]:
    """The inventory of a set of manifests."""
    return [ObjectRef.of(document) for document in documents]


async def apply_all(context: JobContext, documents: list[dict[str, Any]]) -> None:
    """Apply in order, while this run's time lasts: afterwards another worker may be at it."""
    client = context.registry.get(ClusterClient)
    for document in documents:
        context.check_time()
        await client.apply(document)


async def prune(context: JobContext, recorded: Iterable[ObjectRef], keep: Iterable[ObjectRef]) -> None:
    """Delete what was recorded and is wanted no more, while this run's time lasts."""
    client = context.registry.get(ClusterClient)
    for ref in to_remove(recorded, keep):
        context.check_time()
        await client.remove(ref)


async def put_back(context: JobContext, app_environment_id: UUID, release_id: UUID, deployment_id: UUID) -> None:
    """Make the cluster run this release again: everything of it, and nothing that was recorded besides it."""
    store = context.registry.get(HolderKeyStore)
    async with context.session() as session:
        opened = await open_release(session, store, app_environment_id, release_id, for_deployment=deployment_id)
        instances = progress.instances_seen(opened.row, opened.release.processes)
        workload = workload_of(
            context,
            opened,
            deployment_id=deployment_id,
            instances=instances,
            restarted_at=opened.row.seen.get("restarted_at"),
        )
        documents = workload_manifests(workload)
        wanted = refs_of(documents)
        await progress.add_to_inventory(session, opened.row, wanted)
    await wall_in(context, opened.row)
    await apply_all(context, documents)
    recorded = [*progress.inventory_of(opened.row), *wanted]
    await prune(context, recorded, wanted)
    async with context.session() as session:
        await progress.replace_inventory(session, app_environment_id, recorded, wanted)
        await progress.settled(session, opened.row, instances)


async def take_out(context: JobContext, app_environment_id: UUID) -> None:
    """Remove everything recorded of an app environment from the cluster."""
    async with context.session() as session:
        row = await session.find(
            project_queries.ANY_APP_ENVIRONMENT, org_id=context.org_id, app_environment_id=app_environment_id
        )
    if row is None or not row.inventory:
        return
    recorded = progress.inventory_of(row)
    await prune(context, recorded, ())
    async with context.session() as session:
        await progress.replace_inventory(session, app_environment_id, recorded, ())
        # Whoever brings it back starts from nothing.
        await progress.unsettled(session, row)


async def last_lines(context: JobContext, namespace: str, pod: PodFacts | None, mask: Mask) -> list[str]:
    """A pod's last lines as evidence: of the run that ended, when it was restarted; masked."""
    if pod is None:
        return []
    client = context.registry.get(ClusterClient)
    text = await client.logs(namespace, pod.name, lines=30, previous=pod.restarts > 0)
    if not text and pod.restarts > 0:
        text = await client.logs(namespace, pod.name, lines=30)
    return [mask(line) for line in text.splitlines()[-30:]]
