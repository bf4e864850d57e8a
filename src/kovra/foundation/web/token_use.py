"""When an api token was last used: noted as requests pass, written behind them, once in a while for each token.

The request's own transaction writes nothing, and a hot read stays a read. What is noted and not yet written is lost
with the process, which costs a minute's exactness.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from kovra.foundation import clock
from kovra.foundation.access import Principal
from kovra.foundation.errors import KovraError
from kovra.foundation.observability import logger

Write = Callable[[Principal], Awaitable[None]]
"""Writes the use of one token; raises KovraError when it ended meanwhile or the database is away."""


class TokenUse:
    """Remembers which tokens were written lately; bounded, so the longest unused may be written a little too early."""

    def __init__(self, write: Write, *, every_s: float = 60.0, capacity: int = 10_000) -> None:
        self._write = write
        self._every_s = every_s
        self._capacity = capacity
        self._noted: OrderedDict[bytes, float] = OrderedDict()
        self._pending: OrderedDict[bytes, Principal] = OrderedDict()
        self._wake = asyncio.Event()

    def note(self, principal: Principal) -> None:
        """The token has just proven that it lives. Costs a look-up; never waits, never fails."""
        if principal.kind != "token":
            return
        key, now = principal.token_hash, clock.monotonic()
        at = self._noted.get(key)
        if at is not None and now - at < self._every_s:
            return
        self._noted[key] = now
        self._noted.move_to_end(key)
        if len(self._noted) > self._capacity:
            self._noted.popitem(last=False)
        if len(self._pending) < self._capacity:
            self._pending[key] = principal
            self._wake.set()

    async def flush(self) -> None:
        """Write what is pending, one after the other."""
        while self._pending:
            key, principal = self._pending.popitem(last=False)
            try:
                await self._write(principal)
            except KovraError:
                self._noted.pop(key, None)  # ended, or the database is away: its next use is noted again

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write in the background for as long as the block lasts, and what is left at its end."""
        task = asyncio.create_task(self._forever())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await self.flush()

    async def _forever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.flush()
            except Exception as defect:  # an outermost loop: one token's trouble must not end it for all
                logger.error("token_use_not_written", error=type(defect).__name__)
