"""Notices: the process's one LISTEN connection. It wakes whoever waits for an organization; facts are then read.

A notice carries ids only and is a hint, never the truth: after a reconnect everybody is woken once, since what was
said meanwhile was not heard.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID

import asyncpg

from kovra.foundation.observability import logger

CHANNEL = "kovra_events"


class Notices:
    """Fan-out of NOTIFY within one process."""

    def __init__(self, address: dict[str, Any]) -> None:
        self._address = address
        self._waiting: dict[UUID, set[asyncio.Event]] = defaultdict(set)
        self._lost = asyncio.Event()

    @contextmanager
    def subscribed(self, org_id: UUID) -> Iterator[asyncio.Event]:
        """An event that is set at each commit of this organization that recorded facts; clear it, read, wait again."""
        woken = asyncio.Event()
        self._waiting[org_id].add(woken)
        try:
            yield woken
        finally:
            self._waiting[org_id].discard(woken)
            if not self._waiting[org_id]:
                del self._waiting[org_id]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen until the block is left."""
        task = asyncio.create_task(self._forever())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _forever(self) -> None:
        while True:
            try:
                await self._listen()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
                logger.warning("notices_interrupted", error=type(error).__name__)
            self._wake_everybody()
            await asyncio.sleep(0.2 + random.random() * 0.8)  # noqa: S311  # jitter, not a secret

    async def _listen(self) -> None:
        connection = await asyncpg.connect(**self._address, timeout=10)
        self._lost.clear()
        try:
            connection.add_termination_listener(lambda _connection: self._lost.set())
            await connection.add_listener(CHANNEL, self._heard)
            self._wake_everybody()
            while not self._lost.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(30):
                        await self._lost.wait()
                if not self._lost.is_set():
                    await connection.execute("select 1", timeout=10)
        finally:
            connection.terminate()

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        with contextlib.suppress(ValueError):
            for woken in self._waiting.get(UUID(payload.partition(":")[0]), ()):
                woken.set()

    def _wake_everybody(self) -> None:
        for group in self._waiting.values():
            for woken in group:
                woken.set()
