"""T083: processes killed with SIGKILL between and inside writes, twenty times each; every value opens, reruns finish."""

from __future__ import annotations

import contextlib
import json
import math
import random
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from kovra.entrypoints.wiring import common
from kovra.features.secrets import handlers, queries
from kovra.features.secrets.messages import ResealValues
from kovra.features.secrets.queries import COLUMNS
from kovra.foundation.db.database import Database
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.errors import Retry
from kovra.foundation.ids import decode
from kovra.foundation.jobs.handling import JobContext
from kovra.foundation.keyring import Keyring, MasterKey, MasterKeys, MasterSet
from kovra.foundation.keyring.documents import FileSource, write_file
from kovra.foundation.keyring.masters import rotated
from kovra.foundation.registry import Registry
from tests.conftest import settings_for
from tests.support.killed import Cut, CuttingProxy, Forker, cutting, forker
from tests.support.postgres import TestDatabase
from tests.support.product import App, Product

ROUNDS, SEED = 20, 20261125
CUTS: list[Cut] = ["before", "inside", "after"]


@pytest.fixture(scope="module")
def processes() -> Iterator[Forker]:
    with forker() as made:
        yield made


@pytest.fixture(scope="module")
async def proxy(database: TestDatabase) -> AsyncIterator[CuttingProxy]:
    async with cutting(database.server.port) as made:
        yield made


@dataclass
class World:
    """Organizations with values, seen past all caches."""

    raw: TestDatabase
    registry: Registry
    apps: list[App]

    @property
    def database(self) -> Database:
        return self.registry.get(Database)

    async def rows(self, sql: str, *arguments: Any) -> list[Any]:
        connection = await asyncpg.connect(**self.raw.superuser())  # type: ignore[arg-type]
        try:
            return list(await connection.fetch(sql, *arguments))
        finally:
            await connection.close()

    async def opened(self, masters: list[MasterKey]) -> dict[str, str]:
        """Every sealed value of every organization, opened by a process that has just started."""
        store, found = HolderKeyStore(Keyring(MasterKeys(masters))), {}
        for app in self.apps:
            org_id = org_of(app)
            async with self.database.organization(org_id) as session:
                keys = await store.of_organization(session)
                for column in [c for c in COLUMNS if not c.is_digest]:
                    rows = await self.rows(
                        f"select id, {column.column} v from {column.table} where org_id = $1", org_id
                    )
                    for row in rows:
                        value = store.keyring.open(row["v"], column.place(keys.holder, row["id"]), keys)
                        found[str(row["id"])] = value.reveal_text()
        return found


def org_of(app: App) -> UUID:
    org_id = decode("org", app.caller.organization["id"])
    assert org_id is not None
    return org_id


@pytest.fixture
async def world(product: Product, database: TestDatabase, keyrings: Path) -> AsyncIterator[World]:
    apps = []
    for _ in range(2):
        app = await (await product.sign_up()).app(image=None)
        for n in range(3):
            await app.caller.patch(f"{app.path}/config", {"vars": {f"V{n}": f"config-{n}"}})
            await app.caller.patch(f"{app.path}/secrets", {"secrets": {f"S{n}{m}": f"secret-{n}{m}" for m in range(3)}})
        apps.append(app)
    async with common(settings_for(database, keyrings / "worker.json")) as registry:
        yield World(raw=database, registry=registry, apps=apps)


def through(proxy: CuttingProxy, database: TestDatabase, keyring: Path) -> dict[str, Any]:
    """Settings of a process that reaches the database by the proxy."""
    url = database.url.replace(f":{database.server.port}/", f":{proxy.port}/")
    known = settings_for(database, keyring)
    token_keys = known.token_keys
    assert token_keys is not None
    return {
        "environment": "development", "database_url": url, "keyring_file": str(keyring), "pool_max": 2,
        "token_keys": token_keys.get_secret_value(),
    }  # fmt: skip


async def test_rewrapping_killed_at_any_message_loses_nothing(
    world: World, proxy: CuttingProxy, processes: Forker, keyrings: Path, tmp_path: Path
) -> None:
    masters, keyring = FileSource(keyrings / "worker.json").load(), tmp_path / "worker.json"
    values = await world.opened(masters)
    assert len(values) == 2 * (9 + 6)
    work = {"verb": "rewrap", "settings": through(proxy, world.raw, keyring)}

    async def turned(at: int, cut: Cut) -> int:
        nonlocal masters
        for group in MasterSet:
            masters = rotated(masters, group)
        write_file(keyring, masters)
        return await processes.run(proxy, work, at=at, cut=cut)

    assert await turned(0, "after") == 0
    messages, chance, halfway = proxy.counted, random.Random(SEED), 0
    assert messages > 40
    for n in range(ROUNDS):
        assert await turned(chance.randint(1, messages * 4 // 5), CUTS[n % 3]) == -signal.SIGKILL
        assert await world.opened(masters) == values
        wrapped = await world.rows("select distinct org_id, master_version from holder_keys")
        assert len({r["org_id"] for r in wrapped}) == len(wrapped)  # an organization's keys are wrapped all or none
        halfway += len({r["master_version"] for r in wrapped}) > 1
    assert halfway > ROUNDS // 3  # the kills came in the middle, not before or behind the work
    assert await processes.run(proxy, work) == 0
    primary = MasterKeys(masters).primary(MasterSet.edge).version
    assert [r["master_version"] for r in await world.rows("select distinct master_version from holder_keys")] == [
        primary
    ]
    assert await world.opened([k for k in masters if k.version == primary]) == values
    assert json.loads(keyring.read_text())["edge"][-1]["version"] == ROUNDS + 2


async def test_resealing_killed_at_any_message_loses_nothing(
    world: World, proxy: CuttingProxy, processes: Forker, keyrings: Path
) -> None:
    masters, app = FileSource(keyrings / "worker.json").load(), world.apps[0]
    values, org_id = await world.opened(masters), org_of(app)
    work = {
        "verb": "reseal", "settings": through(proxy, world.raw, keyrings / "worker.json"), "org_id": str(org_id), "batch": 2,
    }  # fmt: skip
    messages, chance, halfway = {}, random.Random(SEED), 0
    for n in range(-3, ROUNDS):
        purpose = ("config", "secret", "digest")[n % 3]
        await app.caller.post("/v1/organization/encryption/actions/rotate", {"purpose": purpose})
        (turn, *_) = (await app.caller.get("/v1/organization/encryption"))["rotations"]
        work["rotation"] = str(await _rotation(world, org_id))
        if n < 0:  # how many messages a whole run has
            assert await processes.run(proxy, work) == 0
            messages[purpose] = proxy.counted
            continue
        at = chance.randint(1, messages[purpose] - 5)
        assert await processes.run(proxy, work, at=at, cut=CUTS[(n // 3) % 3]) == -signal.SIGKILL
        assert await world.opened(masters) == values
        done = await _at_version(world, org_id, purpose, turn["to_version"])
        assert done == await _told(world, org_id, purpose, turn["to_version"])  # T093: as many events' rows as rows
        halfway += 0 < done < (9 if purpose != "config" else 6)
        await _again(world, org_id, work["rotation"])
        (turn, *_) = (await app.caller.get("/v1/organization/encryption"))["rotations"]
        assert (turn["purpose"], turn["remaining"], turn["finished_at"] is None) == (purpose, 0, False)
        assert await world.opened(masters) == values
    assert halfway > ROUNDS // 3


async def _again(world: World, org_id: UUID, rotation: str) -> None:
    """The same job, taken up by a worker that lives."""
    with contextlib.suppress(Retry):
        context = JobContext(org_id=org_id, registry=world.registry, worker="living", until=math.inf)
        await handlers.reseal_values(context, ResealValues(id=UUID(rotation)))


async def _rotation(world: World, org_id: UUID) -> UUID:
    async with world.database.organization(org_id) as session:
        return (await session.all(queries.ROTATIONS, org_id=org_id))[0].id


_COLUMN = {"config": "config_revisions.vars", "secret": "secret_versions.value", "digest": "secret_versions.digest"}


async def _at_version(world: World, org_id: UUID, purpose: str, version: int) -> int:
    table, column = _COLUMN[purpose].split(".")
    rows = await world.rows(
        f"select count(*) n from {table} where org_id = $1 and {column}_key_version = $2", org_id, version
    )  # fmt: skip
    return int(rows[0]["n"])


async def _told(world: World, org_id: UUID, purpose: str, version: int) -> int:
    if purpose == "config":  # people may read it back; its re-sealing is no event
        return await _at_version(world, org_id, purpose, version)
    rows = await world.rows(
        "select coalesce(sum(jsonb_array_length(payload->'rows')), 0) n from events where org_id = $1 "
        "and type = 'values.resealed' and payload->>'purpose' = $2 and (payload->>'version')::int = $3",
        org_id, purpose, version,
    )  # fmt: skip
    return int(rows[0]["n"])
