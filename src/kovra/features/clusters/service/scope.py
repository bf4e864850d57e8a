"""What a customer's cluster may speak about: what is placed on it, and nothing else.

Its owner can write any label. Without this a cluster could wake, or put lines into the logs of, whatever it names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final
from uuid import UUID

from kovra.features.clusters import queries
from kovra.foundation.db.database import Database
from kovra.foundation.db.statements import Statement
from kovra.foundation.errors import KovraError
from kovra.foundation.ids import NIL
from kovra.foundation.observability import logger

_SOON_S: Final = 1.0
"""Between two looks because something unknown was named."""
_EVERY_S: Final = 60.0
_MOST: Final = 10_000


class Scope:
    """The environments and app environments of one cluster, read again now and then, and when an unknown one is named."""

    def __init__(self, database: Database, org_id: UUID, cluster_id: UUID) -> None:
        self._database, self.org_id, self.cluster_id = database, org_id, cluster_id
        self._known: frozenset[UUID] = frozenset()
        self._unknown = asyncio.Event()
        self._told: list[Callable[[], None]] = []

    def admits(self, org_id: UUID, place_id: UUID) -> bool:
        """Whether an environment or app environment is one of the cluster's; of an unknown one the answer may be another in a second."""
        if org_id != self.org_id:
            return False
        if place_id in self._known:
            return True
        self._unknown.set()
        return False

    def when_read(self, tell: Callable[[], None]) -> None:
        """Be told each time they were read."""
        self._told.append(tell)

    async def run(self) -> None:
        """Keep what is known fresh, until cancelled."""
        while True:
            try:
                self._known = frozenset(
                    found for pair in await self._placed() for found in (pair.id, pair.environment_id)
                )
                for tell in self._told:
                    tell()
            except KovraError as error:
                logger.warning("cluster_scope_unknown", code=error.error_code)
            await asyncio.sleep(_SOON_S)
            try:
                async with asyncio.timeout(_EVERY_S):
                    await self._unknown.wait()
            except TimeoutError:
                continue
            finally:
                self._unknown.clear()

    async def live(self) -> list[UUID]:
        """Those that have a live release."""
        return [pair.id for pair in await self._read(queries.LIVE_ON)]

    async def _placed(self) -> list[queries.Pair]:
        return await self._read(queries.PLACED_ON)

    async def _read(self, which: Statement[queries.Pair]) -> list[queries.Pair]:
        found: list[queries.Pair] = []
        after = NIL
        while len(found) < _MOST:
            async with self._database.organization(self.org_id) as session:
                rows = await session.all(which, org_id=self.org_id, cluster_id=self.cluster_id, after=after)
            found += rows
            if len(rows) < queries.PAGE:
                break
            after = rows[-1].id
        return found
