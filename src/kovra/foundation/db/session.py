"""TenantSession: the only way features reach tables. One transaction, one tenant, one connection.

Opening sends ``BEGIN; select enter_…(…)`` in one message: the entering function sets the transaction-local
tenant variables and proves that the credential lives and holds the route's permission, before any other statement
can run. Leaving the block writes the buffered events and jobs as the last statement and commits; an exception
rolls everything back.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from kovra.foundation.access import Access, Permission, Role, RoleTable
from kovra.foundation.db.entries import Entry
from kovra.foundation.db.failures import translated
from kovra.foundation.db.statements import Statement, rows_of
from kovra.foundation.errors import NotFound, Unavailable

T = TypeVar("T")


@dataclass(slots=True)
class Outbox:
    """What a transaction tells and asks for: events, jobs and the answer to keep, written as its last statement."""

    events: list[dict[str, Any]] = field(default_factory=list)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    answer: dict[str, Any] | None = None
    """The answer for repetitions of this request under the same idempotency key."""

    def __bool__(self) -> bool:
        return bool(self.events or self.jobs or self.answer)


class _Ended:
    """Stands where the connection was: whoever goes on after the commit is told so, instead of reading as nobody."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("this session has ended with its transaction")


class TenantSession:
    """Statements inside one organization's (or one person's) transaction. Services take it and never commit."""

    __slots__ = ("_access", "_connection", "_entry", "_roles", "org_id", "outbox", "user_id")

    def __init__(self, connection: asyncpg.Connection, entry: Entry, *, roles: RoleTable) -> None:
        self._connection: Any = connection
        self._entry = entry
        self._roles = roles
        self._access: Access | None = None
        self.org_id = entry.org_id
        self.user_id = entry.user_id
        self.outbox = Outbox()

    async def one(self, statement: Statement[T], **values: Any) -> T:
        """The row; raises NotFound when there is none, which also is what another tenant's row looks like."""
        row = await self.find(statement, **values)
        if row is None:
            raise NotFound("Not found.")
        return row

    async def find(self, statement: Statement[T], **values: Any) -> T | None:
        """The row, or None."""
        with translated():
            record = await self._connection.fetchrow(statement.sql, *statement.arguments(values))
        return None if record is None else rows_of(statement.row, [record])[0]

    async def all(self, statement: Statement[T], **values: Any) -> list[T]:
        """Every row; the statement itself must be bounded."""
        with translated():
            records = await self._connection.fetch(statement.sql, *statement.arguments(values))
        return rows_of(statement.row, records)

    async def execute(self, statement: Statement[Any], **values: Any) -> int:
        """How many rows it changed. A hidden row counts as none: callers map 0 to NotFound."""
        with translated():
            tag = await self._connection.execute(statement.sql, *statement.arguments(values))
        return _count(tag)

    async def execute_many(self, statement: Statement[Any], rows: list[dict[str, Any]]) -> None:
        """The same command for several rows in one pipelined message exchange."""
        with translated():
            await self._connection.executemany(statement.sql, [statement.arguments(r) for r in rows])

    async def door(self, name: str, row: type[T], *arguments: Any) -> list[T]:
        """Call a door, or another function of ours that answers with rows, on this transaction's connection."""
        places = ", ".join(f"${n}" for n in range(1, len(arguments) + 1))
        if not name.isidentifier():
            raise ValueError("a door is named by an identifier")
        with translated():
            records = await self._connection.fetch(f"select * from {name}({places})", *arguments)  # noqa: S608
        return rows_of(row, records)

    async def access(self) -> Access:
        """Who acts here and what it may do, as the entering function found it. One round trip, once."""
        if self._access is None:
            with translated():
                record = await self._connection.fetchrow("select * from current_access()")
            self._access = _access(record, self._roles)
        return self._access

    async def prove_again(self) -> None:
        """Enter once more, after a lock was waited for: what ended or was taken away meanwhile is refused now."""
        with translated():
            await self._connection.execute(f"select {self._entry.sql}")
        self._access = None

    @asynccontextmanager
    async def elsewhere(self, entry: Entry) -> AsyncIterator[TenantSession]:
        """The same transaction in another organization of the same person, such as the one a login opens.

        Both become true, or neither. What the inner session tells goes to its own organization's ledger as the block
        ends, so nothing that can wait on a lock of others may come after it; the outer tenant is entered again.
        """
        if entry.user_id != self.user_id:
            raise RuntimeError("a transaction belongs to one person")
        if self.outbox:
            raise RuntimeError("what a session tells is written last: visit other organizations first")
        inner = TenantSession(self._connection, entry, roles=self._roles)
        await inner.prove_again()
        yield inner
        await inner.flush_outbox()
        inner.end()
        await self.prove_again()

    def end(self) -> None:
        """Called by the transaction's owner as it gives the connection back: the next borrower's tenant is another."""
        self._connection = _Ended()

    async def flush_outbox(self) -> None:
        """Write events, jobs and answer; called by the transaction's owner as its last statement before COMMIT."""
        if self.outbox:
            with translated():
                await self._connection.execute(
                    "select record_and_enqueue($1::jsonb, $2::jsonb, $3::jsonb)",
                    self.outbox.events,
                    self.outbox.jobs,
                    self.outbox.answer,
                )


def _access(record: asyncpg.Record, roles: RoleTable) -> Access:
    role = Role(record["role"]) if record["role"] else None
    held = roles[role] if role else frozenset(Permission(p) for p in record["permissions"] or ())
    if record["actor"] == "system":
        held = frozenset(Permission)
    return Access(
        actor=record["actor"],
        role=role,
        permissions=held,
        project_id=record["project_id"],
        app_id=record["app_id"],
        environment_id=record["environment_id"],
    )


def _count(tag: str) -> int:
    last = tag.rsplit(" ", 1)[-1]
    return int(last) if last.isdigit() else 0


async def commit(connection: asyncpg.Connection) -> None:
    """COMMIT, and say so when the server answered ROLLBACK instead (an aborted transaction commits as a rollback)."""
    with translated():
        tag = await connection.execute("COMMIT")
    if tag != "COMMIT":
        raise Unavailable("The transaction could not be committed.", code="commit_failed")


def dumps(value: Any) -> str:
    """Compact JSON for jsonb parameters; UUIDs are written as text."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain)


def _plain(value: Any) -> str:
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in jsonb")
