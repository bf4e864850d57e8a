"""Database addresses and TLS: production speaks verify-full or not at all, with every client."""

from __future__ import annotations

import gc
from pathlib import Path

import asyncpg
import psycopg
import pytest

from kovra.foundation.db import dsn
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
