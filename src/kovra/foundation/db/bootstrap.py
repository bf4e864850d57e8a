"""Bootstrap: the database and its five roles on an empty server. Run once by a superuser; again, it changes nothing.

kovra_owner     owns everything; nobody logs in as it
kovra_migrator  logs in for migrations and acts as the owner
kovra_lookup    owns the door functions; nobody logs in as it
kovra_app       what api and worker are: no superuser, no BYPASSRLS, member of nothing
kovra_backup    reads everything for dumps; in no process of ours
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from kovra.foundation.db.failures import translated

_PLAIN: Final = "NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION"
_ROLES: Final = {
    "kovra_owner": f"NOLOGIN NOINHERIT {_PLAIN}",
    "kovra_lookup": f"NOLOGIN {_PLAIN}",
    "kovra_migrator": f"LOGIN {_PLAIN}",
    "kovra_app": f"LOGIN NOINHERIT {_PLAIN}",
    "kovra_backup": "LOGIN NOSUPERUSER BYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION",
}
_TIMEOUTS: Final = {
    "statement_timeout": "20s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "60s",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RolePasswords:
    """Passwords of the roles that log in; never shown."""

    migrator: str
    app: str
    backup: str

    def __repr__(self) -> str:
        return "RolePasswords(***)"


async def bootstrap(server: dict[str, Any], *, database: str, passwords: RolePasswords) -> None:
    """Make roles and database; ``server`` are asyncpg keywords of a superuser on the maintenance database."""
    with translated():
        connection = await asyncpg.connect(**server)
    try:
        with translated():
            await _roles(connection, passwords)
            exists = await connection.fetchval("select 1 from pg_database where datname = $1", database)
            if not exists:
                await connection.execute(
                    f"create database {_quoted(database)} owner kovra_owner encoding 'UTF8' template template0"
                )
    finally:
        await connection.close()
    await _privileges(server | {"database": database}, database)


async def _roles(connection: asyncpg.Connection, passwords: RolePasswords) -> None:
    for role, attributes in _ROLES.items():
        verb = "alter" if await connection.fetchval("select 1 from pg_roles where rolname = $1", role) else "create"
        await connection.execute(f"{verb} role {role} with {attributes}")
    for role, password in (
        ("kovra_migrator", passwords.migrator),
        ("kovra_app", passwords.app),
        ("kovra_backup", passwords.backup),
    ):
        await connection.execute(f"alter role {role} password {_literal(password)}")
    await connection.execute("grant kovra_owner to kovra_migrator")
    # The owner hands doors to kovra_lookup, which it may do only as its member; kovra_app is a member of nothing. Policies
    # for a role also apply to members that inherit from it: the owner must not, or it would read all organizations' rows.
    separate = " with inherit false" if connection.get_server_version().major >= 16 else ""
    await connection.execute(f"grant kovra_lookup to kovra_owner{separate}")
    for setting, value in _TIMEOUTS.items():
        await connection.execute(f"alter role kovra_app set {setting} = '{value}'")


async def _privileges(server: dict[str, Any], database: str) -> None:
    with translated():
        connection = await asyncpg.connect(**server)
        try:
            await connection.execute(
                f"revoke all on database {_quoted(database)} from public;"
                f"grant connect on database {_quoted(database)} to kovra_migrator, kovra_app, kovra_backup;"
                "alter schema public owner to kovra_owner;"
                "revoke all on schema public from public;"
                "grant usage on schema public to kovra_app, kovra_lookup, kovra_backup"
            )
        finally:
            await connection.close()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: str) -> str:
    """A string literal; CREATE ROLE takes no parameters."""
    return " E'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
