"""What must stay true of the schema: every table walled, every door narrow, no role too strong."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from kovra.features.organizations.roles import ROLES
from kovra.foundation.db import dsn
from kovra.foundation.db.database import Database
from kovra.foundation.db.selfcheck import HEAD, UnsafeDatabase, check_role_and_policies, exceptions
from kovra.models import metadata
from tests.support.postgres import TestDatabase
from tests.support.product import Product

TENANT_EXPRESSION = (
    "({column} = ( SELECT (NULLIF(current_setting('kovra.org_id'::text, true), ''::text))::uuid AS \"nullif\"))"
)


@pytest.fixture(scope="module")
async def superuser(database: TestDatabase) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(**database.superuser())  # type: ignore[arg-type]
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
async def as_app(database: TestDatabase) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(**dsn.parse(database.url, production=False).asyncpg())
    yield connection
    await connection.close()


@pytest.mark.unset_tenant
async def test_every_tenant_table_is_forced_with_the_exact_wall(superuser: asyncpg.Connection) -> None:
    """T013."""
    known = exceptions()
    rows = await superuser.fetch(
        """select c.relname, c.relrowsecurity, c.relforcerowsecurity,
            (select pg_get_expr(p.polqual, p.polrelid) from pg_policy p where p.polrelid = c.oid and not p.polpermissive
             and p.polname = c.relname || '_wall') as wall
        from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'public' and c.relkind = 'r'"""
    )
    assert len(rows) > 20
    for row in rows:
        if row["relname"] in known["tables"]:
            continue
        assert row["relrowsecurity"] and row["relforcerowsecurity"], row["relname"]
        if row["relname"] not in known["user_tables"]:
            column = "id" if row["relname"] == "organizations" else "org_id"
            assert row["wall"] == TENANT_EXPRESSION.format(column=column), row["relname"]


async def test_foreign_keys_between_tenant_tables_carry_the_organization(superuser: asyncpg.Connection) -> None:
    """T014: a simple key would accept another organization's hidden row."""
    tenant = {t.name for t in metadata.tables.values() if "org_id" in t.c and t.name != "event_heads"}
    for table in metadata.tables.values():
        for key in table.foreign_key_constraints:
            if table.name in tenant and key.referred_table.name in tenant - {"memberships"}:
                assert "org_id" in key.column_keys, f"{table.name}.{key.column_keys}"


async def test_indexes_lead_with_the_organization(superuser: asyncpg.Connection) -> None:
    """T014."""
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


async def test_the_app_role_has_no_more_than_it_needs(
    superuser: asyncpg.Connection, as_app: asyncpg.Connection
) -> None:
    """T016."""
    role = await superuser.fetchrow("select * from pg_roles where rolname = 'kovra_app'")
    assert not (role["rolsuper"] or role["rolbypassrls"] or role["rolcreaterole"] or role["rolcreatedb"])
    truncates = await superuser.fetch(
        "select table_name from information_schema.role_table_grants where grantee = 'kovra_app' "
        "and privilege_type in ('TRUNCATE', 'REFERENCES', 'TRIGGER')"
    )
    assert truncates == []
    for statement in ("create table public.x (a int)", "create temp table x (a int)", "set role kovra_owner"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_app.execute(statement)


async def test_hashes_cannot_be_selected_by_the_app(as_app: asyncpg.Connection) -> None:
    for column in ("users.password_hash", "refresh_tokens.hash", "api_tokens.hash"):
        table, name = column.split(".")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_app.fetch(f"select {name} from {table}")


async def test_functions_are_not_executable_by_everybody(superuser: asyncpg.Connection) -> None:
    rows = await superuser.fetch(
        """select p.oid::regprocedure::text as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname = 'public' and has_function_privilege('public', p.oid, 'execute')
        and p.proname not like 'strict_%'"""
    )
    assert [r["name"] for r in rows] == []
    definers = await superuser.fetch(
        """select p.proname, p.proconfig, r.rolname from pg_proc p join pg_roles r on r.oid = p.proowner
        join pg_namespace n on n.oid = p.pronamespace where n.nspname = 'public' and p.prosecdef"""
    )
    assert {r["proname"] for r in definers} == {
        "login_door", "password_door", "refresh_door", "memberships_door", "enter_token", "due_work", "wrapped_keys",
        "needed_masters", "living_door", "replaced_keys", "stalled_rotations",
    }  # fmt: skip
    for row in definers:
        assert row["rolname"] == "kovra_lookup"
        assert row["proconfig"] == ['search_path=""']


@pytest.mark.unset_tenant
async def test_without_a_tenant_nothing_is_seen_and_nothing_can_be_written(
    product: Product, as_app: asyncpg.Connection
) -> None:
    """T018."""
    await product.sign_up()
    for table in sorted({t.name for t in metadata.tables.values() if "org_id" in t.c} | {"organizations"}):
        if table == "api_tokens":
            continue
        assert await as_app.fetchval(f"select count(*) from {table}") == 0, table
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await as_app.execute(
            "insert into projects (id, org_id, name, slug) values (gen_random_uuid(), gen_random_uuid(), 'x', 'x')"
        )


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


async def test_the_pool_hands_on_no_tenant(database: TestDatabase, product: Product) -> None:
    """T021: a handler that raises, and one that is cancelled, leave no tenant behind."""
    ada = await product.sign_up()
    from kovra.foundation.ids import decode

    org_id = decode("org", ada.organization["id"])
    assert org_id is not None
    pool = await Database.connect(dsn.parse(database.url, production=False).asyncpg(), roles=ROLES, options=None)
    try:
        with pytest.raises(RuntimeError):
            async with pool.organization(org_id):
                raise RuntimeError
        async with pool.connection() as connection:
            assert await connection.fetchval("select current_setting('kovra.org_id', true)") in (None, "")
    finally:
        await pool.close()


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
