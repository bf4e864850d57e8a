"""Database: the pool and the ways to enter it. Nothing else in the program opens a transaction."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
from pydantic_core import from_json

from kovra.foundation.access import Permission, Principal, Role, RoleTable, granted_by, missing_permission
from kovra.foundation.db.entries import Entry, octets, person, platform, uuids
from kovra.foundation.db.failures import translated
from kovra.foundation.db.session import TenantSession, commit, dumps
from kovra.foundation.db.statements import rows_of
from kovra.foundation.errors import Forbidden, Unavailable

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOptions:
    """How a process holds connections."""

    min_size: int = 2
    """Connections kept open."""
    max_size: int = 16
    """Upper bound; more callers wait."""
    acquire_timeout_s: float = 5.0
    """How long a caller waits for a connection before it gets a 503."""
    command_timeout_s: float = 30.0
    """Client-side bound on one statement; the role's statement_timeout is the server's."""


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg is untyped
    """Leaves out the reset query (one round trip per request): nothing here ever sets a session-level value.

    asyncpg still rolls back a transaction that was left open.
    """

    def get_reset_query(self) -> str:
        return ""


async def _prepare(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec("jsonb", encoder=dumps, decoder=from_json, schema="pg_catalog", format="text")


class Database:
    """Opens tenant sessions; one per process."""

    def __init__(self, pool: asyncpg.Pool, *, roles: RoleTable, acquire_timeout_s: float) -> None:
        self._pool = pool
        self._roles = roles
        self._timeout = acquire_timeout_s
        self._allowed = {p: _role_array(p, roles) for p in Permission}
        self._granted_by = {p: granted_by(p, roles) for p in Permission}

    @classmethod
    async def connect(
        cls, arguments: dict[str, Any], *, roles: RoleTable, options: PoolOptions | None = None
    ) -> Database:
        """Make the pool; ``arguments`` are asyncpg's connection keywords as ``dsn.py`` makes them."""
        options = options or PoolOptions()
        with translated():
            pool = await asyncpg.create_pool(
                **arguments,
                min_size=options.min_size,
                max_size=options.max_size,
                command_timeout=options.command_timeout_s,
                connection_class=_Connection,
                init=_prepare,
            )
        return cls(pool, roles=roles, acquire_timeout_s=options.acquire_timeout_s)

    async def close(self) -> None:
        """Close every connection, waiting for those in use."""
        await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """A pooled connection outside any tenant; for doors, health and locks in this package only."""
        with translated():
            try:
                # The pool's own timeout would make a task of each call.
                async with asyncio.timeout(self._timeout):
                    connection = await self._pool.acquire()
            except TimeoutError:
                raise Unavailable("No database connection is free.", code="database_busy") from None
        try:
            yield connection
        finally:
            await self._pool.release(connection)

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
        places = ", ".join(f"${n}" for n in range(1, len(arguments) + 1))
        return await self._rows(f"select * from {_name(name)}({places})", row, arguments)  # noqa: S608  # checked name

    async def hot(
        self, name: str, row: type[T], principal: Principal, permission: Permission, *arguments: Any
    ) -> list[T]:
        """Call a hot read: one PL/pgSQL function that enters first and then reads, in one round trip.

        Its first five parameters are (org, user, session, token hash, right): the right is the array of allowed roles
        for a session and the permission's text in an array of one for a token.
        """
        right = [permission.value] if principal.kind == "token" else list(_roles_with(permission, self._roles))
        who = (principal.org_id, principal.user_id, principal.session_id, principal.token_hash or None, right)
        places = ", ".join(f"${n}" for n in range(1, len(who) + len(arguments) + 1))
        try:
            return await self._rows(f"select * from {_name(name)}({places})", row, (*who, *arguments))  # noqa: S608
        except Forbidden as refused:
            raise self._explained(permission, refused.facts.get("role")) from None

    async def _rows(self, sql: str, row: type[T], arguments: Sequence[Any]) -> list[T]:
        async with self.connection() as connection:
            with translated():
                records = await connection.fetch(sql, *arguments)
        return rows_of(row, records)


def _name(name: str) -> str:
    if not name.isidentifier():
        raise ValueError("a door is named by an identifier")
    return name


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
