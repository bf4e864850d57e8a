"""The watch over customers' clusters: what is to be looked at is, and each cluster has its watchers.

One for all of them (its caller leads by advisory lock). A cluster's watchers are tasks of their own: one that breaks, or
waits for its cluster, holds up no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from kovra.adapters.cluster.client import ClusterClient
from kovra.features.clusters import queries
from kovra.features.clusters.messages import CheckCluster
from kovra.features.clusters.queries import Registered
from kovra.features.clusters.service.fleet import Fleet
from kovra.features.clusters.service.looking import next_look_s
from kovra.features.clusters.service.scope import Scope
from kovra.foundation.db.database import Database
from kovra.foundation.errors import KovraError, NotFound
from kovra.foundation.ids import NIL
from kovra.foundation.jobs.loops import without_text
from kovra.foundation.jobs.messages import enqueue
from kovra.foundation.observability import CLUSTERS_WATCHED, logger

EVERY_S: Final = 5.0
MOST: Final = 500
"""Clusters that one process watches."""
_PAGE: Final = 200
_AGAIN_S: Final = 5.0
"""A cluster's watchers that broke begin again so much later, then later and later."""
_LONGEST_S: Final = 60.0

Watch = Callable[[ClusterClient, Scope], Awaitable[None]]
"""Everything that watches one cluster, until it is cancelled."""


@dataclass(slots=True)
class _Watched:
    revision: int
    task: asyncio.Task[None]


class FleetWatcher:
    """Watches until it is cancelled."""

    def __init__(self, database: Database, fleet: Fleet, watch: Watch, *, every_s: float = EVERY_S) -> None:
        self._database, self._fleet, self._watch, self._every_s = database, fleet, watch, every_s
        self._watched: dict[UUID, _Watched] = {}

    async def run(self) -> None:
        """Go round; what fails is tried in the next round."""
        try:
            while True:
                try:
                    await self._round()
                except KovraError as error:
                    logger.warning("clusters_not_read", code=error.error_code)
                await asyncio.sleep(self._every_s)
        finally:
            for watched in self._watched.values():
                watched.task.cancel()
            await asyncio.gather(*(w.task for w in self._watched.values()), return_exceptions=True)
            self._watched.clear()
            CLUSTERS_WATCHED.set(0)

    async def _round(self) -> None:
        there: set[UUID] = set()
        after, full = NIL, True
        while full:
            rows = await self._database.door("registered_clusters", Registered, _PAGE, after)
            for row in rows:
                there.add(row.id)
                await self._see_to(row)
            full = len(rows) == _PAGE
            after = rows[-1].id if rows else NIL
        for gone in self._watched.keys() - there:
            self._watched.pop(gone).task.cancel()
        CLUSTERS_WATCHED.set(len(self._watched))

    async def _see_to(self, row: Registered) -> None:
        if row.is_due:
            await self._have_looked_at(row)
        watched = self._watched.get(row.id)
        if watched is not None and watched.revision == row.revision and not watched.task.done():
            return
        if watched is not None:
            watched.task.cancel()
        elif len(self._watched) >= MOST:
            logger.error("too_many_clusters_to_watch", most=MOST)
            return
        self._watched[row.id] = _Watched(row.revision, asyncio.create_task(self._keep(row)))

    async def _have_looked_at(self, row: Registered) -> None:
        try:
            async with self._database.organization(row.org_id) as session:
                cluster = await session.one(queries.CLUSTER, org_id=row.org_id, cluster_id=row.id)
                await session.execute(queries.LOOK_LATER, org=row.org_id, this=row.id, after_s=next_look_s(cluster))
                enqueue(session, CheckCluster(id=row.id))
        except NotFound:
            return

    async def _keep(self, row: Registered) -> None:
        """Watch one cluster, again and again."""
        wait_s = _AGAIN_S
        while True:
            try:
                async with self._fleet.connected(row.org_id, row.id) as connection:
                    await self._watch(connection.client, Scope(self._database, row.org_id, row.id))
            except NotFound:
                return
            except Exception as defect:  # an outermost loop: a cluster's answers may break what reads them
                logger.warning("cluster_not_watched", error=type(defect).__name__, exc_info=without_text(defect))
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, _LONGEST_S)
