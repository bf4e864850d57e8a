"""Stored lines in PostgreSQL: chunks of the organization, read under the caller's own rights."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from kovra.adapters.cluster.lines import Line
from kovra.features.logs import queries
from kovra.features.logs.protocol import MOST_PODS, Place
from kovra.features.logs.queries import ChunkRow
from kovra.features.logs.rules.chunks import ChunkHead, merged, opened
from kovra.features.logs.service.store import Backward, Edge, Forward, OpenSession, Wanted

CHUNKS: Final = 48
"""Chunks opened at a time; one of each pod may reach across the place that is looked at, so these must be more."""
STEPS: Final = 8
"""How often one call looks further when what it has opened holds too little that matches."""
_ALWAYS: Final = 1 << 62


class PostgresLogs:
    """The log store of installations without a telemetry stack; see ``LogStore`` for what its methods answer."""

    async def after(self, opens: OpenSession, wanted: Wanted, place: Place, limit: int) -> Forward:
        """From a place on."""
        place, more, chunks = place.copy(), True, CHUNKS
        found: list[Line] = []
        for _ in range(STEPS):
            rows = await self._rows_after(opens, wanted, place, chunks)
            lines = await _opened(rows[:chunks])
            more = len(rows) > chunks
            if more:
                # Whatever a chunk not opened yet holds is no older than its first line.
                lines = [line for line in lines if line.time_ns <= rows[chunks].first_ns]
            new = 0
            for line in lines:
                if len(found) >= limit:
                    return Forward(lines=found, place=place, more=True)
                if (wanted.until_ns is None or line.time_ns < wanted.until_ns) and place.take(line):
                    new += 1
                    if wanted.matches(line):
                        found.append(line)
            if not more:
                break
            chunks = chunks if new else 2 * chunks
        return Forward(lines=found, place=place, more=more)

    async def _rows_after(self, opens: OpenSession, wanted: Wanted, place: Place, chunks: int) -> list[ChunkRow]:
        keys = list(place.pods)
        async with opens() as session:
            return await session.all(
                queries.AFTER,
                org_id=session.org_id,
                app_environment_id=wanted.target.app_environment_id,
                process=wanted.target.process,
                since=wanted.since_ns or 0,
                until=wanted.until_ns or _ALWAYS,
                base=place.base,
                keys=keys,
                times=[place.pods[key][0] for key in keys],
                numbers=[place.pods[key][1] for key in keys],
                limit=chunks + 1,
            )

    async def before(self, opens: OpenSession, wanted: Wanted, edge: Edge | None, limit: int) -> Backward:
        """Before an edge, or from the newest line back."""
        found: list[Line] = []
        chunks = CHUNKS
        for _ in range(STEPS):
            rows = await self._rows_before(opens, wanted, edge, chunks)
            lines = [line for line in await _opened(rows[:chunks]) if edge is None or line.order < edge]
            more = len(rows) > chunks
            if more:
                # Whatever a chunk not opened yet holds is no newer than its last line.
                lines = [line for line in lines if line.time_ns > rows[chunks].last_ns]
            for line in reversed(lines):
                edge = line.order
                if wanted.matches(line):
                    found.append(line)
                    if len(found) >= limit:
                        return Backward(lines=found, edge=edge)
            if not more:
                return Backward(lines=found, edge=None)
            # So many pods wrote at once that all opened chunks reach across the edge: open more.
            chunks = chunks if lines else 2 * chunks
        return Backward(lines=found, edge=edge)

    async def _rows_before(self, opens: OpenSession, wanted: Wanted, edge: Edge | None, chunks: int) -> list[ChunkRow]:
        until = min(wanted.until_ns or _ALWAYS, edge[0] + 1 if edge else _ALWAYS)
        async with opens() as session:
            return await session.all(
                queries.BEFORE,
                org_id=session.org_id,
                app_environment_id=wanted.target.app_environment_id,
                process=wanted.target.process,
                since=wanted.since_ns or 0,
                until=until,
                limit=chunks + 1,
            )

    async def stored(self, opens: OpenSession, wanted: Wanted) -> Place:
        """How far each pod's lines are stored."""
        async with opens() as session:
            rows = await session.all(
                queries.POSITIONS,
                org_id=session.org_id,
                app_environment_id=wanted.target.app_environment_id,
                limit=MOST_PODS,
            )
        base = max(0, (wanted.since_ns or 1) - 1)
        marks = {row.pod_key: (row.last_ns, row.last_number) for row in rows if row.last_ns > base}
        return Place(base, marks, max((mark[0] for mark in marks.values()), default=base))


async def _opened(rows: Sequence[ChunkRow]) -> list[Line]:
    """Opened beside the event loop: a search opens megabytes."""
    return await asyncio.to_thread(_open_all, rows) if rows else []


def _open_all(rows: Sequence[ChunkRow]) -> list[Line]:
    return merged(
        opened(ChunkHead(pod=r.pod, process=r.process, release=r.release, first=(r.first_ns, r.first_number)), r.data)
        for r in rows
    )
