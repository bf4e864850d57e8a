"""Start-up self-check: refuse to serve with a role or a schema that would not keep organizations apart."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any

import asyncpg

from kovra.foundation.db.failures import translated
from kovra.foundation.errors import KovraError

HEAD = "0031_volumes"
"""The migration this program was written for; a law compares it with the newest revision."""


class UnsafeDatabase(KovraError):
    """The database does not protect tenants from each other as this program needs it."""

    code = "unsafe_database"


def exceptions() -> dict[str, dict[str, str]]:
    """The reasoned list of what stands outside the rules."""
    return tomllib.loads(files("kovra.foundation.db").joinpath("exceptions.toml").read_text())


_ROLE = """
select r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolcreatedb as powerful,
    exists (select 1 from pg_auth_members m where m.member = r.oid) as member,
    exists (select 1 from pg_class c where c.relowner = r.oid) as owner
from pg_roles r where r.rolname = current_user
"""
_TABLES = """
select c.relname as name, c.relrowsecurity and c.relforcerowsecurity as forced,
    exists (select 1 from pg_policy p where p.polrelid = c.oid and not p.polpermissive and p.polcmd = '*'
        and pg_get_expr(p.polqual, p.polrelid) like '%kovra.org_id%'
        and pg_get_expr(p.polwithcheck, p.polrelid) like '%kovra.org_id%') as walled,
    exists (select 1 from pg_policy p where p.polrelid = c.oid
        and pg_get_expr(p.polqual, p.polrelid) like '%kovra.user_id%') as personal
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'public' and c.relkind in ('r', 'p', 'm') order by 1
"""


async def check_role_and_policies(connection: asyncpg.Connection) -> None:
    """Raise UnsafeDatabase for a powerful role or an unprotected table."""
    with translated():
        role = await connection.fetchrow(_ROLE)
        tables = await connection.fetch(_TABLES)
    if role["powerful"] or role["member"] or role["owner"]:
        raise UnsafeDatabase(
            "The database role is a superuser, bypasses policies, owns tables or is a member of a role."
        )
    known = exceptions()
    open_tables = [t["name"] for t in tables if not _protected(t, known)]
    if open_tables:
        raise UnsafeDatabase(f"These tables are under no tenant policy: {', '.join(open_tables)}.")


def _protected(table: Any, known: dict[str, dict[str, str]]) -> bool:
    if table["name"] in known["tables"]:
        return True
    if table["name"] in known["user_tables"]:
        return bool(table["forced"] and table["personal"])
    return bool(table["forced"] and table["walled"])


async def check_schema_at_head(connection: asyncpg.Connection) -> None:
    """Raise UnsafeDatabase when the migrations have not run to this program's head."""
    with translated():
        try:
            found = await connection.fetchval("select version_num from alembic_version")
        except asyncpg.UndefinedTableError:
            found = None
    if found != HEAD:
        raise UnsafeDatabase(f"The schema is at {found or 'nothing'}, this program needs {HEAD}: run `kovra migrate`.")
