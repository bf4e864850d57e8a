"""The worker's fleet: how customers' clusters are reached, what a job at one is given, and what watches each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.customers import Reach
from kovra.features.clusters.queries import ClusterRow
from kovra.features.clusters.service.fleet import Bulkheads, ClosableTokens, Fleet, Found
from kovra.features.clusters.service.scope import Scope
from kovra.features.clusters.watchers import Watch
from kovra.features.deployments.compose import Placing
from kovra.features.deployments.watchers import ClusterWatcher
from kovra.features.drift.watchers import DriftWatcher
from kovra.features.logs.service.collecting import Masks
from kovra.features.logs.watchers import LogCollector
from kovra.foundation.db.database import Database
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.jobs.messages import Job
from kovra.foundation.registry import Registry
from kovra.settings import Settings

if TYPE_CHECKING:
    from kovra.adapters.aws.clusters import CustomersEks

PODS: Final = 200
"""Of one customer's cluster, whose logs are collected."""
KEPT_FREE: Final = 4
"""Slots of a worker that customers' clusters never take."""


class _Directory:
    """EKS by way of AWS; boto3 is imported when the first such cluster is met, and by no worker without one."""

    def __init__(self) -> None:
        self._eks: CustomersEks | None = None

    def _made(self) -> CustomersEks:
        from kovra.adapters.aws.clusters import CustomersEks

        if self._eks is None:
            self._eks = CustomersEks()
        return self._eks

    async def describe(self, row: ClusterRow) -> Found:
        from kovra.adapters.aws.roles import Role

        made, known = self._made(), _known(row)
        return await made.describe(Role(**known), row.eks_cluster or "")

    def tokens(self, row: ClusterRow) -> ClosableTokens:
        from kovra.adapters.aws.roles import Role

        return self._made().tokens(Role(**_known(row)), row.eks_cluster or "")

    def close(self) -> None:
        if self._eks is not None:
            self._eks.close()


def _known(row: ClusterRow) -> dict[str, str]:
    return {
        "arn": row.eks_role_arn or "",
        "external_id": row.eks_external_id or "",
        "region": row.eks_region or "",
    }


def placed(registry: Registry, client: ClusterClient, row: ClusterRow | None) -> Registry:
    """What a job at a cluster is given: its client, and how workloads are placed there. None: Kovra's own."""
    there = registry.over(ClusterClient, client)
    if row is None:
        return there
    placing = registry.get(Placing)
    by_role = row.report.get("rights_inside") != "held"
    return there.over(
        Placing,
        replace(
            placing,
            apps_domain=row.apps_domain or placing.apps_domain,
            routing=row.routing,
            cluster_user=row.username if by_role else None,
            # Pools of nodes are Kovra's own cluster's.
            pools={},
        ),
    )


@asynccontextmanager
async def fleet_of(registry: Registry, home: ClusterClient, reach: Reach, *, concurrency: int) -> AsyncIterator[Fleet]:
    """The fleet, in the registry until the block is left."""
    directory = _Directory()
    bulkheads = Bulkheads(together=max(1, concurrency - KEPT_FREE), each=max(1, min(3, concurrency - KEPT_FREE)))
    fleet = Fleet(
        home,
        registry.get(Database),
        registry.get(HolderKeyStore),
        reach=reach,
        eks=directory,
        overlay=placed,
        bulkheads=bulkheads,
    )
    registry.add(Fleet, fleet)
    try:
        yield fleet
    finally:
        await fleet.close()
        directory.close()


def watching(settings: Settings, registry: Registry, others: Mapping[str, tuple[str, type[Job]]]) -> Watch:
    """Everything that watches one customer's cluster."""
    database, store = registry.get(Database), registry.get(HolderKeyStore)

    async def watch(client: ClusterClient, scope: Scope) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(scope.run())
            group.create_task(ClusterWatcher(database, client, others=others, scope=scope).run())
            group.create_task(DriftWatcher(database, client, scope=scope).run())
            if settings.log_store == "postgres":
                options = replace(settings.collector(), pods=PODS)
                group.create_task(LogCollector(database, client, Masks(database, store), options, scope=scope).run())

    return watch
