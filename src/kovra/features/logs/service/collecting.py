"""Storing lines: each exactly once, masked, within bounds of age and size. The collector is the one caller."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

from kovra.adapters.cluster.lines import START, Line, Mark
from kovra.features.deployments import queries as deployment_queries
from kovra.features.deployments.rules.masking import Mask
from kovra.features.deployments.service.opening import open_release
from kovra.features.logs import queries
from kovra.features.logs.protocol import nanoseconds, pod_key
from kovra.features.logs.queries import SPAN_NS
from kovra.features.logs.rules.chunks import Chunk, opened
from kovra.foundation import clock
from kovra.foundation.db.database import Database
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.ids import new_id

CHUNK_BYTES: Final = 128 * 1024
"""Text in a chunk: one that is smaller grows by what comes next."""
_PER_LINE: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """How much is kept per app environment; the older goes first."""

    age: timedelta = timedelta(days=7)
    size_bytes: int = 64 * 1024 * 1024
    """Compressed."""

    def cutoff_ns(self) -> int:
        """Lines before this moment are kept no longer."""
        return nanoseconds(clock.now() - self.age)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorOptions:
    """How it works."""

    keeping: Keeping = field(default_factory=Keeping)
    store_every_s: float = 3.0
    """How long a line may wait to be stored."""
    pods: int = 2000
    """More pods than these are not collected, which is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growing:
    """The chunk that a pod's next lines go into."""

    id: UUID
    chunk: Chunk
    text_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """How far one pod's log is stored."""

    mark: Mark = START
    ended: bool = False
    growing: Growing | None = field(default=None, repr=False)


async def stored_of(session: TenantSession, app_environment_id: UUID, pod: str) -> Stored:
    """Where storing a pod's log goes on."""
    row = await session.find(queries.POSITION, org_id=session.org_id, app_environment_id=app_environment_id, pod=pod)
    return Stored() if row is None else Stored(mark=(row.last_ns, row.last_number), ended=row.ended)


async def store(
    session: TenantSession, app_environment_id: UUID, pod: str, was: Stored, lines: Sequence[Line], *, ended: bool
) -> Stored | None:
    """Add the pod's next lines, in the transaction that says how far it is stored; None when somebody else has added some
    meanwhile, in which case nothing is changed.
    """
    mark = lines[-1].mark if lines else was.mark
    advanced = await session.execute(
        queries.ADVANCE,
        org_id=session.org_id,
        app_environment_id=app_environment_id,
        pod=pod,
        pod_key=pod_key(pod),
        last_ns=mark[0],
        last_number=mark[1],
        ended=ended,
        was_ns=was.mark[0],
        was_number=was.mark[1],
    )
    if not advanced:
        return None
    growing = was.growing
    into, fresh = _split(lines, growing)
    if into and growing is not None:
        growing = await _grown(session, growing, into) or await _added(session, app_environment_id, into)
    for part in fresh:
        growing = await _added(session, app_environment_id, part)
    return Stored(mark=mark, ended=ended, growing=growing)


def _size(line: Line) -> int:
    return len(line.text) + _PER_LINE


def _split(lines: Sequence[Line], growing: Growing | None) -> tuple[list[Line], list[list[Line]]]:
    """(what the growing chunk takes, what new ones take): none grows beyond its size or its span of time."""
    into: list[Line] = []
    fresh: list[list[Line]] = []
    part, room, begin = into, 0, 0
    if growing is not None:
        room, begin = CHUNK_BYTES - growing.text_bytes, growing.chunk.head.first[0]
    for line in lines:
        if room < _size(line) or line.time_ns - begin >= SPAN_NS:
            part, room, begin = [], CHUNK_BYTES, line.time_ns
            fresh.append(part)
        part.append(line)
        room -= _size(line)
    return into, fresh


async def _grown(session: TenantSession, growing: Growing, lines: list[Line]) -> Growing | None:
    """The growing chunk with these lines; None when it was pruned meanwhile."""
    before = growing.chunk
    chunk = await asyncio.to_thread(lambda: Chunk.of([*opened(before.head, before.data), *lines]))
    changed = await session.execute(
        queries.GROW_CHUNK,
        org=session.org_id,
        chunk_id=growing.id,
        was_ns=before.last[0],
        was_number=before.last[1],
        last_ns=chunk.last[0],
        last_number=chunk.last[1],
        lines=chunk.lines,
        size_bytes=len(chunk.data),
        data=chunk.data,
    )
    if not changed:
        return None
    return Growing(id=growing.id, chunk=chunk, text_bytes=growing.text_bytes + sum(map(_size, lines)))


async def _added(session: TenantSession, app_environment_id: UUID, lines: list[Line]) -> Growing:
    chunk = await asyncio.to_thread(Chunk.of, lines)
    made = new_id()
    await session.execute(
        queries.ADD_CHUNK,
        id=made,
        org_id=session.org_id,
        app_environment_id=app_environment_id,
        pod=chunk.head.pod,
        pod_key=pod_key(chunk.head.pod),
        process=chunk.head.process,
        release=chunk.head.release,
        first_ns=chunk.head.first[0],
        first_number=chunk.head.first[1],
        last_ns=chunk.last[0],
        last_number=chunk.last[1],
        lines=chunk.lines,
        size_bytes=len(chunk.data),
        data=chunk.data,
    )
    return Growing(id=made, chunk=chunk, text_bytes=sum(map(_size, lines)))


async def forget_old(session: TenantSession, keeping: Keeping) -> int:
    """Remove what the whole organization has kept long enough; how many chunks went."""
    gone = await session.execute(queries.FORGET_OLD, org=session.org_id, before=keeping.cutoff_ns())
    unseen = clock.now() - keeping.age
    await session.execute(
        queries.FORGET_OLD_POSITIONS, org=session.org_id, before=keeping.cutoff_ns(), unseen_since=unseen
    )
    return gone


async def forget_beyond(session: TenantSession, app_environment_id: UUID, keeping: Keeping) -> int:
    """Remove an app environment's oldest chunks beyond its size; how many went."""
    return await session.execute(
        queries.FORGET_BEYOND, org=session.org_id, aev=app_environment_id, most_bytes=keeping.size_bytes
    )


class Masks:
    """What is to be masked in a release's lines. Opened once per release, which the organization's ledger tells."""

    def __init__(self, database: Database, store: HolderKeyStore, *, capacity: int = 1000) -> None:
        self._database, self._store, self._capacity = database, store, capacity
        self._known: OrderedDict[tuple[UUID, int], Mask] = OrderedDict()

    async def of(self, org_id: UUID, app_environment_id: UUID, release: int) -> Mask:
        """The mask; raises what opening raises, and NotFound for a release that is gone."""
        key = (app_environment_id, release)
        if key not in self._known:
            # Kept only when the fact that it was opened is committed.
            async with self._database.organization(org_id) as session:
                opened_mask = await self._open(session, app_environment_id, release)
            self._known[key] = opened_mask
            if len(self._known) > self._capacity:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]

    async def _open(self, session: TenantSession, app_environment_id: UUID, release: int) -> Mask:
        row = await session.one(
            deployment_queries.RELEASE_NUMBERED,
            org_id=session.org_id,
            app_environment_id=app_environment_id,
            number=release,
        )
        deployment = await session.one(queries.DEPLOYMENT_OF_RELEASE, org_id=session.org_id, release_id=row.id)
        found = await open_release(session, self._store, app_environment_id, row.id, for_deployment=deployment.id)
        return found.mask
