"""T212, in short: a dump by kovra_backup, restored into an empty server, is the same database with the same walls."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from kovra.foundation.db import dsn
from kovra.foundation.db.bootstrap import bootstrap
from kovra.foundation.db.embedded import EmbeddedPostgres, Server, find_binaries
from kovra.foundation.db.selfcheck import check_role_and_policies, check_schema_at_head
from tests.support.pages import ROOT, blocks
from tests.support.postgres import PASSWORDS, TestDatabase
from tests.support.product import Product
from tests.support.walls import TENANT_TABLES, USER_TABLES

PAGE = ROOT / "docs" / "operating" / "backup.md"
CATALOGUE = {
    "tables": "select c.relname, c.relkind, c.relowner::regrole::text, c.relrowsecurity, c.relforcerowsecurity, "
    "c.relpersistence from pg_class c where c.relnamespace = 'public'::regnamespace",
    "columns": "select attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull from pg_attribute "
    "join pg_class c on c.oid = attrelid where c.relnamespace = 'public'::regnamespace and attnum > 0 and not attisdropped",
    "policies": "select * from pg_policies",
    "constraints": "select conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated from pg_constraint "
    "where connamespace = 'public'::regnamespace",
    "indexes": "select indexname, indexdef from pg_indexes where schemaname = 'public'",
    "triggers": "select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal",
    "functions": "select oid::regprocedure::text, proowner::regrole::text, md5(pg_get_functiondef(oid)) from pg_proc "
    "where pronamespace = 'public'::regnamespace",
    "rights on tables": "select c.relname, a.grantee::regrole::text, a.privilege_type from pg_class c "
    ""
    "cross join aclexplode(coalesce(c.relacl, acldefault(case c.relkind when 'S' then 's' else 'r' end::\"char\", c.relowner))) a "
    "where c.relnamespace = 'public'::regnamespace",
    "rights on columns": "select attrelid::regclass::text, attname, a.grantee::regrole::text, a.privilege_type "
    "from pg_attribute cross join aclexplode(attacl) a",
    "rights on functions": "select oid::regprocedure::text, a.grantee::regrole::text from pg_proc "
    "cross join aclexplode(coalesce(proacl, acldefault('f', proowner))) a where pronamespace = 'public'::regnamespace",
    "rights on the schema": "select nspowner::regrole::text, a.grantee::regrole::text, a.privilege_type "
    "from pg_namespace cross join aclexplode(nspacl) a where nspname = 'public'",
}


def run(program: str, server: Server, user: str, password: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    address = ("-h", "127.0.0.1", "-p", str(server.port), "-U", user)
    return subprocess.run(
        [str(find_binaries() / program), *address, *arguments],
        env={**os.environ, "PGPASSWORD": password},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
async def elsewhere() -> AsyncIterator[Server]:
    """An empty server."""
    folder = Path(tempfile.mkdtemp(prefix="kovra-restore-"))
    folder.chmod(0o711)
    postgres = EmbeddedPostgres(folder / "postgres", durable=False)
    try:
        yield await asyncio.to_thread(postgres.start)
    finally:
        await asyncio.to_thread(postgres.stop)
        shutil.rmtree(folder, ignore_errors=True)


async def described(connection: asyncpg.Connection) -> dict[str, set[tuple[Any, ...]]]:
    """The catalogue, and of every table how many rows and a digest of them."""
    found = {name: {tuple(map(str, row)) for row in await connection.fetch(sql)} for name, sql in CATALOGUE.items()}
    tables = "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'"
    for (table,) in await connection.fetch(tables):
        digest = f"select count(*), md5(string_agg(t::text, '|' order by t::text)) from {table} t"
        found[f"rows of {table}"] = {tuple(await connection.fetchrow(digest))}
    return found


def _as_shown(command: str, database: str, file: Path) -> list[str]:
    """The words of a command of docs/operating/backup.md, with this database and file for those it names."""
    ours = {"kovra": database, "kovra.dump": str(file)}
    return [ours.get(word, word) for word in shlex.split(command)[1:]]


async def test_a_restored_dump_has_the_same_rows_and_the_same_walls(
    product: Product, elsewhere: Server, tmp_path: Path
) -> None:
    for _ in range(2):
        ada = await product.sign_up()
        app = await ada.app()
        await ada.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": "value"}})
        await app.start()
    name, file = product.database.name, tmp_path / "kovra.dump"
    dump, restore = (_as_shown(block.text, name, file) for block in blocks(PAGE))
    made = run("pg_dump", product.database.server, "kovra_backup", PASSWORDS.backup, *dump)
    assert made.returncode == 0, made.stderr
    await bootstrap(elsewhere.superuser(), database=name, passwords=PASSWORDS)
    restored = TestDatabase(server=elsewhere, name=name)
    put = run("pg_restore", elsewhere, "postgres", elsewhere.password, *restore)
    assert put.returncode == 0, put.stderr
    here = await asyncpg.connect(**product.database.superuser())  # type: ignore[arg-type]
    there = await asyncpg.connect(**restored.superuser())  # type: ignore[arg-type]
    try:
        before, after = await described(here), await described(there)
        assert before.keys() == after.keys()
        for what, found in before.items():
            assert found == after[what], what
        assert next(iter(after["rows of secret_versions"]))[0] == 2
    finally:
        await here.close()
        await there.close()
    await _nobody_sees_anything(restored)


async def _nobody_sees_anything(restored: TestDatabase) -> None:
    """T017 and T018 on what was restored."""
    connection = await asyncpg.connect(**dsn.parse(restored.url, production=False).asyncpg())
    try:
        await check_schema_at_head(connection)
        await check_role_and_policies(connection)
        if os.environ.get("KOVRA_TEST_RAISING_POLICIES"):
            return
        for table, column in {**TENANT_TABLES, **USER_TABLES}.items():
            assert await connection.fetchval(f"select count({column}) from {table}") == 0, table
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"insert into {table} ({column}) values (gen_random_uuid())")
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("user", "password", "more"),
    [
        ("kovra_app", PASSWORDS.app, ()),
        ("kovra_migrator", PASSWORDS.migrator, ()),
        ("kovra_migrator", PASSWORDS.migrator, ("--role=kovra_owner",)),
    ],
)
async def test_the_dump_of_a_role_under_policies_fails_loudly(
    product: Product, user: str, password: str, more: tuple[str, ...]
) -> None:
    """Nobody finds out on the day of the restore that the dump is empty."""
    await product.sign_up()
    made = run("pg_dump", product.database.server, user, password, *more, product.database.name)
    assert made.returncode != 0
    assert any(why in made.stderr for why in ("row-level security", "permission denied", "may lack SELECT privilege"))
