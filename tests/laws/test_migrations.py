"""Migrations under forced row-level security: what changes rows walks over organizations, what adds keys checks rows."""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from migrations import data
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import NullPool

from tests.support.postgres import TestDatabase
from tests.support.walls import Side

VERSIONS = Path(__file__).resolve().parents[2] / "migrations" / "versions"
CHANGES_ROWS = re.compile(
    r"\s*(update|delete\s+from|insert\s+into|merge\s+into|truncate|copy)\s+(\S|\Z)", re.IGNORECASE
)
ADDS_KEY = re.compile(r"add\s+(constraint\s+\S+\s+)?foreign\s+key|add\s+column[^;]*\breferences\b", re.IGNORECASE)
IN_DATABASE = {"function", "door"}
"""Calls whose text is the body of a function, which runs later and under its caller's policies."""


def faults(source: str) -> list[str]:
    """What a revision may not do by itself."""
    tree = ast.parse(source)
    bodies = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in IN_DATABASE
        for inner in ast.walk(node)
    }
    walked = {ast.unparse(arg) for node in ast.walk(tree) if isinstance(node, ast.Call) for arg in node.args
              if ast.unparse(node.func).split(".")[-1] in ("each_organization", "each_user")}  # fmt: skip
    inside = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name in walked
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in ("op.bulk_insert", "op.create_foreign_key", "op.batch_alter_table"):
                found.append(name)
            if name == "op.add_column" and "ForeignKey" in ast.unparse(node):
                found.append("op.add_column with a foreign key")
            if name == "op.create_table" or id(node) in bodies:
                continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bodies:
            if CHANGES_ROWS.match(node.value) and id(node) not in inside:
                found.append(node.value.strip())
            if ADDS_KEY.search(node.value):
                found.append(node.value.strip())
    return found


@pytest.mark.parametrize("file", sorted(VERSIONS.glob("*.py")), ids=lambda file: file.stem)
def test_revisions_change_rows_and_add_keys_by_the_walks_alone(file: Path) -> None:
    assert faults(file.read_text()) == []


@pytest.mark.parametrize(
    "line",
    [
        "op.execute('update apps set drain_s = 1')",
        "op.execute(f'DELETE FROM {table}')",
        "op.execute('\\n insert into apps select 1')",
        "op.get_bind().execute(sa.text('update apps set drain_s = 1'))",
        "op.bulk_insert(table, [])",
        "op.create_foreign_key('fk', 'apps', 'projects', ['a'], ['b'])",
        "op.execute('alter table apps add constraint x foreign key (a) references b')",
        "op.execute('alter table apps add column x uuid references b')",
        "op.add_column('apps', sa.Column('x', sa.Uuid(), sa.ForeignKey('b.id')))",
    ],
)
def test_other_forms_are_refused(line: str) -> None:
    assert faults(f"def upgrade():\n    {line}\n"), line


def test_the_walks_themselves_are_not_refused() -> None:
    good = (
        "def change(connection, org_id):\n    connection.execute(text('update apps set drain_s = 1'))\n"
        "def upgrade():\n    data.each_organization(change)\n    data.add_tenant_key('apps', 'x', 'y')\n"
        "    function('f()', 'begin update apps set drain_s = 1; end')\n"
    )
    assert faults(good) == []


@contextmanager
def migrating(database: TestDatabase) -> Iterator[Connection]:
    """As a revision runs: as the owner, on the migrator's connection."""
    engine = create_engine(make_url(database.migrator_url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("set role kovra_owner")
        connection.commit()
        context = MigrationContext.configure(connection, opts={"transaction_per_migration": True})
        with Operations.context(context), context.begin_transaction(_per_migration=True):
            yield connection


def run(database: TestDatabase, change: Callable[[], object]) -> object:
    with migrating(database):
        return change()


def _renamed(connection: Connection, _org_id: UUID) -> None:
    connection.execute(text("update apps set name = 'Renamed'"))


@pytest.mark.unset_tenant
async def test_a_walk_changes_every_organizations_rows_and_a_plain_update_none(
    database: TestDatabase, superuser: asyncpg.Connection, sides: tuple[Side, Side]
) -> None:
    renamed = "select count(distinct org_id) from apps where name = 'Renamed'"

    def plainly() -> None:
        data.op.execute("update apps set name = 'Renamed'")

    await asyncio.to_thread(run, database, plainly)
    assert await superuser.fetchval(renamed) == 0
    met = await asyncio.to_thread(run, database, lambda: data.each_organization(_renamed))
    assert met == await superuser.fetchval("select count(*) from organizations")
    assert await superuser.fetchval(renamed) == 2
    assert await superuser.fetchval("select count(*) from apps where name <> 'Renamed'") == 0


async def test_a_walk_over_people_enters_each(
    database: TestDatabase, superuser: asyncpg.Connection, sides: tuple[Side, Side]
) -> None:
    def ended(connection: Connection, user_id: UUID) -> None:
        assert connection.execute(text("select count(distinct user_id) from sessions")).scalar_one() <= 1
        connection.execute(text("update sessions set user_agent = 'walked'"))

    met = await asyncio.to_thread(run, database, lambda: data.each_user(ended))
    assert met == await superuser.fetchval("select count(*) from users")
    assert await superuser.fetchval("select count(*) from sessions where user_agent <> 'walked'") == 0


async def test_a_walk_that_fails_keeps_what_was_done_and_nothing_of_the_rest(
    database: TestDatabase, superuser: asyncpg.Connection, sides: tuple[Side, Side]
) -> None:
    first, second = sorted(side.org_id for side in sides)

    def half(connection: Connection, org_id: UUID) -> None:
        connection.execute(text("update apps set name = 'Half'"))
        if org_id == second:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(run, database, lambda: data.each_organization(half))
    done = await superuser.fetch("select distinct org_id from apps where name = 'Half'")
    assert [row["org_id"] for row in done] == [first]


@pytest.mark.parametrize(("walk", "table"), [(data.each_organization, "organizations"), (data.each_user, "users")])
@pytest.mark.unset_tenant
async def test_a_walk_that_meets_nobody_though_there_are_some_fails(
    database: TestDatabase, superuser: asyncpg.Connection, sides: tuple[Side, Side],
    walk: Callable[[Callable[[Connection, UUID], None]], int], table: str,
) -> None:  # fmt: skip
    await superuser.execute(f"alter policy {table}_all on {table} using (false)")
    try:
        with pytest.raises(data.NobodyMet):
            await asyncio.to_thread(run, database, lambda: walk(_renamed))
    finally:
        await superuser.execute(f"alter policy {table}_all on {table} using (true)")
    assert await superuser.fetchval("select relforcerowsecurity from pg_class where oid = $1::regclass", table)


@pytest.mark.unset_tenant
async def test_a_key_that_rows_violate_is_refused_and_force_is_back(
    database: TestDatabase, superuser: asyncpg.Connection, sides: tuple[Side, Side]
) -> None:
    """Added plainly, the same key is taken for valid although no row was looked at."""
    await superuser.execute("alter table apps add column elsewhere uuid")
    await superuser.execute("update apps set elsewhere = gen_random_uuid()")

    def plainly() -> None:
        data.op.execute(
            "alter table apps add constraint plain foreign key (org_id, elsewhere) references projects (org_id, id)"
        )

    forced = "select bool_and(relforcerowsecurity) from pg_class where oid in ('apps'::regclass, 'projects'::regclass)"
    try:
        await asyncio.to_thread(run, database, plainly)
        assert await superuser.fetchval("select convalidated from pg_constraint where conname = 'plain'")
        with pytest.raises(IntegrityError):
            await asyncio.to_thread(run, database, lambda: data.add_tenant_key("apps", "elsewhere", "projects"))
        assert await superuser.fetchval(forced)
        await superuser.execute("update apps set elsewhere = project_id")
        await asyncio.to_thread(run, database, lambda: data.add_tenant_key("apps", "elsewhere", "projects"))
        assert await superuser.fetchval(forced)
    finally:
        await superuser.execute("alter table apps drop column elsewhere")
