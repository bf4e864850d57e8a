"""Organizations stay apart through failures, cancellations, savepoints and a crowd on a small pool."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import func, select

from kovra.entrypoints.api import create_app
from kovra.features.organizations.roles import ROLES
from kovra.features.projects import queries
from kovra.foundation.db import dsn
from kovra.foundation.db.connections import PoolOptions
from kovra.foundation.db.database import Database
from kovra.foundation.db.session import TenantSession
from kovra.foundation.db.statements import command
from kovra.foundation.ids import decode, new_id
from tests.conftest import settings_for
from tests.support.postgres import TestDatabase
from tests.support.product import App, Caller, Product

SLEEP = command(select(func.pg_sleep(20)))


def the_id(thing: dict[str, str]) -> UUID:
    found = decode(thing["id"][:3], thing["id"])
    assert found is not None
    return found


@pytest.fixture
async def narrow(database: TestDatabase) -> AsyncIterator[Database]:
    """A pool of one connection: whatever a borrower leaves, the next one finds."""
    options = PoolOptions(min_size=1, max_size=1)
    pool = await Database.connect(dsn.parse(database.url, production=False).asyncpg(), roles=ROLES, options=options)
    yield pool
    await pool.close()


@pytest.fixture
async def superuser(database: TestDatabase) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(**database.superuser())  # type: ignore[arg-type]
    yield connection
    await connection.close()


async def assert_nobody(pool: Database) -> None:
    """The next borrower has no tenant and no open transaction."""
    async with pool.connection() as connection:
        for name in ("org_id", "user_id", "actor", "role", "narrow_project"):
            assert await connection.fetchval("select current_setting('kovra.' || $1, true)", name) in (None, ""), name
        assert not connection.is_in_transaction()
        assert await connection.fetchval("select pg_current_xact_id_if_assigned()") is None


async def test_a_handler_that_raises_leaves_no_tenant(product: Product, narrow: Database) -> None:
    """T021."""
    org_id = the_id((await product.sign_up()).organization)
    with pytest.raises(ZeroDivisionError):
        async with narrow.organization(org_id):
            raise ZeroDivisionError
    await assert_nobody(narrow)


@pytest.mark.parametrize("how", ["cancelled", "connection lost"])
async def test_a_query_that_is_broken_off_leaves_no_tenant(
    product: Product, narrow: Database, superuser: asyncpg.Connection, how: str
) -> None:
    """T021: the task is cancelled, or the server ends the backend, in the middle of a statement."""
    org_id = the_id((await product.sign_up()).organization)

    async def slow() -> None:
        async with narrow.organization(org_id) as session:
            await session.execute(SLEEP)

    task = asyncio.create_task(slow())
    running = "select pid from pg_stat_activity where query like '%pg_sleep%' and state = 'active' and pid <> pg_backend_pid()"
    while (pid := await superuser.fetchval(running)) is None:
        await asyncio.sleep(0.01)
    if how == "cancelled":
        task.cancel()
    else:
        await superuser.execute("select pg_terminate_backend($1)", pid)
    assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], BaseException)
    await assert_nobody(narrow)


async def test_a_session_ends_with_its_commit(product: Product, narrow: Database) -> None:
    """T022: nothing commits midway, and who goes on afterwards is told so instead of reading as nobody."""
    org_id = the_id((await product.sign_up()).organization)
    assert not [name for name in dir(TenantSession) if "commit" in name or "savepoint" in name]
    async with narrow.organization(org_id) as session:
        pass
    with pytest.raises(RuntimeError, match="has ended"):
        await session.find(queries.PROJECT, org_id=org_id, project_id=new_id())


async def test_a_savepoint_that_is_rolled_back_changes_no_tenant(product: Product, narrow: Database) -> None:
    """T023."""
    org_id = the_id((await product.sign_up()).organization)
    async with narrow.connection() as connection:
        await connection.execute(f"begin; select enter_organization('{org_id}')")
        await connection.execute("savepoint s; insert into projects (id, org_id, name, slug) "
                                 f"values (gen_random_uuid(), '{org_id}', 'x', 'x'); rollback to s")  # fmt: skip
        assert await connection.fetchval("select current_setting('kovra.org_id')") == str(org_id)
        assert await connection.fetchval("select count(*) from organizations") == 1
        await connection.execute("rollback")
    await assert_nobody(narrow)


@dataclass
class Tenant:
    """Somebody, what is theirs, and a token narrowed to one of their two projects."""

    caller: Caller
    apps: list[App]
    token: Caller

    @property
    def ids(self) -> set[str]:
        return {app.app["id"] for app in self.apps}


@pytest.fixture
async def crowd(database: TestDatabase, keyrings: Path) -> AsyncIterator[list[Tenant]]:
    """Four organizations on an api with a pool of five."""
    settings = settings_for(database, keyrings / "api.json", pool_max=5)
    api = create_app(settings)
    async with api.router.lifespan_context(api):
        product = Product(app=api, database=database, settings=settings)
        tenants = []
        for _ in range(4):
            ada = await product.sign_up()
            apps = [await ada.app(), await ada.app()]
            body = {"name": "t", "permissions": ["apps:read"], "project": apps[0].project["id"]}
            token = Caller(product, (await ada.post("/v1/tokens", body))["token"])
            tenants.append(Tenant(ada, apps, token))
        yield tenants


async def _ask(chance: random.Random, me: Tenant, other: Tenant, seen: Counter[str]) -> None:
    """One request, and that its answer is of whoever asked."""
    mine, theirs = chance.choice(me.apps), chance.choice(other.apps)
    what = chance.choice(["get", "foreign", "list", "narrowed", "pairs", "write"])
    if what == "get":
        assert (await me.caller.get(f"/v1/apps/{mine.app['id']}"))["id"] == mine.app["id"]
    elif what == "foreign":
        assert (await me.caller.send("GET", f"/v1/apps/{theirs.app['id']}")).status_code == 404
    elif what == "list":
        assert {a["id"] for a in (await me.caller.get("/v1/apps"))["data"]} == me.ids
    elif what == "narrowed":
        assert {a["id"] for a in (await me.token.get("/v1/apps"))["data"]} == {me.apps[0].app["id"]}
    elif what == "pairs":
        assert {p["app_id"] for p in (await me.caller.get("/v1/app-environments"))["data"]} == me.ids
    else:
        changed = await me.caller.patch(f"/v1/apps/{mine.app['id']}", {"name": f"N{chance.randrange(1000)}"})
        assert changed["id"] == mine.app["id"]
    seen[what] += 1


async def test_two_hundred_at_once_on_a_pool_of_five_each_get_their_own(crowd: list[Tenant]) -> None:
    """T024; every tenth is broken off at some moment."""
    chance, seen = random.Random(24), Counter[str]()
    tasks = []
    for number in range(200):
        me, other = chance.sample(crowd, 2)
        task = asyncio.create_task(_ask(chance, me, other, seen))
        if number % 10 == 0:
            asyncio.get_running_loop().call_later(chance.random() * 0.2, task.cancel)
        tasks.append(task)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [r for r in results if isinstance(r, Exception)] == []
    assert sum(seen.values()) >= 180
    assert min(seen.values()) > 10


async def test_names_of_others_are_free_and_one_that_is_not_says_nothing(product: Product) -> None:
    """T026."""
    ada, eve = await product.sign_up(), await product.sign_up()
    await eve.post("/v1/projects", {"name": "Secret plan", "slug": "secret-plan"})
    made = await ada.send("POST", "/v1/projects", {"name": "Secret plan", "slug": "secret-plan"})
    assert made.status_code == 201
    # An organization's slug is one everywhere: the refusal is the same whoever has it.
    answers = []
    for taken in (eve.organization["slug"], ada.organization["slug"]):
        refused = await ada.send("POST", "/v1/organizations", {"name": "X", "slug": taken})
        assert refused.status_code == 409
        answers.append({k: v for k, v in refused.json().items() if k != "request_id"})
    assert answers[0] == answers[1]


async def test_no_row_points_into_another_organization(product: Product, superuser: asyncpg.Connection) -> None:
    """T027: with a simple key, a deletion by one organization takes another's row with it; ours refuse such a row."""
    ada, eve = await product.sign_up(), await product.sign_up()
    mine = await ada.app()
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await superuser.execute(
            "insert into apps (id, org_id, project_id, name, slug, processes) values ($1, $2, $3, 'x', 'x', '{}')",
            new_id(), the_id(eve.organization), the_id(mine.project),
        )  # fmt: skip
    cascades = await superuser.fetch(
        "select conname from pg_constraint c join pg_attribute a on a.attrelid = c.conrelid and a.attname = 'org_id' "
        "where contype = 'f' and confdeltype <> 'a' and not a.attnum = any (conkey)"
    )
    assert cascades == []


async def test_a_simple_key_would_let_a_deletion_reach_over(product: Product, superuser: asyncpg.Connection) -> None:
    """T027, why the rule is there: in a copy with simple keys the cascade ignores the policies, forced as they are."""
    ada, eve = [the_id((await product.sign_up()).organization) for _ in range(2)]
    transaction = superuser.transaction()
    await transaction.start()
    try:
        mine = "org_id = (select nullif(current_setting('kovra.org_id', true), '')::uuid)"
        for table, parent in (
            ("parents", ""),
            ("children", ", parent_id int references parents (id) on delete cascade"),
        ):
            await superuser.execute(f"create table {table} (id int primary key, org_id uuid{parent})")
            await superuser.execute(f"alter table {table} owner to kovra_owner")
            await superuser.execute(f"alter table {table} enable row level security")
            await superuser.execute(f"alter table {table} force row level security")
            await superuser.execute(f"create policy p on {table} using ({mine}) with check ({mine})")
            await superuser.execute(f"grant select, delete on {table} to kovra_app")
        await superuser.execute("insert into parents values (1, $1)", ada)
        await superuser.execute("insert into children values (1, $1, 1)", eve)
        await superuser.execute("set local role kovra_app")
        await superuser.fetch("select enter_organization($1)", ada)
        assert await superuser.fetchval("select count(*) from children") == 0
        await superuser.execute("delete from parents")
        await superuser.execute("reset role")
        assert await superuser.fetchval("select count(*) from children") == 0
    finally:
        await transaction.rollback()
