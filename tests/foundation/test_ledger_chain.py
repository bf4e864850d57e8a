"""The ledger is append-only for the program, and what somebody stronger changed is found."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from kovra.foundation.db import dsn
from kovra.foundation.db.database import Database
from kovra.foundation.db.due import Rounds, all_of
from kovra.foundation.events import Chain, verify_chain
from kovra.foundation.ids import decode, encode
from tests.support.product import Caller, Product


@pytest.fixture(scope="module")
async def superuser(product: Product) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(**product.database.superuser())  # type: ignore[arg-type]
    yield connection
    await connection.close()


@pytest.fixture
async def chained(product: Product) -> tuple[Caller, UUID]:
    """An organization with some facts."""
    ada = await product.sign_up()
    for name in ("One", "Two", "Three"):
        await ada.post("/v1/projects", {"name": name})
    org_id = decode("org", ada.organization["id"])
    assert org_id is not None
    return ada, org_id


async def followed(product: Product, org_id: UUID, *, page: int = 3) -> Chain:
    async with product.app.state.registry.get(Database).organization(org_id) as session:
        return await verify_chain(session, page=page)


@pytest.mark.parametrize(
    "statement",
    [
        "update events set type = 'x'",
        "delete from events",
        "truncate events",
        "alter table events disable trigger all",
        "alter table events no force row level security",
        "drop table events",
        "create trigger t before insert on events for each row execute function check_deployment_move()",
    ],
)
async def test_the_program_can_only_append(product: Product, chained: tuple[Caller, UUID], statement: str) -> None:
    """T188."""
    connection = await asyncpg.connect(**dsn.parse(product.database.url, production=False).asyncpg())
    try:
        await connection.execute(f"begin; select enter_organization('{chained[1]}')")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_an_untouched_chain_holds_to_its_head(product: Product, chained: tuple[Caller, UUID]) -> None:
    for page in (1, 3, 1000):
        found = await followed(product, chained[1], page=page)
        assert found.broken is None
        assert found.checked == found.head >= 7


EDIT = 'update events set payload = payload || \'{"slug": "other"}\' where org_id = $1 and seq = 4'
ACTOR = "update events set actor = 'system' where org_id = $1 and seq = 4"
PLACE = "update events set project_id = gen_random_uuid() where org_id = $1 and seq = 4"
DELETE = "delete from events where org_id = $1 and seq = 4"
TRUNCATE = "delete from events where org_id = $1 and seq >= 4"
SWAP = "update events set seq = case seq when 4 then -5 else -4 end where org_id = $1 and seq in (4, 5)"
HEAD = "update event_heads set hash = sha256('x') where org_id = $1"


@pytest.mark.parametrize("statement", [EDIT, ACTOR, PLACE, DELETE, TRUNCATE, SWAP, HEAD])
async def test_a_change_by_a_superuser_is_found(
    product: Product, superuser: asyncpg.Connection, chained: tuple[Caller, UUID], statement: str
) -> None:
    """T188: edit, deletion, reorder and truncation."""
    last = (await followed(product, chained[1])).head
    await superuser.execute(statement, chained[1])
    if statement == SWAP:
        await superuser.execute("update events set seq = -seq where org_id = $1 and seq < 0", chained[1])
    for page in (1, 3, 1000):
        found = await followed(product, chained[1], page=page)
        assert found.broken == (last + 1 if statement == HEAD else 4), (page, found)


async def test_operators_follow_every_chain_and_see_ids_alone(
    product: Product, superuser: asyncpg.Connection, chained: tuple[Caller, UUID]
) -> None:
    org_id = chained[1]
    await superuser.execute(EDIT, org_id)
    done = subprocess.run(
        [sys.executable, "-m", "kovra", "ledger", "verify"],
        env={**os.environ, "KOVRA_DATABASE_URL": product.database.url, "KOVRA_ENVIRONMENT": "development"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert f"{encode('org', org_id)}: broken at event 4" in done.stdout
    assert "Three" not in done.stdout


async def test_due_work_comes_in_pages_without_end_or_gap(product: Product) -> None:
    database = product.app.state.registry.get(Database)
    for _ in range(3):
        await product.sign_up()
    everything = [due.id async for due in all_of(database, "organizations", limit=1000)]
    assert len(everything) >= 3
    assert everything == sorted(set(everything))
    for limit in (1, 2, len(everything)):
        assert [due.id async for due in all_of(database, "organizations", limit=limit)] == everything
    for kind in (
        "deployments",
        "watching",
        "live",
        "purge_projects",
        "purge_environments",
        "purge_apps",
        "key_rotations",
    ):
        assert [due async for due in all_of(database, kind)] == []


async def test_rows_that_stay_due_do_not_keep_others_from_their_turn(product: Product) -> None:
    database = product.app.state.registry.get(Database)
    for _ in range(3):
        await product.sign_up()
    everything = {due.id async for due in all_of(database, "organizations")}
    rounds = Rounds(database, limit=2)
    turns = [{due.id for due in await rounds.turn("organizations")} for _ in range(len(everything) // 2 + 1)]
    assert set().union(*turns) == everything
    assert all(len(turn) <= 2 for turn in turns)
