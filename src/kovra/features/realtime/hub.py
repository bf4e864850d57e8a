"""The hub: one feed per organization that is watched, one viewer per stream.

A commit's notice wakes the organization's feed; it reads the new rows once and keeps the latest in a ring. Each viewer
has a cursor. One that waits for news and takes what it is sent is given it at once, as bytes made for all who see the
same; any other reads from the ring, so that a slow one holds up nobody and holds nothing but a number. One that fell
behind the ring reads from the ledger; one that fell behind further is told what was dropped and begins again.

Credentials are checked again every few seconds, all of an organization's in one call, and at once when the ledger says
that a membership, session or token changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import UUID

from kovra.features.realtime import queries
from kovra.features.realtime.protocol import Close, Fact, may_read
from kovra.features.realtime.queries import EventRow
from kovra.foundation.access import Access, Permission, Principal, Role, RoleTable
from kovra.foundation.db.database import Database
from kovra.foundation.db.notices import Notices
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import KovraError, RateLimited, Unavailable
from kovra.foundation.observability import LIVE_DROPPED, LIVE_STREAMS, logger
from kovra.foundation.registry import Registry

Snapshot = Callable[[TenantSession, Registry, Mapping[str, UUID | None]], Awaitable[dict[str, list[Any]]]]
"""What a feature shows of a place (``project_id``, ``app_id``, ``environment_id``, ``deployment_id``; None: all of it)."""

PAGE: Final = 500
"""Rows of the ledger read at once."""
_PUSHED: Final = 50
"""More facts at once are left to the viewers' own tasks, which wait for a client before they send it more."""
_TURN: Final = 100
"""After so many viewers the rest of the process has a turn."""
_ABOUT_CREDENTIALS: Final = ("member.", "session.", "token.", "user.", "organization.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshots:
    """The features' parts of a snapshot, joined by the wiring."""

    parts: tuple[Snapshot, ...]

    async def of(
        self, session: TenantSession, registry: Registry, place: Mapping[str, UUID | None]
    ) -> dict[str, list[Any]]:
        """``{"apps": […], "deployments": […], …}`` as the GET of each one shows it."""
        found: dict[str, list[Any]] = {}
        for part in self.parts:
            found |= await part(session, registry, place)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class HubOptions:
    """Limits of live streams, per process."""

    per_organization: int = 1000
    """Streams of one organization."""
    per_actor: int = 200
    """Streams of one person or token."""
    ring: int = 2048
    """Facts an organization's feed keeps in memory."""
    catch_up: int = 5000
    """How far a stream may fall behind before facts are dropped."""
    recheck_s: float = 3.0
    """How often credentials are looked at again."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """Facts after ``after`` up to ``to`` were not sent."""

    after: int
    to: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The stream is over, and why."""

    close: Close
    code: str
    after_ms: int = 0
    """When the client may come back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where feeds read, and how a row is shown."""

    database: Database
    notices: Notices
    roles: RoleTable
    render: Callable[[EventRow], str]
    """The event as `GET /v1/events` shows it, as JSON."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Facts that came together, and what was made of them, by who sees what."""

    facts: list[Fact]
    made: dict[str, bytes] = field(default_factory=dict)


class Viewer:
    """One stream's place in its organization's feed."""

    def __init__(self, feed: Feed, principal: Principal, access: Access) -> None:
        self.feed = feed
        self.principal = principal
        self.access = access
        self.cursor = 0
        self.woken = asyncio.Event()
        self.ended: Ended | None = None
        self.push: Callable[[Batch], bool] | None = None
        """Sends facts at once, without the stream's task; False, and nothing is sent, when that cannot be done now."""
        self._waits = False

    def given(self, batch: Batch, before: int) -> bool:
        """Whether it has got what follows on ``before``; if not, it is to be woken and reads for itself."""
        if not self._waits or self.ended is not None or self.cursor != before or self.push is None:
            return False
        if not self.push(batch):
            return False
        self.cursor = batch.facts[-1].seq
        return True

    def end(self, why: Ended) -> None:
        """Close it; the first reason counts."""
        self.ended = self.ended or why
        self.woken.set()

    async def next(self, timeout_s: float | None) -> list[Fact] | Dropped | Ended:
        """What comes next: facts it may read, a gap, or the end; nothing after ``timeout_s`` or when woken for nothing."""
        if self.ended is None and self.cursor >= self.feed.position:
            self.woken.clear()
            self._waits = True
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(timeout_s):
                        await self.woken.wait()
            finally:
                self._waits = False
        if self.ended is not None:
            return self.ended
        behind = self.feed.position - self.cursor
        if behind > self.feed.options.catch_up:
            gap = Dropped(self.cursor, self.feed.position)
            self.cursor = self.feed.position
            LIVE_DROPPED.inc(behind)
            return gap
        try:
            facts = await self.feed.read(self.cursor)
        except KovraError:  # the ledger is away; what it holds is sent when it is back
            await asyncio.sleep(0.5)
            return []
        if facts:
            self.cursor = facts[-1].seq
        return [fact for fact in facts if may_read(self.access, fact)]


class Feed:
    """The latest facts of one organization, while somebody watches it."""

    def __init__(self, org_id: UUID, source: Source, options: HubOptions) -> None:
        self.options = options
        self.position = 0
        """The sequence of the newest fact that was read."""
        self.viewers: set[Viewer] = set()
        self.ready = asyncio.Event()
        self.broken = False
        self.org_id = org_id
        self._source = source
        self._ring: list[Fact] = []
        self._recheck = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to read and to check; in a context of its own, as it outlives the request that came first."""
        own = contextvars.Context()
        self._tasks = [
            asyncio.create_task(self._follow(), context=own),
            asyncio.create_task(self._check_credentials(), context=own),
        ]
        for task in self._tasks:
            task.add_done_callback(self._broke)

    def _broke(self, task: asyncio.Task[None]) -> None:
        """A fault of ours: nobody waits for ever on a feed that reads no more; who comes back finds a new one."""
        if not task.cancelled() and task.exception() is not None:
            logger.error("feed_broke", exc_info=task.exception())
            self.broken = True
            self.stop()
            for viewer in self.viewers:
                viewer.end(Ended(Close.restarting, "restarting"))

    def stop(self) -> None:
        """Nobody watches any more."""
        for task in self._tasks:
            task.cancel()

    async def read(self, after: int) -> list[Fact]:
        """Facts after a sequence, oldest first: from the ring, or from the ledger where the ring begins later."""
        if after >= self.position:
            return []
        if self._ring and after >= self._ring[0].seq - 1:
            start = after - self._ring[0].seq + 1
            return self._ring[start : start + PAGE]
        return await self._load(after)

    async def _load(self, after: int) -> list[Fact]:
        async with self._source.database.organization(self.org_id) as session:
            rows = await session.all(queries.EVERYTHING_AFTER, org_id=self.org_id, after=after, limit=PAGE)
        return [self._fact(row) for row in rows]

    def _fact(self, row: EventRow) -> Fact:
        return Fact(
            seq=row.seq,
            type=row.type,
            subject=row.subject,
            project_id=row.project_id,
            app_id=row.app_id,
            environment_id=row.environment_id,
            body=self._source.render(row),
        )

    async def _follow(self) -> None:
        """Read what each notice announces; the sequence tells what was missed while the database was away."""
        with self._source.notices.subscribed(self.org_id) as woken:
            while True:
                woken.clear()
                try:
                    if not self.ready.is_set():
                        await self._begin()
                    while await self._advance():
                        pass
                except KovraError as error:
                    logger.warning("feed_interrupted", code=error.error_code)
                    await asyncio.sleep(0.2 + random.random())  # noqa: S311  # jitter
                    continue
                await woken.wait()

    async def _begin(self) -> None:
        async with self._source.database.organization(self.org_id) as session:
            self.position = (await session.one(queries.HEAD, org_id=self.org_id)).seq
        self.ready.set()

    async def _advance(self) -> bool:
        facts = await self._load(self.position)
        if not facts:
            return False
        self._ring += facts
        if len(self._ring) > 2 * self.options.ring:
            del self._ring[: -self.options.ring]
        before, self.position = self.position, facts[-1].seq
        await self._tell(Batch(facts), before)
        if any(fact.type.startswith(_ABOUT_CREDENTIALS) for fact in facts):
            self._recheck.set()
        return len(facts) == PAGE

    async def _tell(self, batch: Batch, before: int) -> None:
        pushed = len(batch.facts) <= _PUSHED
        for number, viewer in enumerate(list(self.viewers), start=1):
            if not pushed or not viewer.given(batch, before):
                viewer.woken.set()
            if number % _TURN == 0:
                await asyncio.sleep(0)

    async def _check_credentials(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.options.recheck_s):
                    await self._recheck.wait()
            self._recheck.clear()
            try:
                await self._check()
            except KovraError as error:  # no database: no facts either, so nothing leaks meanwhile
                logger.warning("live_check_failed", code=error.error_code)

    async def _check(self) -> None:
        viewers = list(self.viewers)
        sessions = list({v.principal.session_id for v in viewers if v.principal.kind == "session"})
        hashes = list({v.principal.token_hash for v in viewers if v.principal.kind == "token"})
        rows = await self._source.database.door("living_door", queries.LivingRow, self.org_id, sessions, hashes)
        roles = {row.session_id: row.role for row in rows if row.session_id is not None}
        tokens = {row.token_hash for row in rows if row.token_hash is not None}
        for viewer in viewers:
            who = viewer.principal
            if who.kind == "token":
                if who.token_hash not in tokens:
                    viewer.end(Ended(Close.ended, "credential_ended"))
                continue
            role = roles.get(who.session_id)
            if role is None:
                viewer.end(Ended(Close.ended, "credential_ended"))
            else:
                self._narrow(viewer, Role(role))

    def _narrow(self, viewer: Viewer, role: Role) -> None:
        """The role as it is now; without the right to read events the stream is over."""
        held = self._source.roles[role]
        if Permission.events_read not in held:
            viewer.end(Ended(Close.forbidden, "permission_missing"))
        elif role is not viewer.access.role:
            viewer.access = replace(viewer.access, role=role, permissions=held)


class Hub:
    """All live streams of one api process."""

    def __init__(self, source: Source, options: HubOptions) -> None:
        self.options = options
        self._source = source
        self._feeds: dict[UUID, Feed] = {}
        self._draining = False

    async def watch(self, principal: Principal, access: Access, after: int | None) -> Viewer:
        """A viewer from ``after`` on (None: from now); whoever takes it gives it back by ``leave``.

        Raises RateLimited beyond the limits, and Unavailable while draining or without a database.
        """
        viewer = Viewer(self._feed(principal.org_id, access), principal, access)
        feed = viewer.feed
        feed.viewers.add(viewer)
        try:
            async with asyncio.timeout(10):
                await feed.ready.wait()
        except BaseException as gone:
            self.leave(viewer)
            if isinstance(gone, TimeoutError):
                raise Unavailable("The ledger cannot be read now.", code="database_unavailable") from None
            raise
        LIVE_STREAMS.inc()
        viewer.cursor = feed.position if after is None else min(after, feed.position)
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """The stream is over; an organization that nobody watches is forgotten."""
        feed = viewer.feed
        feed.viewers.discard(viewer)
        if not feed.viewers and self._feeds.get(feed.org_id) is feed:
            del self._feeds[feed.org_id]
            feed.stop()

    def _feed(self, org_id: UUID, access: Access) -> Feed:
        if self._draining:
            raise Unavailable("This process is being replaced.", code="restarting", retry_after_s=1)
        feed = self._feeds.get(org_id)
        if feed is None or feed.broken:
            feed = self._feeds[org_id] = Feed(org_id, self._source, self.options)
            feed.start()
        mine = sum(viewer.access.actor == access.actor for viewer in feed.viewers)
        if len(feed.viewers) >= self.options.per_organization or mine >= self.options.per_actor:
            raise RateLimited("Too many live streams at once.", code="too_many_streams", retry_after_s=30)
        return feed

    async def drain(self, spread_s: float) -> None:
        """End every stream within ``spread_s``, each at its own moment, so that they do not come back all at once."""
        self._draining = True
        viewers = [viewer for feed in self._feeds.values() for viewer in feed.viewers]
        random.shuffle(viewers)
        for number, viewer in enumerate(viewers, start=1):
            wait_ms = int(random.random() * 2000)  # noqa: S311  # jitter
            viewer.end(Ended(Close.restarting, "restarting", wait_ms))
            if number % 20 == 0:
                await asyncio.sleep(spread_s * 20 / len(viewers))
