"""The connections of one process: kept open, lent to one caller at a time, never more than a fixed number.

asyncpg's own pool makes a task, a timer and a proxy of every loan, which together cost as much as the statement of a hot
read. Here a loan is a list's pop and append, and nothing is reset after it: nothing here ever sets a session-level value. What a
caller leaves unsettled is not put in order for the next one: such a connection is closed, and another opened when needed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import asyncpg

from kovra.foundation import clock

_CLOSE_S: Final = 5.0
"""How long the server may take to let a connection go."""
GIVEN_BACK_S: Final = 10.0
"""How long callers may keep theirs once the pool closes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOptions:
    """How a process holds connections."""

    min_size: int = 2
    """Connections kept open."""
    max_size: int = 16
    """Upper bound; more callers wait."""
    acquire_timeout_s: float = 5.0
    """How long a caller waits for a connection before it gets a 503."""
    command_timeout_s: float = 30.0
    """Client-side bound on one statement; the role's statement_timeout is the server's."""
    idle_s: float = 300.0
    """A connection beyond ``min_size`` that nobody needed for so long is closed."""
    age_s: float = 3600.0
    """An older connection is replaced after its loan: the server's caches of it do not grow for ever."""


class Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg is untyped
    """One of the pool's: knows its age, and whether anything of its last loan is left."""

    opened_at: float
    returned_at: float

    def is_settled(self) -> bool:
        """Whether the next caller finds it as new: open, in no transaction, with no statement being cancelled."""
        protocol = self._protocol
        return not (self.is_closed() or protocol.is_in_transaction() or protocol._is_cancelling())


Connect = Callable[[], Awaitable[Connection]]


class Connections:
    """Lends the connection that came back last, so that those not needed stay idle and are closed."""

    def __init__(self, connect: Connect, options: PoolOptions) -> None:
        self._connect = connect
        self._options = options
        self._idle: deque[Connection] = deque()
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._size = 0
        """Open, lent or being opened."""
        self._open: set[Connection] = set()
        self._closing = False
        self._parting: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Open the first ones; raises what connecting raises."""
        try:
            while self._size < self._options.min_size:
                self._idle.append(await self._more())
        except BaseException:
            await self.close()
            raise

    async def acquire(self) -> Connection:
        """A connection for the caller alone, until ``release``; raises TimeoutError when none is free in time."""
        if self._closing:
            raise asyncpg.InterfaceError("the pool is closing")
        found = self._next()
        if found is not None:
            return found
        async with asyncio.timeout(self._options.acquire_timeout_s):
            while found is None:
                found = await self._more() if self._size < self._options.max_size else await self._awaited()
        return found

    def release(self, connection: Connection) -> None:
        """Give it back; the one who waits longest gets it."""
        now = clock.monotonic()
        if not connection.is_settled() or now - connection.opened_at > self._options.age_s:
            self._drop(connection)
            return
        if self._hand_over(connection):
            return
        connection.returned_at = now
        self._idle.append(connection)
        if self._size > self._options.min_size and now - self._idle[0].returned_at > self._options.idle_s:
            self._drop(self._idle.popleft())

    async def close(self) -> None:
        """Close every connection, waiting for those in use; what is not given back in time is broken off."""
        self._closing = True
        try:
            async with asyncio.timeout(GIVEN_BACK_S):
                await self._all_back()
        except TimeoutError:
            for connection in self._open:
                connection.terminate()

    async def _all_back(self) -> None:
        while self._size:
            connection = self._next()
            if connection is None and self._size:  # else the last ones had been closed by the server
                connection = await self._awaited()
            if connection is not None:
                await self._part(connection)

    def _next(self) -> Connection | None:
        """An idle one that is still open."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._open.discard(connection)
            self._size -= 1
        return None

    async def _more(self) -> Connection:
        self._size += 1
        try:
            connection = await self._connect()
        except BaseException:
            self._freed()
            raise
        self._open.add(connection)
        connection.opened_at = connection.returned_at = clock.monotonic()
        return connection

    async def _awaited(self) -> Connection | None:
        """What the next caller gives back; None when it was closed instead, so there is room for another."""
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():  # given to a caller who had just stopped waiting
                given = waiter.result()
                if given is None:
                    self._hand_over(None)
                else:
                    self.release(given)
            raise

    def _hand_over(self, connection: Connection | None) -> bool:
        """Give it, or the room for one, to the one who waits longest."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False

    def _drop(self, connection: Connection) -> None:
        """Close it behind the caller's back: a statement that was given up is canceled on the server first."""
        if connection.is_closed():
            self._open.discard(connection)
            self._freed()
            return
        task = asyncio.get_running_loop().create_task(self._part(connection))
        self._parting.add(task)
        task.add_done_callback(self._parting.discard)

    async def _part(self, connection: Connection) -> None:
        try:
            await connection.close(timeout=_CLOSE_S)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            if not connection.is_closed():
                connection.terminate()
        finally:
            self._open.discard(connection)
            self._freed()

    def _freed(self) -> None:
        self._size -= 1
        self._hand_over(None)
