"""An organization's keys in the database: rotations that fail, processes that lag behind, jobs that are killed."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from kovra.entrypoints.wiring import common
from kovra.features.projects import queries as project_queries
from kovra.features.secrets import queries as secret_queries
from kovra.features.secrets.service import keys as rules
from kovra.features.secrets.service import revisions
from kovra.foundation.db.database import Database
from kovra.foundation.db.holder_keys import HolderKeyStore, Rewrapped
from kovra.foundation.errors import Conflict
from kovra.foundation.ids import decode, new_id
from kovra.foundation.keyring import (
    Holder,
    Keyring,
    KeyVersionMissing,
    MasterKeys,
    MasterSet,
    Place,
    Purpose,
    SecretValue,
)
from kovra.foundation.keyring.masters import rotated
from tests.conftest import settings_for
from tests.support.postgres import TestDatabase
from tests.support.product import App, Caller, Product


def _decoded(prefix: str, text: str) -> UUID:
    known = decode(prefix, text)
    assert known is not None
    return known


@dataclass
class World:
    """An organization, and what a worker has."""

    org_id: UUID
    owner: Caller
    app: App
    database: Database
    store: HolderKeyStore
    raw: TestDatabase

    def another_process(self) -> HolderKeyStore:
        return HolderKeyStore(Keyring(self.store.keyring.masters))

    @property
    def pair_id(self) -> UUID:
        return _decoded("aev", self.app.pair["id"])


@pytest.fixture
async def world(product: Product, database: TestDatabase, keyrings: Path) -> AsyncIterator[World]:
    ada = await product.sign_up()
    app = await ada.app()
    async with common(settings_for(database, keyrings / "worker.json")) as registry:
        yield World(
            org_id=_decoded("org", ada.organization["id"]),
            owner=ada,
            app=app,
            database=registry.get(Database),
            store=registry.get(HolderKeyStore),
            raw=database,
        )


class _Stop(Exception):
    pass


def _place(world: World) -> Place:
    holder = Holder("organization", world.org_id)
    return Place(holder=holder, table="t", row=new_id(), column="c", purpose=Purpose.config)


async def test_a_version_that_is_rolled_back_is_never_sealed_under(world: World) -> None:
    with contextlib.suppress(_Stop):
        async with world.database.organization(world.org_id) as session:
            for purpose in (Purpose.config, Purpose.secret):
                await world.store.rotate(session, purpose)
            assert (await world.store.of_organization(session)).primary(Purpose.config).version == 2
            raise _Stop
    async with world.database.organization(world.org_id) as session:
        assert (await world.store.of_organization(session)).primary(Purpose.config).version == 1


async def test_what_another_process_sealed_under_a_new_version_opens_at_once(world: World) -> None:
    """T082."""
    behind, place = world.another_process(), _place(world)
    async with world.database.organization(world.org_id) as session:
        assert (await behind.of_organization(session)).primary(Purpose.config).version == 1
    async with world.database.organization(world.org_id) as session:
        await world.store.rotate(session, Purpose.config)
    async with world.database.organization(world.org_id) as session:
        sealed = world.store.keyring.seal(SecretValue("v"), place, await world.store.of_organization(session))
        assert sealed.key_version == 2
        keys = await behind.to_open(session, sealed.data)
        assert behind.keyring.open(sealed.data, place, keys).reveal_text() == "v"


async def test_of_two_rotations_at_once_one_is_told_so(world: World) -> None:
    async def turn() -> None:
        async with world.database.organization(world.org_id) as session:
            await world.another_process().rotate(session, Purpose.config)

    async with world.database.organization(world.org_id) as session:
        await world.store.rotate(session, Purpose.config)
        second = asyncio.create_task(turn())
        await _until_somebody_waits(world)
    with pytest.raises(Conflict) as refused:
        await second
    assert refused.value.error_code == "rotation_running"
    async with world.database.organization(world.org_id) as session:
        keys = await world.store.of_organization(session, fresh=True)
    assert {k.version: k.state for k in keys.all() if k.purpose is Purpose.config} == {1: "enabled", 2: "primary"}


async def _until_somebody_waits(world: World) -> None:
    connection = await asyncpg.connect(**world.raw.superuser())
    waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    while not await connection.fetchval(waiting):
        await asyncio.sleep(0.01)
    await connection.close()


async def test_rewrapping_killed_anywhere_leaves_every_value_open_and_is_finished_later(world: World) -> None:
    """T083."""
    place = _place(world)
    async with world.database.organization(world.org_id) as session:
        sealed = world.store.keyring.seal(SecretValue("v"), place, await world.store.of_organization(session))
    masters = world.store.keyring.masters.all()
    for group in MasterSet:
        masters = rotated(masters, group)
    chance = random.Random(7)
    for _ in range(20):
        turned = HolderKeyStore(Keyring(MasterKeys(masters)))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(chance.uniform(0.0005, 0.01)):
                async with world.database.organization(world.org_id) as session:
                    await turned.rewrap(session)
        async with world.database.organization(world.org_id) as session:
            keys = await turned.of_organization(session, fresh=True)
            assert turned.keyring.open(sealed.data, place, keys).reveal_text() == "v"
    async with world.database.organization(world.org_id) as session:
        await turned.rewrap(session)
    async with world.database.organization(world.org_id) as session:
        keys = await turned.of_organization(session, fresh=True)
        assert not [k for k in keys.all() if turned.keyring.needs_rewrap(k)]
        assert (await turned.rewrap(session)).changed == 0
        assert turned.keyring.open(sealed.data, place, keys).reveal_text() == "v"


async def _rotation(world: World, purpose: Purpose) -> UUID:
    """Rotate as the owner; the id of the rotation."""
    await world.owner.post("/v1/organization/encryption/actions/rotate", {"purpose": purpose.value})
    connection = await asyncpg.connect(**world.raw.superuser())
    try:
        found = await connection.fetchval(
            "select id from key_rotations where org_id = $1 order by created_at desc limit 1", world.org_id
        )
        return UUID(str(found))
    finally:
        await connection.close()


async def _superuser(world: World, sql: str) -> str:
    """A change that no process makes; ``$1`` is the organization."""
    connection = await asyncpg.connect(**world.raw.superuser())
    try:
        return str(await connection.execute(sql, world.org_id))
    finally:
        await connection.close()


async def _run(world: World, rotation_id: UUID) -> int:
    """All batches, as the job does it; how many there were."""
    batches, position = 0, rules.START
    while True:
        async with world.database.organization(world.org_id) as session:
            behind = await rules.reseal_batch(session, world.store, rotation_id, position)
        batches += 1
        if behind is None:
            return batches
        position = behind


async def test_resealing_goes_on_past_a_value_that_does_not_open_and_counts_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "BATCH", 2)
    names = [f"KEY_{n}" for n in range(5)]
    await world.owner.patch(f"{world.app.path}/secrets", {"secrets": dict.fromkeys(names, "value")})
    connection = await asyncpg.connect(**world.raw.superuser())
    await connection.execute(
        "update secret_versions set value = set_byte(value, 40, 255 - get_byte(value, 40)) "
        "where org_id = $1 and name in ('KEY_1', 'KEY_2')",
        world.org_id,
    )
    await connection.close()
    rotation = await _rotation(world, Purpose.secret)
    assert await _run(world, rotation) == 5  # two for columns in which there is nothing
    state = await world.owner.get("/v1/organization/encryption")
    counts = {k["version"]: k["values"] for k in state["keys"] if k["purpose"] == "secret"}
    assert counts == {1: 2, 2: 3}
    assert (state["rotations"][0]["resealed"], state["rotations"][0]["remaining"]) == (3, 2)
    assert state["rotations"][0]["finished_at"] is not None


async def test_resealing_twice_changes_nothing_more(world: World) -> None:
    """T083."""
    await world.owner.patch(f"{world.app.path}/config", {"vars": {"A": "1"}})
    rotation = await _rotation(world, Purpose.config)
    await _run(world, rotation)
    first = (await world.owner.get("/v1/organization/encryption"))["rotations"][0]
    await _run(world, rotation)
    assert (await world.owner.get("/v1/organization/encryption"))["rotations"][0] == first
    assert (await world.owner.get(f"{world.app.path}/config"))["vars"] == {"A": "1"}


async def test_a_late_seal_under_the_replaced_version_is_found_by_a_later_pass(world: World) -> None:
    """T084."""
    behind = world.another_process()
    async with world.database.organization(world.org_id) as session:
        await behind.of_organization(session)
    rotation = await _rotation(world, Purpose.config)
    await _run(world, rotation)
    async with world.database.organization(world.org_id) as session:
        row = await session.one(
            project_queries.ANY_APP_ENVIRONMENT, org_id=world.org_id, app_environment_id=world.pair_id
        )
        await revisions.change_config(session, behind, row, {"LATE": "1"}, replace=False)
        assert rules.settles_in(await rules.rotation_of(session, rotation)) > 0
    await _run(world, rotation)
    state = await world.owner.get("/v1/organization/encryption")
    assert {k["version"]: k["values"] for k in state["keys"] if k["purpose"] == "config"} == {1: 0, 2: 1}
    assert (await world.owner.get(f"{world.app.path}/config"))["vars"] == {"LATE": "1"}


async def test_a_new_digest_key_renews_the_digests_that_people_compare(world: World) -> None:
    await world.owner.patch(f"{world.app.path}/secrets", {"secrets": {"API_KEY": "value"}})
    before = (await world.owner.get(f"{world.app.path}/secrets"))["data"][0]["digest"]
    rotation = await _rotation(world, Purpose.digest)
    await _run(world, rotation)
    after = (await world.owner.get(f"{world.app.path}/secrets"))["data"][0]["digest"]
    assert before != after
    state = await world.owner.get("/v1/organization/encryption")
    assert {k["version"]: k["values"] for k in state["keys"] if k["purpose"] == "digest"} == {1: 0, 2: 1}


async def test_a_disabled_version_closes_its_values_and_no_others(world: World) -> None:
    await world.owner.patch(f"{world.app.path}/config", {"vars": {"A": "1"}})
    await _rotation(world, Purpose.config)
    await _superuser(world, "update holder_keys set state = 'disabled' where org_id = $1 and state = 'enabled'")
    fresh = world.another_process()
    async with world.database.organization(world.org_id) as session:
        keys = await fresh.of_organization(session)
        assert keys.primary(Purpose.secret).version == 1
        with pytest.raises(KeyVersionMissing):
            await revisions.latest(session, fresh, world.pair_id)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("primary", "disabled"), ("primary", "destroyed"), ("enabled", "primary"), ("disabled", "primary"),
        ("destroyed", "enabled"), ("destroyed", "primary"), ("destroyed", "disabled"),
    ],
)  # fmt: skip
async def test_the_database_refuses_illegal_moves_of_a_key(world: World, before: str, after: str) -> None:
    await _rotation(world, Purpose.config)
    if before != "primary":
        gone = ", wrapped = ''" if before == "destroyed" else ""
        change = (
            f"update holder_keys set state = '{before}'{gone} where org_id = $1 and version = 1 and purpose = 'config'"
        )
        await _superuser(world, change)
    version = 2 if before == "primary" else 1
    gone = ", wrapped = ''" if after == "destroyed" else (", wrapped = '1'" if before == "destroyed" else "")
    with pytest.raises(asyncpg.PostgresError, match="illegal move"):
        await _superuser(
            world,
            f"update holder_keys set state = '{after}'{gone} where org_id = $1 and version = {version} and purpose = 'config'",
        )


async def test_a_destroyed_key_has_no_bytes_and_a_purpose_one_primary(world: World) -> None:
    await _rotation(world, Purpose.config)
    with pytest.raises(asyncpg.CheckViolationError):
        await _superuser(world, "update holder_keys set state = 'destroyed' where org_id = $1 and state = 'enabled'")
    with pytest.raises(asyncpg.CheckViolationError):
        await _superuser(world, "update holder_keys set wrapped = '' where org_id = $1 and state = 'enabled'")
    with pytest.raises(asyncpg.UniqueViolationError):
        await _superuser(
            world,
            "insert into holder_keys (org_id, purpose, version, state, master_set, master_version, wrapped) "
            "values ($1, 'config', 9, 'primary', 'edge', 1, 'x')",
        )


async def _ended(world: World, days: float) -> rules.Ended:
    async with world.database.organization(world.org_id) as session:
        return await rules.end_unneeded(session, world.store, backups=timedelta(days=days))


async def test_a_replaced_version_ends_when_no_value_and_no_kept_backup_needs_it(world: World) -> None:
    await world.owner.patch(f"{world.app.path}/config", {"vars": {"A": "1"}})
    rotation = await _rotation(world, Purpose.config)
    assert await _ended(world, 0) == rules.Ended(needed=1)  # its value is not re-sealed yet
    await _run(world, rotation)
    assert await _ended(world, 30) == rules.Ended(waiting=1)
    assert await _ended(world, 30) == rules.Ended(waiting=1)  # backups made until now are still kept
    await _superuser(
        world, "update holder_keys set unneeded_since = now() - interval '31 days' where org_id = $1 and version = 1"
    )
    assert await _ended(world, 30) == rules.Ended(destroyed=1)
    assert await _ended(world, 30) == rules.Ended()
    state = await world.owner.get("/v1/organization/encryption")
    assert {k["version"]: k["state"] for k in state["keys"] if k["purpose"] == "config"} == {
        1: "destroyed",
        2: "primary",
    }
    events = (await world.owner.get("/v1/events?type=key.destroyed"))["data"]
    assert [e["payload"] for e in events] == [{"purpose": "config", "version": 1}]
    assert (await world.owner.get(f"{world.app.path}/config"))["vars"] == {"A": "1"}
    async with world.database.organization(world.org_id) as session:
        assert (await world.store.rewrap(session)).failed == 0


async def test_a_version_that_a_value_needs_after_all_waits_anew(world: World) -> None:
    behind = world.another_process()
    async with world.database.organization(world.org_id) as session:
        await behind.of_organization(session)
    await _rotation(world, Purpose.config)
    assert await _ended(world, 30) == rules.Ended(waiting=1)
    await _superuser(
        world, "update holder_keys set unneeded_since = now() - interval '31 days' where org_id = $1 and version = 1"
    )
    async with world.database.organization(world.org_id) as session:
        row = await session.one(
            project_queries.ANY_APP_ENVIRONMENT, org_id=world.org_id, app_environment_id=world.pair_id
        )
        await revisions.change_config(session, behind, row, {"LATE": "1"}, replace=False)
    assert await _ended(world, 30) == rules.Ended(needed=1)
    await _superuser(world, "delete from config_revisions where org_id = $1")
    assert await _ended(world, 30) == rules.Ended(waiting=1)


async def test_the_primary_is_never_destroyed(world: World) -> None:
    async with world.database.organization(world.org_id) as session:
        assert not await world.store.destroy(session, Purpose.config, 1)
        assert (await world.store.of_organization(session, fresh=True)).primary(Purpose.config).version == 1


async def test_resealing_races_with_another_and_with_a_purge_and_neither_loses(world: World) -> None:
    """T084: what was written meanwhile wins, by compare and swap."""
    await world.owner.patch(f"{world.app.path}/config", {"vars": {"A": "1"}})
    rotation = await _rotation(world, Purpose.config)
    column = next(c for c in secret_queries.COLUMNS if c.column == "vars")
    async with world.database.organization(world.org_id) as session:
        found = await session.all(column.old, org_id=world.org_id, version=2, after=UUID(int=0), limit=9)
        keys = await world.store.of_organization(session, fresh=True)
    again = [world.store.keyring.reseal(row.data, column.place(keys.holder, row.id), keys) for row in found]
    await _run(world, rotation)  # the other one was faster
    async with world.database.organization(world.org_id) as session:
        for row, made in zip(found, again, strict=True):
            assert not await session.execute(
                column.swap, org=world.org_id, row_id=row.id, was=row.data, made=made.data, made_version=2
            )
    assert (await world.owner.get(f"{world.app.path}/config"))["vars"] == {"A": "1"}


async def test_rows_held_by_somebody_else_are_left_for_the_next_pass(world: World) -> None:
    """T084."""
    await world.owner.patch(f"{world.app.path}/config", {"vars": {"A": "1"}})
    rotation = await _rotation(world, Purpose.config)
    connection = await asyncpg.connect(**world.raw.superuser())
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("select 1 from config_revisions where org_id = $1 for update", world.org_id)
    await _run(world, rotation)
    state = (await world.owner.get("/v1/organization/encryption"))["rotations"][0]
    assert (state["resealed"], state["remaining"]) == (0, 1)
    await transaction.rollback()
    await connection.close()
    await _run(world, rotation)
    state = (await world.owner.get("/v1/organization/encryption"))["rotations"][0]
    assert (state["resealed"], state["remaining"]) == (1, 0)


async def test_turning_a_master_changes_no_record(world: World) -> None:
    """T082: the rows' xmin stays."""
    await world.owner.patch(f"{world.app.path}/config", {"vars": {"A": "1"}})
    await world.owner.patch(f"{world.app.path}/secrets", {"secrets": {"B": "2"}})
    rows = " union all ".join(
        f"select xmin::text, id from {table} where org_id = $1" for table in ("config_revisions", "secret_versions")
    )
    connection = await asyncpg.connect(**world.raw.superuser())
    before = await connection.fetch(rows, world.org_id)
    turned = HolderKeyStore(Keyring(MasterKeys(rotated(world.store.keyring.masters.all(), MasterSet.edge))))
    async with world.database.organization(world.org_id) as session:
        assert (await turned.rewrap(session)).changed == 6
    assert await connection.fetch(rows, world.org_id) == before
    await connection.close()


async def test_rewrapping_goes_on_past_a_key_that_does_not_open(world: World) -> None:
    await _superuser(
        world,
        "update holder_keys set wrapped = set_byte(wrapped, 90, 255 - get_byte(wrapped, 90)) "
        "where org_id = $1 and purpose = 'oauth'",
    )
    turned = HolderKeyStore(Keyring(MasterKeys(rotated(world.store.keyring.masters.all(), MasterSet.edge))))
    async with world.database.organization(world.org_id) as session:
        assert await turned.rewrap(session) == Rewrapped(changed=5, failed=1)
        assert await turned.rewrap(session) == Rewrapped(changed=0, failed=1)
