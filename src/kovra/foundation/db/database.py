"""Database: the pool and the ways to enter it. Nothing else in the program opens a transaction."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
from pydantic_core import from_json

from kovra.foundation.access import Permission, Principal, Role, RoleTable, granted_by, missing_permission
from kovra.foundation.db.connections import Connection, Connections, PoolOptions
from kovra.foundation.db.entries import Entry, octets, person, platform, uuids
from kovra.foundation.db.failures import translated
from kovra.foundation.db.session import TenantSession, commit, dumps
from kovra.foundation.db.statements import rows_of
from kovra.foundation.errors import Forbidden, Unavailable

T = TypeVar("T")


async def _connect(arguments: dict[str, Any], command_timeout_s: float) -> Connection:
    connection: Connection = await asyncpg.connect(
        **arguments, command_timeout=command_timeout_s, connection_class=Connection
    )
    await connection.set_type_codec("jsonb", encoder=dumps, decoder=from_json, schema="pg_catalog", format="text")
    return connection


class Database:
    """Opens tenant sessions; one per process."""

    def __init__(self, pool: Connections, *, roles: RoleTable) -> None:
        self._pool = pool
        self._roles = roles
        self._allowed = {p: _role_array(p, roles) for p in Permission}
        self._allowed_names = {p: list(_roles_with(p, roles)) for p in Permission}
        self._granted_by = {p: granted_by(p, roles) for p in Permission}

    @classmethod
    async def connect(
        cls, arguments: dict[str, Any], *, roles: RoleTable, options: PoolOptions | None = None
    ) -> Database:
        """Make the pool; ``arguments`` are asyncpg's connection keywords as ``dsn.py`` makes them."""
        options = options or PoolOptions()
        pool = Connections(lambda: _connect(arguments, options.command_timeout_s), options)
        with translated():
            await pool.open()
        return cls(pool, roles=roles)

    async def close(self) -> None:
        """Close every connection, waiting for those in use."""
        await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A pooled connection outside any tenant; for doors, health and locks in this package only."""
        connection = await self._borrowed()
        try:
            yield connection
        finally:
            self._pool.release(connection)

    async def _borrowed(self) -> Connection:
        with translated():
            try:
                return await self._pool.acquire()
            except TimeoutError:
                raise Unavailable("No database connection is free.", code="database_busy") from None

    @asynccontextmanager
    async def _transaction(self, entry: Entry) -> AsyncIterator[TenantSession]:
        async with self.connection() as connection:
            session = TenantSession(connection, entry, roles=self._roles)
            try:
                with translated():
                    await connection.execute(f"BEGIN; SELECT {entry.sql}")
                yield session
                await session.flush_outbox()
                await commit(connection)
            except BaseException:
                await _rollback(connection)
                raise
            finally:
                session.end()

    @asynccontextmanager
    async def principal(self, principal: Principal, permission: Permission | None) -> AsyncIterator[TenantSession]:
        """Enter as the caller; raises Unauthenticated (ended) or Forbidden (explained) before any table is read.

        ``permission`` None: any living credential, also of a person without organization.
        """
        try:
            async with self._transaction(self.entering(principal, permission)) as session:
                yield session
        except Forbidden as refused:
            if permission is not None and refused.facts.keys() == {"role"}:
                raise self._explained(permission, refused.facts["role"]) from None
            raise

    def _explained(self, permission: Permission, role: str | None) -> Forbidden:
        return missing_permission(permission, role, granted_by=self._granted_by[permission])

    def entering(self, principal: Principal, permission: Permission | None) -> Entry:
        """The call of the entering function; literals come from checked uuids, hex and enums only."""
        if principal.kind == "token":
            wanted = "null" if permission is None else f"'{permission.value}'"
            sql = f"enter_token({uuids(principal.org_id)}, {octets(principal.token_hash)}, {wanted})"
        else:
            allowed = "null" if permission is None else self._allowed[permission]
            who = uuids(principal.user_id, principal.org_id, principal.session_id)
            sql = f"enter_session({who}, {allowed})"
        return Entry(sql=sql, org_id=principal.org_id, user_id=principal.user_id)

    @asynccontextmanager
    async def organization(self, org_id: UUID) -> AsyncIterator[TenantSession]:
        """Enter as the platform itself, for jobs and hooks of one organization."""
        async with self._transaction(platform(org_id)) as session:
            yield session

    @asynccontextmanager
    async def user(self, user_id: UUID) -> AsyncIterator[TenantSession]:
        """Enter as a person outside any organization: sign-up, login, refresh."""
        async with self._transaction(person(user_id)) as session:
            yield session

    async def door(self, name: str, row: type[T], *arguments: Any) -> list[T]:
        """Call a door function (SECURITY DEFINER, minimum returned); one statement of its own."""
        return await self._rows(_call(name, len(arguments)), row, arguments)

    async def hot(
        self, name: str, row: type[T], principal: Principal, permission: Permission, *arguments: Any
    ) -> list[T]:
        """Call a hot read: one PL/pgSQL function that enters first and then reads, in one round trip.

        Its first five parameters are (org, user, session, token hash, right): the right is the array of allowed roles
        for a session and the permission's text in an array of one for a token.
        """
        right = [permission.value] if principal.kind == "token" else self._allowed_names[permission]
        who = (principal.org_id, principal.user_id, principal.session_id, principal.token_hash or None, right)
        try:
            return await self._rows(_call(name, len(who) + len(arguments)), row, (*who, *arguments))
        except Forbidden as refused:
            raise self._explained(permission, refused.facts.get("role")) from None

    async def _rows(self, sql: str, row: type[T], arguments: Sequence[Any]) -> list[T]:
        connection = await self._borrowed()
        try:
            with translated():
                records = await connection.fetch(sql, *arguments)
        finally:
            self._pool.release(connection)
        return rows_of(row, records)


@lru_cache(maxsize=256)  # functions are few, and their texts are of every hot read
def _call(name: str, arguments: int) -> str:
    """The statement that calls a function of ours."""
    if not name.isidentifier():
        raise ValueError("a door is named by an identifier")
    places = ", ".join(f"${n}" for n in range(1, arguments + 1))
    return f"select * from {name}({places})"  # noqa: S608  # checked name


def _roles_with(permission: Permission, roles: RoleTable) -> list[Role]:
    return [role for role, held in roles.items() if permission in held]


def _role_array(permission: Permission, roles: RoleTable) -> str:
    names = ",".join(f"'{role.value}'" for role in _roles_with(permission, roles))
    return f"array[{names}]::text[]"


async def _rollback(connection: asyncpg.Connection) -> None:
    """Best effort: a connection that cannot roll back is closed, never handed to the next caller."""
    try:
        if not connection.is_closed():
            await connection.execute("ROLLBACK", timeout=5)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        # A connection the server has ended is out of the pool already, and cannot even be terminated.
        with contextlib.suppress(asyncpg.InterfaceError):
            connection.terminate()
