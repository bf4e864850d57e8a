"""Stored and live lines as one, page by page or without end. The seam has neither gap nor repetition: both sources give a
pod's lines in the same order with the same marks, and a reader's place says which of them it has had.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from kovra.adapters.cluster.lines import Dropped, Line
from kovra.features.logs.protocol import LARGEST_TAIL, LogRequest, Place, nanoseconds
from kovra.features.logs.service.live import Streamer, StreamerAway
from kovra.features.logs.service.seam import Seam
from kovra.features.logs.service.store import Edge, LogStore, OpenSession, Wanted
from kovra.foundation import clock

RECENT_NS: Final = 120 * 10**9
"""Lines younger than this may not be stored yet: pages that reach so far also ask the cluster."""
PAGE: Final = 1000
LOOK_S: Final = 1.0
"""A follower is given an empty batch after so long without lines."""
STORED_EVERY_S: Final = 3.0
"""How often a follower looks at what was stored: lines of pods that died before they were read live."""
_AGAIN_S: Final = (0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some lines in order of time."""

    lines: list[Line]
    live: bool
    """Whether the cluster was asked and answered."""
    older: Edge | None = None
    """Where the page before begins, when there may be one."""
    further: Place | None = None
    """Where to go on, for pages that go forward."""
    more: bool = False


@dataclass(frozen=True, slots=True)
class Live:
    """Lines come from the cluster from now on, or only from what is stored."""

    live: bool


@dataclass(frozen=True, slots=True)
class _Stored:
    """Lines that came from the store while live ones do, too."""

    lines: list[Line]


Batch = Sequence[Line | Dropped | Live]
_Queue = asyncio.Queue[list[Line | Dropped] | _Stored | Live]


class LogReader:
    """Reads logs for the api; either source may be missing or away."""

    def __init__(self, streamer: Streamer | None, store: LogStore | None) -> None:
        self._streamer, self._store = streamer, store

    async def newest(self, opens: OpenSession, wanted: Wanted, edge: Edge | None, limit: int) -> Page:
        """The newest lines, or those before an edge."""
        # In this order: what is stored in between is then read twice, which shows, and nothing is missed.
        place = await self._stored(opens, wanted)
        fresh, live = await self._fresh(wanted, place, edge, limit)
        lines = [line for line in fresh if edge is None or line.order < edge]
        older: Edge | None = None
        if self._store is not None:
            found = await self._store.before(opens, wanted, edge, limit)
            known = {line.order for line in found.lines}
            lines = found.lines + [line for line in lines if line.order not in known]
            older = found.edge
        lines.sort(key=lambda line: line.order)
        if len(lines) > limit:
            lines = lines[-limit:]
            older = lines[0].order
        return Page(lines=lines, live=live, older=older, more=older is not None)

    async def forward(self, opens: OpenSession, wanted: Wanted, place: Place, limit: int) -> Page:
        """Lines from a place on, oldest first."""
        lines: list[Line] = []
        more = False
        if self._store is not None:
            found = await self._store.after(opens, wanted, place, limit)
            lines, place, more = found.lines, found.place, found.more
        if more or self._streamer is None:
            return Page(lines=lines, live=self._streamer is not None, further=place, more=more)
        live = True
        try:
            more = await self._forward_live(wanted, place, lines, limit)
        except StreamerAway:
            live = False
        return Page(lines=lines, live=live, further=place, more=more)

    async def _forward_live(self, wanted: Wanted, place: Place, lines: list[Line], limit: int) -> bool:
        assert self._streamer is not None
        asked = LogRequest(place=place, until_ns=wanted.until_ns)
        async with aclosing(self._streamer.lines(wanted.target, asked)) as batches:
            async for batch in batches:
                for line in batch:
                    if len(lines) >= limit:
                        return True
                    if isinstance(line, Line) and place.take(line) and wanted.matches(line):
                        lines.append(line)
        return False

    async def _stored(self, opens: OpenSession, wanted: Wanted) -> Place:
        if self._store is None:
            return Place(wanted.since_ns or 0)
        return await self._store.stored(opens, wanted)

    async def _fresh(self, wanted: Wanted, place: Place, edge: Edge | None, limit: int) -> tuple[list[Line], bool]:
        """What the cluster has and the store has not yet."""
        end = min(edge[0] if edge else 1 << 62, wanted.until_ns or 1 << 62)
        recent = end > nanoseconds(clock.now()) - RECENT_NS or self._store is None
        if self._streamer is None or not recent:
            return [], self._streamer is not None
        tail = limit if edge is None and wanted.contains is None else LARGEST_TAIL
        until = None if end == 1 << 62 else end + 1
        lines: list[Line] = []
        try:
            asked = LogRequest(place=place, tail=tail, until_ns=until)
            async for batch in self._streamer.lines(wanted.target, asked):
                lines += [line for line in batch if isinstance(line, Line) and wanted.matches(line)]
        except StreamerAway:
            return lines, False
        return lines, True

    async def follow(self, opens: OpenSession, wanted: Wanted, place: Place) -> AsyncGenerator[Batch]:
        """Everything from the place on. The caller takes each line at the place itself, which tells what was seen already;
        an empty batch comes at least every ``LOOK_S``.
        """
        if self._store is not None:
            more = True
            while more:
                found = await self._store.after(opens, wanted, place.copy(), PAGE)
                yield list(found.lines)
                place.adopt(found.place)
                more = found.more
        queue: _Queue = asyncio.Queue(4)
        seam = Seam(place)
        tasks = [asyncio.create_task(self._live(wanted, place, seam, queue))]
        if self._store is not None:
            tasks.append(asyncio.create_task(self._late(self._store, opens, wanted, place, queue)))
        try:
            while True:
                try:
                    async with asyncio.timeout(LOOK_S):
                        came = await queue.get()
                except TimeoutError:
                    came = []
                for batch in _parts(came, seam):
                    yield batch
                for task in tasks:
                    if task.done():
                        task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _live(self, wanted: Wanted, place: Place, seam: Seam, queue: _Queue) -> None:
        """The streamer, again and again; each time from where the reader is."""
        failures = 0
        said: bool | None = None
        while self._streamer is not None:
            try:
                asked = LogRequest(place=place.copy(), follow=True)
                seam.connected()
                async with aclosing(self._streamer.lines(wanted.target, asked)) as batches:
                    async for batch in batches:
                        failures = 0
                        if said is not True:
                            said = True
                            await queue.put(Live(True))
                        await queue.put(batch)
            except StreamerAway:
                pass
            if said is not False and failures:
                said = False
                await queue.put(Live(False))
            await asyncio.sleep(_AGAIN_S[min(failures, len(_AGAIN_S) - 1)])
            failures += 1
        await queue.put(Live(False))

    async def _late(self, store: LogStore, opens: OpenSession, wanted: Wanted, place: Place, queue: _Queue) -> None:
        """What is stored and was not read live: of pods that died, or while the streamer is away."""
        everything = Wanted(target=wanted.target)
        while True:
            await asyncio.sleep(STORED_EVERY_S)
            found = await store.after(opens, everything, place.copy(), PAGE)
            if found.lines:
                await queue.put(_Stored(found.lines))


def _parts(came: list[Line | Dropped] | _Stored | Live, seam: Seam) -> Iterable[Batch]:
    """Batches that the caller takes one after the other."""
    match came:
        case Live():
            return [[came]]
        case _Stored(lines):
            seam.stored(lines)
            return [lines]
        case _:
            return seam.live(came)
