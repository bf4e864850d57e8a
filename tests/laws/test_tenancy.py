"""What must stay true of the schema: every table walled, every door narrow, no role too strong."""

from __future__ import annotations

import asyncpg
import pytest

from kovra.foundation.db import dsn
from kovra.foundation.db.selfcheck import HEAD, UnsafeDatabase, check_role_and_policies, exceptions
from kovra.models import metadata
from tests.support.postgres import TestDatabase
from tests.support.product import Product
from tests.support.walls import TENANT_TABLES, USER_TABLES, expected, policies

DOORS = {
    "due_work", "registered_clusters", "enter_token", "living_door", "login_door", "memberships_door", "needed_masters", "password_door",
    "refresh_door", "replaced_keys", "stale_pulls", "stalled_rotations", "wrapped_keys",
}  # fmt: skip
"""Whatever answers before a tenant is known. A new one needs its reason in review, and its place here."""


@pytest.mark.unset_tenant
async def test_every_table_has_exactly_the_policies_it_must_have(superuser: asyncpg.Connection) -> None:
    """T013: enabled, forced, one permissive and one restrictive wall for all commands with the exact expression."""
    tables = await superuser.fetch(
        "select c.oid, c.relname, c.relkind, c.relrowsecurity and c.relforcerowsecurity as forced from pg_class c "
        "join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'public' and c.relkind not in ('i', 'S', 'c')"
    )
    found, known = await policies(superuser), exceptions()["tables"]
    assert {t["relkind"] for t in tables} == {b"r"}, "views and partitions have rules of their own: write them first"
    named = {t["relname"] for t in tables}
    assert named - known.keys() == TENANT_TABLES.keys() | USER_TABLES.keys()
    assert known.keys() <= named
    for table in named - known.keys():
        assert next(t["forced"] for t in tables if t["relname"] == table), table
        wanted = expected(table, read_by_doors=f"{table}_lookup" in found[table])
        assert found[table] == wanted, table


async def test_foreign_keys_between_tenant_tables_carry_the_organization(superuser: asyncpg.Connection) -> None:
    """T014: a simple key would accept another organization's hidden row."""
    keys = await superuser.fetch(
        """select c.conname, t.relname as from_table, r.relname as to_table,
            array(select a.attname::text from unnest(c.conkey) with ordinality k (n, o)
                join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.n order by o) as from_columns,
            array(select a.attname::text from unnest(c.confkey) with ordinality k (n, o)
                join pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.n order by o) as to_columns
        from pg_constraint c join pg_class t on t.oid = c.conrelid join pg_class r on r.oid = c.confrelid
        join pg_namespace n on n.oid = t.relnamespace where c.contype = 'f' and n.nspname = 'public'"""
    )
    assert len(keys) > 20
    for key in keys:
        if key["from_table"] not in TENANT_TABLES or key["to_table"] not in TENANT_TABLES:
            # Between two people's tables, or to a person, who belongs to several organizations.
            assert key["to_table"] in USER_TABLES or key["from_table"] in exceptions()["tables"], key["conname"]
        elif key["to_table"] == "organizations":
            assert (key["from_columns"], key["to_columns"]) == (["org_id"], ["id"]), key["conname"]
        else:
            assert key["from_columns"][0] == key["to_columns"][0] == "org_id", key["conname"]


async def test_indexes_lead_with_the_organization(superuser: asyncpg.Connection) -> None:
    """T014: a unique index over organizations would say that another's value exists; others would go unused.

    Primary keys are ids the program makes: nobody can name one that is taken.
    """
    known = exceptions()
    rows = await superuser.fetch(
        """select t.relname as table, i.relname as index, a.attname as first, x.indisprimary as primary
        from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class t on t.oid = x.indrelid
        join pg_namespace n on n.oid = t.relnamespace
        join pg_attribute a on a.attrelid = t.oid and a.attnum = x.indkey[0] where n.nspname = 'public'"""
    )
    for row in rows:
        if row["primary"] or row["table"] in known["tables"] or row["index"] in known["indexes"]:
            continue
        assert row["first"] == "org_id", row["index"]
    assert known["indexes"].keys() <= {row["index"] for row in rows}


async def test_the_app_role_has_no_more_than_it_needs(
    superuser: asyncpg.Connection, as_app: asyncpg.Connection, database: TestDatabase
) -> None:
    """T016."""
    role = await superuser.fetchrow("select * from pg_roles where rolname = 'kovra_app'")
    assert not (role["rolsuper"] or role["rolbypassrls"] or role["rolcreaterole"] or role["rolcreatedb"])
    strong = await superuser.fetch(
        "select table_name, privilege_type from information_schema.role_table_grants "
        "where grantee in ('kovra_app', 'PUBLIC') and table_schema = 'public' "
        "and privilege_type not in ('SELECT', 'INSERT', 'UPDATE', 'DELETE')"
    )
    assert strong == []
    sequences = await superuser.fetch(
        "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'public' and "
        "c.relkind = 'S' and (has_sequence_privilege('kovra_app', c.oid, 'select, update') or "
        "(has_sequence_privilege('kovra_app', c.oid, 'usage') and c.relname not like 'procrastinate%'))"
    )
    assert sequences == [], "sequences show other organizations' volume"
    may = "select has_database_privilege('kovra_app', current_database(), p) from unnest($1::text[]) p"
    assert [r[0] for r in await superuser.fetch(may, ["CREATE", "TEMP"])] == [False, False]
    assert not await superuser.fetchval("select has_schema_privilege('kovra_app', 'public', 'create')")
    for statement in ("create table public.x (a int)", "create temp table x (a int)", "set role kovra_owner"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_app.execute(statement)


async def test_no_role_inherits_what_the_doors_may_read(superuser: asyncpg.Connection) -> None:
    """A policy for a role applies to whoever inherits from it: the owner would read every organization's rows."""
    inherits = await superuser.fetch(
        "select rolname from pg_roles where rolname <> 'kovra_lookup' and not rolsuper "
        "and pg_has_role(oid, 'kovra_lookup', 'usage')"
    )
    assert inherits == []
    members = await superuser.fetch(
        "select m.member::regrole::text, m.roleid::regrole::text from pg_auth_members m "
        "join pg_roles r on r.oid = m.roleid where r.rolname like 'kovra%' order by 1"
    )
    assert [tuple(m) for m in members] == [("kovra_migrator", "kovra_owner"), ("kovra_owner", "kovra_lookup")]


async def test_hashes_cannot_be_selected_by_the_app(as_app: asyncpg.Connection) -> None:
    for column in ("users.password_hash", "refresh_tokens.hash", "api_tokens.hash"):
        table, name = column.split(".")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_app.fetch(f"select {name} from {table}")


async def test_the_doors_are_known_and_belong_to_the_lookup_role(superuser: asyncpg.Connection) -> None:
    definers = await superuser.fetch(
        """select p.proname, p.proconfig, r.rolname from pg_proc p join pg_roles r on r.oid = p.proowner
        join pg_namespace n on n.oid = p.pronamespace where n.nspname = 'public' and p.prosecdef"""
    )
    assert {r["proname"] for r in definers} == DOORS
    for row in definers:
        assert row["rolname"] == "kovra_lookup"
        assert row["proconfig"] == ['search_path=""']


@pytest.mark.unset_tenant
@pytest.mark.parametrize("used_before", [False, True])
async def test_without_a_tenant_nothing_is_seen_and_nothing_can_be_written(
    product: Product, superuser: asyncpg.Connection, used_before: bool
) -> None:
    """T018, on a fresh connection and on one whose variables have been set: then they are empty, not unset."""
    await product.sign_up()
    connection = await asyncpg.connect(**dsn.parse(product.database.url, production=False).asyncpg())
    try:
        if used_before:
            nobody = "'00000000-0000-0000-0000-000000000000'"
            await connection.execute(f"begin; select enter_user({nobody}); commit")
            assert await connection.fetchval("select current_setting('kovra.org_id', true)") == ""
        for table, column in {**TENANT_TABLES, **USER_TABLES}.items():
            assert await connection.fetchval(f"select count({column}) from {table}") == 0, table
            may = "select has_table_privilege('kovra_app', $1, $2)"
            if await superuser.fetchval(may, table, "update"):
                assert await connection.execute(f"update {table} set {column} = {column}") == "UPDATE 0", table
            if await superuser.fetchval(may, table, "delete"):
                assert await connection.execute(f"delete from {table}") == "DELETE 0", table
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"insert into {table} ({column}) values (gen_random_uuid())")
    finally:
        await connection.close()


async def test_start_up_refuses_a_powerful_role(database: TestDatabase) -> None:
    """T017."""
    for keywords in (database.superuser(), dsn.parse(database.migrator_url, production=False).asyncpg()):
        connection = await asyncpg.connect(**keywords)  # type: ignore[arg-type]
        try:
            with pytest.raises(UnsafeDatabase):
                await check_role_and_policies(connection)
        finally:
            await connection.close()


async def test_start_up_refuses_a_table_under_no_policy(
    superuser: asyncpg.Connection, as_app: asyncpg.Connection
) -> None:
    await check_role_and_policies(as_app)
    await superuser.execute("create table forgotten (id int, org_id uuid)")
    try:
        with pytest.raises(UnsafeDatabase, match="forgotten"):
            await check_role_and_policies(as_app)
    finally:
        await superuser.execute("drop table forgotten")


async def test_migrations_end_at_the_schema_of_the_models(database: TestDatabase) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from sqlalchemy import create_engine
    from sqlalchemy.engine import make_url

    engine = create_engine(make_url(database.migrator_url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        connection.exec_driver_sql("set role kovra_owner")

        def ours(name: str | None, kind: str, _parents: object) -> bool:
            return not (kind == "table" and name is not None and name.startswith(("procrastinate_", "alembic_")))

        context = MigrationContext.configure(connection, opts={"include_name": ours, "compare_type": True})
        found = compare_metadata(context, metadata)
        head = connection.exec_driver_sql("select version_num from alembic_version").scalar()
    engine.dispose()
    assert found == []
    assert head == HEAD
