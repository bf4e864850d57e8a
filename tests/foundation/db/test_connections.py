"""The pool: bounded, fair, and never handing on what a caller left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace

import asyncpg
import pytest

from kovra.foundation import clock
from kovra.foundation.db import connections, dsn
from kovra.foundation.db.connections import Connect, Connection, Connections, PoolOptions
from tests.support.postgres import TestDatabase


def connecting(database: TestDatabase) -> Connect:
    address = dsn.parse(database.url, production=False).asyncpg()

    async def connect() -> Connection:
        made: Connection = await asyncpg.connect(**address, connection_class=Connection)
        return made

    return connect


@pytest.fixture
async def pool(database: TestDatabase) -> AsyncIterator[Connections]:
    made = Connections(connecting(database), PoolOptions(min_size=1, max_size=2, acquire_timeout_s=20))
    await made.open()
    yield made
    await made.close()
    assert made._size == 0
    assert not made._open


async def _backend(connection: Connection) -> int:
    found: int = await connection.fetchval("select pg_backend_pid()")
    return found


async def test_the_one_that_came_back_last_is_lent_first(pool: Connections) -> None:
    one, two = await pool.acquire(), await pool.acquire()
    pool.release(one)
    pool.release(two)
    assert await pool.acquire() is two
    pool.release(two)


async def test_callers_beyond_the_bound_wait_in_turn_and_not_for_ever(pool: Connections) -> None:
    one, two = await pool.acquire(), await pool.acquire()
    pool._options = replace(pool._options, acquire_timeout_s=0.05)
    with pytest.raises(TimeoutError):
        await pool.acquire()
    pool._options = replace(pool._options, acquire_timeout_s=20)
    waiting = [asyncio.create_task(pool.acquire()) for _ in range(2)]
    await asyncio.sleep(0)
    pool.release(one)
    assert await waiting[0] is one
    pool.release(two)
    assert await waiting[1] is two
    pool.release(one)
    pool.release(two)


async def test_a_connection_given_to_one_who_just_stopped_waiting_is_not_lost(pool: Connections) -> None:
    one, two = await pool.acquire(), await pool.acquire()
    waiting = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    pool.release(one)
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    assert await pool.acquire() is one
    pool.release(one)
    pool.release(two)


async def test_an_open_transaction_is_not_handed_on(pool: Connections) -> None:
    one = await pool.acquire()
    backend = await _backend(one)
    await one.execute("begin; select set_config('kovra.org_id', 'left behind', true)")
    pool.release(one)
    other = await pool.acquire()
    assert await _backend(other) != backend
    assert await other.fetchval("select current_setting('kovra.org_id', true)") in ("", None)
    pool.release(other)


async def test_a_statement_that_was_given_up_is_canceled_and_its_connection_closed(pool: Connections) -> None:
    one, two = await pool.acquire(), await pool.acquire()
    backend = await _backend(one)
    with pytest.raises(TimeoutError):
        await one.execute("select pg_sleep(30)", timeout=0.05)
    pool.release(one)
    async with asyncio.timeout(5):
        while await two.fetchval("select count(*) from pg_stat_activity where pid = $1", backend):
            await asyncio.sleep(0.01)
    third = await pool.acquire()
    assert await third.fetchval("select 1") == 1
    pool.release(third)
    pool.release(two)


async def test_a_connection_the_server_ended_makes_room_for_another(pool: Connections) -> None:
    one, two = await pool.acquire(), await pool.acquire()
    with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        await one.execute("select pg_terminate_backend(pg_backend_pid())")
    waiting = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    pool.release(one)
    third = await waiting
    assert await third.fetchval("select 1") == 1
    pool.release(two)
    pool.release(third)


async def test_closing_does_not_wait_for_connections_the_server_has_ended(pool: Connections) -> None:
    one, two = await pool.acquire(), await pool.acquire()
    for connection in (one, two):
        pool.release(connection)
        connection.terminate()
    async with asyncio.timeout(5):
        await pool.close()
    assert pool._size == 0


async def test_closing_does_not_wait_for_ever_for_what_is_not_given_back(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = Connections(connecting(database), PoolOptions(min_size=1, max_size=2))
    await pool.open()
    kept = await pool.acquire()
    monkeypatch.setattr(connections, "GIVEN_BACK_S", 0.05)
    async with asyncio.timeout(5):
        await pool.close()
    assert kept.is_closed()
    pool.release(kept)
    assert (pool._size, pool._open) == (0, set())


async def test_old_and_idle_connections_are_closed(pool: Connections, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = await pool.acquire(), await pool.acquire()
    pool.release(one)
    now = clock.monotonic()
    monkeypatch.setattr(clock, "monotonic", lambda: now + 301)
    pool.release(two)  # ``one`` has lain idle for five minutes
    async with asyncio.timeout(5):
        while pool._size > 1:
            await asyncio.sleep(0.01)
    assert one.is_closed() and not two.is_closed()
    again = await pool.acquire()
    monkeypatch.setattr(clock, "monotonic", lambda: now + 3601)
    pool.release(again)
    async with asyncio.timeout(5):
        while pool._size:
            await asyncio.sleep(0.01)
    assert again.is_closed()


async def test_a_server_that_cannot_be_reached_leaves_nobody_waiting() -> None:
    async def refused() -> Connection:
        await asyncio.sleep(0)
        raise ConnectionRefusedError

    pool = Connections(refused, PoolOptions(min_size=0, max_size=1, acquire_timeout_s=5))
    for asked in await asyncio.gather(*(pool.acquire() for _ in range(3)), return_exceptions=True):
        assert isinstance(asked, ConnectionRefusedError)
    await pool.close()
