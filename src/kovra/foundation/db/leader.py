"""One leader among replicas, by a session-level advisory lock on a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import asyncpg

from kovra.foundation.observability import logger

SILENT_MS: Final = "15000"
"""How long a leader, or one who waits to become it, may be silent; both speak every few seconds."""


async def lead(address: dict[str, Any], key: int, work: Callable[[], Awaitable[None]]) -> None:
    """For ever: wait to become the leader, work while the lock is held, begin again when it is lost."""
    while True:
        try:
            await _term(address, key, work)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            logger.warning("leadership_interrupted", error=type(error).__name__)
        await asyncio.sleep(1.0)


async def _term(address: dict[str, Any], key: int, work: Callable[[], Awaitable[None]]) -> None:
    # A leader that is paused says nothing: the server ends its connection, and another one leads.
    connection = await asyncpg.connect(**address, timeout=10, server_settings={"idle_session_timeout": SILENT_MS})
    try:
        # Polled, not waited for: a waiting lock call would hold a snapshot open.
        while not await connection.fetchval("select pg_try_advisory_lock($1)", key):  # noqa: ASYNC110
            await asyncio.sleep(2.0)
        working = asyncio.ensure_future(work())
        try:
            while not working.done():
                await asyncio.wait([working], timeout=5.0)
                # The lock lives as long as this connection does.
                await connection.execute("select 1", timeout=10)
            await working
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
    finally:
        connection.terminate()
