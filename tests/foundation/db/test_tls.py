"""Database addresses and TLS: production speaks verify-full or not at all, with every client."""

from __future__ import annotations

import asyncio
import gc
import secrets
from functools import partialmethod
from pathlib import Path

import asyncpg
import psycopg
import pytest
from procrastinate.exceptions import ConnectorException
from psycopg_pool import AsyncConnectionPool

from kovra.entrypoints import migrate
from kovra.features.organizations.roles import ROLES
from kovra.foundation.db import dsn, leader
from kovra.foundation.db.database import Database
from kovra.foundation.db.notices import Notices
from kovra.foundation.errors import KovraError
from kovra.foundation.ids import NIL
from kovra.foundation.jobs.handling import HandlerTable
from kovra.foundation.jobs.runner import Runner, RunnerOptions
from kovra.foundation.registry import Registry
from tests.support import tls_front
from tests.support.postgres import PASSWORDS, TestDatabase


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://kovra_app:x@db.example/kovra",
        "postgresql://kovra_app:x@db.example/kovra?sslmode=require",
        "postgresql://kovra_app:x@db.example/kovra?sslmode=verify-ca&sslrootcert=/ca.pem",
        "postgresql://kovra_app:x@db.example/kovra?sslmode=verify-full",
        "postgresql://kovra_app:x@127.0.0.1/kovra",
        "postgresql://kovra_app:x@127.0.0.1/kovra?sslmode=disable",
    ],
)
def test_production_refuses_anything_but_verify_full(url: str) -> None:
    with pytest.raises(dsn.DatabaseAddressInvalid):
        dsn.parse(url, production=True)


@pytest.mark.parametrize(
    "url", ["", "mysql://a@b/c", "postgresql://", "postgresql://@/x", "postgresql://a@b:x/c", "postgresql://a@h/d?x=1"]
)
def test_unusable_addresses_are_refused_without_showing_them(url: str) -> None:
    with pytest.raises(dsn.DatabaseAddressInvalid) as refused:
        dsn.parse(url, production=False)
    assert url in ("", "postgresql://") or url not in refused.value.message


def test_development_speaks_plainly_on_loopback_alone() -> None:
    assert dsn.parse("postgresql://a:p%40ss@127.0.0.1:5/d", production=False).password == "p@ss"
    with pytest.raises(dsn.DatabaseAddressInvalid):
        dsn.parse("postgresql://a@10.0.0.1/d", production=False)


async def _asyncpg(address: dsn.Address) -> str:
    connection = await asyncpg.connect(**address.asyncpg(), timeout=5)
    try:
        return str(await connection.fetchval("select current_user"))
    finally:
        await connection.close()


async def _psycopg(address: dsn.Address) -> str:
    connection = await psycopg.AsyncConnection.connect(**address.psycopg(), connect_timeout=5)
    async with connection:
        row = await (await connection.execute("select current_user")).fetchone()
        assert row is not None
        return str(row[0])


CLIENTS = {"asyncpg": _asyncpg, "psycopg": _psycopg}


# A refused handshake leaves the front's own stream half made; asyncio says so when it is collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("client", CLIENTS)
async def test_the_right_certificate_works_and_every_other_is_refused(
    client: str, database: TestDatabase, tmp_path: Path
) -> None:
    """T224."""
    right = tls_front.make(tmp_path, "right", host="127.0.0.1")
    other_name = tls_front.make(tmp_path, "other-name", host="db.example")
    other_ca = tls_front.make(tmp_path, "other-ca", host="127.0.0.1")

    async def attempt(port: int, ca: Path) -> str:
        url = f"postgresql://kovra_app:{PASSWORDS.app}@127.0.0.1:{port}/{database.name}"
        return await CLIENTS[client](dsn.parse(f"{url}?sslmode=verify-full&sslrootcert={ca}", production=True))

    async with tls_front.front(database.server.port, right) as port:
        assert await attempt(port, right.ca) == "kovra_app"
        with pytest.raises((OSError, psycopg.Error)):
            await attempt(port, other_ca.ca)
    async with tls_front.front(database.server.port, other_name) as port:
        with pytest.raises((OSError, psycopg.Error)):
            await attempt(port, other_name.ca)
    async with tls_front.front(database.server.port, None) as port:
        with pytest.raises((OSError, psycopg.Error, asyncpg.PostgresError)):
            await attempt(port, right.ca)
    gc.collect()


async def _pool(address: dsn.Address, _migrator: dsn.Address) -> None:
    await (await Database.connect(address.asyncpg(), roles=ROLES)).close()


async def _listening(address: dsn.Address, _migrator: dsn.Address) -> None:
    """Everybody is woken when, and only when, the LISTEN has been heard."""
    notices = Notices(address.asyncpg())
    with notices.subscribed(NIL) as woken:
        heard = asyncio.ensure_future(woken.wait())
        listening = asyncio.ensure_future(notices._listen())
        try:
            await asyncio.wait({heard, listening}, return_when=asyncio.FIRST_COMPLETED)
            if listening.done():
                await listening
        finally:
            for task in (heard, listening):
                task.cancel()
            await asyncio.gather(heard, listening, return_exceptions=True)


async def _leading(address: dsn.Address, _migrator: dsn.Address) -> None:
    led = asyncio.Event()

    async def work() -> None:
        led.set()

    await leader._term(address.asyncpg(), secrets.randbits(40), work)
    assert led.is_set()


async def _queue(address: dsn.Address, _migrator: dsn.Address) -> None:
    runner = Runner(address.psycopg(), HandlerTable(), Registry(), RunnerOptions(), name="tls")
    async with runner.connected():
        pass


async def _migrations(_address: dsn.Address, migrator: dsn.Address) -> None:
    await asyncio.to_thread(migrate.upgrade_at, migrator)


PARTS = {
    "pool": _pool, "listen": _listening, "leader": _leading, "queue": _queue, "migrations": _migrations
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("part", PARTS)
async def test_every_part_that_connects_does_so_in_production_with_the_right_authority_alone(
    part: str, database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T224, for whoever opens a connection of its own."""
    # The queue's pool opens in the background and tries again for so long.
    monkeypatch.setattr(AsyncConnectionPool, "open", partialmethod(AsyncConnectionPool.open, timeout=1.0))
    right = tls_front.make(tmp_path, "right", host="127.0.0.1")
    other = tls_front.make(tmp_path, "other", host="127.0.0.1")

    async def attempt(port: int, ca: Path) -> None:
        tls = f"?sslmode=verify-full&sslrootcert={ca}"
        app, migrator = (
            dsn.parse(f"postgresql://{who}@127.0.0.1:{port}/{database.name}{tls}", production=True)
            for who in (f"kovra_app:{PASSWORDS.app}", f"kovra_migrator:{PASSWORDS.migrator}")
        )
        await PARTS[part](app, migrator)

    async with tls_front.front(database.server.port, right) as port:
        with pytest.raises((OSError, KovraError, ConnectorException, psycopg.Error)):
            await attempt(port, other.ca)
        monkeypatch.undo()
        await attempt(port, right.ca)
    gc.collect()
