"""What the policies of a table must be, and what they must do: checks that the laws run, and run against changed policies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from kovra.foundation.db.selfcheck import exceptions
from kovra.foundation.ids import new_id
from kovra.models import metadata

ORG = "( SELECT (NULLIF(current_setting('kovra.org_id'::text, true), ''::text))::uuid AS \"nullif\")"
USER = ORG.replace("org_id", "user_id")
NARROWED = {
    "projects": {"project": "id"},
    "environments": {"project": "project_id", "environment": "id"},
    "apps": {"project": "project_id", "app": "id"},
    "app_environments": {"project": "project_id", "app": "app_id", "environment": "environment_id"},
    "events": {"project": "project_id", "app": "app_id", "environment": "environment_id"},
}
"""Where a token's narrowing stands: setting → column."""
SHARED = {"projects": ("app", "environment"), "environments": ("app",), "apps": ("environment",)}
"""What a token that is narrowed to one of these does not write, as others share it."""
USER_TABLES = {name: "id" if name == "users" else "user_id" for name in exceptions()["user_tables"]}
TENANT_TABLES = {
    t.name: "id" if t.name == "organizations" else "org_id"
    for t in metadata.tables.values()
    if "org_id" in t.c or t.name == "organizations"
}
"""Table → the column that says whose a row is."""


@dataclass(frozen=True)
class Policy:
    """A policy as pg_policies shows it."""

    permissive: bool
    role: str
    verb: str
    using: str | None
    check: str | None


def narrowing(columns: dict[str, str]) -> str:
    """The expression of a narrowing policy."""
    terms = []
    for name, column in columns.items():
        setting = f"( SELECT current_setting('kovra.narrow_{name}'::text, true) AS current_setting)"
        terms.append(f"(({setting} = '*'::text) OR (({column})::text = {setting}))")
    return terms[0] if len(terms) == 1 else f"({' AND '.join(terms)})"


def whole(names: tuple[str, ...]) -> str:
    """The expression of a policy that keeps what is shared from those who are narrowed."""
    terms = [
        f"(( SELECT current_setting('kovra.narrow_{name}'::text, true) AS current_setting) = '*'::text)"
        for name in names
    ]
    return terms[0] if len(terms) == 1 else f"({' AND '.join(terms)})"


def expected(table: str, *, read_by_doors: bool) -> dict[str, Policy]:
    """Every policy the table must have, and no other."""
    found: dict[str, Policy] = {}
    if read_by_doors:
        found[f"{table}_lookup"] = Policy(True, "kovra_lookup", "SELECT", "true", None)
    if table in ("organizations", "users"):
        # Migrations walk over these.
        found[f"{table}_all"] = Policy(True, "kovra_owner", "SELECT", "true", None)
    column = USER_TABLES.get(table) or TENANT_TABLES[table]
    mine = f"({column} = {USER if table in USER_TABLES else ORG})"
    found[f"{table}_owner"] = Policy(True, "kovra_owner", "ALL", mine, mine)
    if table == "users":
        fellow = f"({mine} OR (id IN ( SELECT m.user_id\n   FROM memberships m)))"
        found["users_seen"] = Policy(True, "kovra_app", "SELECT", fellow, None)
        found["users_insert"] = Policy(True, "kovra_app", "INSERT", None, mine)
        found["users_update"] = Policy(True, "kovra_app", "UPDATE", mine, mine)
        found["users_delete"] = Policy(True, "kovra_app", "DELETE", mine, None)
        return found
    found[f"{table}_tenant"] = Policy(True, "kovra_app", "ALL", mine, mine)
    found[f"{table}_wall"] = Policy(False, "kovra_app", "ALL", mine, mine)
    if table in NARROWED:
        expression = narrowing(NARROWED[table])
        read_only = table == "events"
        found[f"{table}_narrowed"] = Policy(
            False, "kovra_app", "SELECT" if read_only else "ALL", expression, None if read_only else expression
        )
    for verb in ("INSERT", "UPDATE") if table in SHARED else ():
        found[f"{table}_{verb.lower()}_narrowed"] = Policy(False, "kovra_app", verb, None, whole(SHARED[table]))
    return found


async def policies(connection: asyncpg.Connection) -> dict[str, dict[str, Policy]]:
    """Table → name → policy, as the database has them."""
    rows = await connection.fetch("select * from pg_policies where schemaname = 'public'")
    found: dict[str, dict[str, Policy]] = {}
    for row in rows:
        policy = Policy(
            row["permissive"] == "PERMISSIVE", ",".join(row["roles"]), row["cmd"], row["qual"], row["with_check"]
        )
        found.setdefault(row["tablename"], {})[row["policyname"]] = policy
    return found


@dataclass(frozen=True)
class Side:
    """One organization and a person of it, with rows in every table."""

    org_id: UUID
    user_id: UUID
    fellow_id: UUID
    """Another member of the organization: seen, and nothing more."""
    places: list[dict[str, UUID]] = field(default_factory=list)
    """Two places: ids of project, app and environment."""


class Breach(AssertionError):
    """A policy let something through, or kept something out, that it should not."""


class Walls:
    """Checks on a superuser's connection, inside one transaction that is rolled back; each acts as another role."""

    def __init__(self, connection: asyncpg.Connection, here: Side, there: Side) -> None:
        self._c = connection
        self._here, self._there = here, there

    async def hold(self, table: str) -> None:
        """Everything that must be true of the table; raises Breach."""
        if table == "users":
            await self._people()
        else:
            await self._rows_of(table)
        if table in NARROWED:
            await self._narrowed(table)
        for name in SHARED.get(table, ()):
            await self._shared(table, name)
        await self._read_by_doors(table)

    async def _rows_of(self, table: str) -> None:
        for role in ("kovra_app", "kovra_owner"):
            await self._sees_own(table, role)
        await self._keeps_out(table, "kovra_owner")
        async with self._changed(f"drop policy if exists {table}_wall on {table}"):
            await self._keeps_out(table, "kovra_app")
        async with self._changed(f"alter policy {table}_tenant on {table} using (true) with check (true)"):
            await self._keeps_out(table, "kovra_app")

    async def _people(self) -> None:
        """Oneself and fellow members are seen; oneself alone is made, changed and removed."""
        for role in ("kovra_app", "kovra_owner"):
            await self._sees_own("users", role)
            await self._keeps_out("users", role)
        # The program removes nobody; the policy holds all the same if it once may.
        async with self._changed("grant delete on users to kovra_app"):
            await self._keeps_out("users", "kovra_app", self._here.fellow_id)
            async with self._as("kovra_app", user_id=new_id()):
                mine = await self._c.fetchval("select current_setting('kovra.user_id')::uuid")
                await self._may("insert into users (id, email, name) values ($1, 'new@example.test', 'N')", mine)
                await self._may("delete from users where id = $1", mine)
        async with self._as("kovra_app"):
            if not await self._count("users", "id = $1", self._here.fellow_id):
                raise Breach("a fellow member is not seen")

    async def _may(self, statement: str, *values: Any) -> None:
        try:
            done = await self._c.execute(statement, *values)
        except asyncpg.PostgresError as refused:
            raise Breach(f"{statement}: {refused}") from refused
        if not done.endswith(" 1"):
            raise Breach(f"{statement}: {done}")

    @asynccontextmanager
    async def _changed(self, ddl: str) -> AsyncIterator[None]:
        async with self._undone():
            await self._c.execute(ddl)
            yield

    @asynccontextmanager
    async def _undone(self) -> AsyncIterator[None]:
        transaction = self._c.transaction()
        await transaction.start()
        try:
            yield
        finally:
            await transaction.rollback()

    @asynccontextmanager
    async def _as(self, role: str, user_id: UUID | None = None, **narrow: UUID | str) -> AsyncIterator[None]:
        async with self._undone():
            await self._c.execute(f"set local role {role}")
            entry = "select set_entry($1, $2, 'system', '', '')"
            await self._c.fetch(entry, self._here.org_id, user_id or self._here.user_id)
            for name, value in narrow.items():
                await self._c.fetch("select set_config('kovra.narrow_' || $1, $2, true)", name, str(value))
            yield

    def _whose(self, table: str) -> tuple[str, UUID, UUID]:
        if table in USER_TABLES:
            return USER_TABLES[table], self._here.user_id, self._there.user_id
        return TENANT_TABLES[table], self._here.org_id, self._there.org_id

    async def _sees_own(self, table: str, role: str) -> None:
        column, mine, _ = self._whose(table)
        async with self._as(role):
            if not await self._count(table, f"{column} = $1", mine):
                raise Breach(f"{role} does not see its own {table}")

    async def _count(self, table: str, condition: str, *values: Any) -> int:
        return int(await self._c.fetchval(f"select count(*) from {table} where {condition}", *values))

    async def _keeps_out(self, table: str, role: str, whom: UUID | None = None) -> None:
        column, mine, theirs = self._whose(table)
        async with self._as(role):
            # Migrations walk over organizations and people; of others' they read no more than that.
            walked = role == "kovra_owner" and table in ("organizations", "users")
            if bool(await self._count(table, f"{column} = $1", theirs)) is not walked:
                raise Breach(f"{role} sees others' {table}, or has nothing to walk over")
            theirs = whom or theirs
            for verb in ("insert", "update", "delete"):
                if await self._c.fetchval("select has_table_privilege($1, $2)", table, verb):
                    await getattr(self, f"_cannot_{verb}")(table, column, mine, theirs)

    async def _cannot_insert(self, table: str, column: str, mine: UUID, theirs: UUID) -> None:
        # The policy is asked before NOT NULL is.
        await self._refused(f"insert into {table} ({column}) values ($1)", theirs if table != "users" else new_id())

    async def _cannot_update(self, table: str, column: str, mine: UUID, theirs: UUID) -> None:
        async with self._undone():
            try:
                changed = await self._c.execute(f"update {table} set {column} = {column} where {column} = $1", theirs)
            except asyncpg.PostgresError as reached:
                changed = str(reached)
            if changed != "UPDATE 0":
                raise Breach(f"others' {table} can be reached by an update: {changed}")
        await self._refused(f"update {table} set {column} = $2 where {column} = $1", mine, theirs)

    async def _cannot_delete(self, table: str, column: str, mine: UUID, theirs: UUID) -> None:
        async with self._undone():
            try:
                removed = await self._c.execute(f"delete from {table} where {column} = $1", theirs)
            except asyncpg.ForeignKeyViolationError:
                removed = "DELETE some"
            if removed != "DELETE 0":
                raise Breach(f"others' {table} can be removed")

    async def _refused(self, statement: str, *values: Any) -> None:
        async with self._undone():
            try:
                await self._c.execute(statement, *values)
            except asyncpg.InsufficientPrivilegeError as refused:
                if "row-level security" in str(refused):
                    return
                raise Breach(str(refused)) from refused
            except asyncpg.PostgresError as other:
                raise Breach(f"{statement}: {other}") from other
            raise Breach(statement)

    async def _narrowed(self, table: str) -> None:
        first, second = self._here.places
        columns = NARROWED[table]
        for name, column in columns.items():
            async with self._as("kovra_app", **{name: first[name]}):
                if not await self._count(table, f"{column} = $1", first[name]):
                    raise Breach(f"narrowed to its {name}, a token does not see its {table}")
                if await self._count(table, f"{column} is distinct from $1", first[name]):
                    raise Breach(f"narrowed to a {name}, a token sees other {table}")
                if table != "events":
                    await self._refused(
                        f"insert into {table} (org_id, {column}) values ($1, $2)", self._here.org_id, second[name]
                    )
            async with self._as("kovra_app", **{name: ""}):
                if await self._count(table, "true"):
                    raise Breach(f"an unset narrowing by {name} opens {table}")

    async def _shared(self, table: str, name: str) -> None:
        place = self._here.places[0]
        mine = place[table.removesuffix("s")]
        async with self._as("kovra_app", **{name: place[name]}):
            if not await self._count(table, "id = $1", mine):
                raise Breach(f"narrowed to a {name}, a token does not see its {table}")
            await self._refused(f"update {table} set name = 'Changed' where id = $1", mine)
            await self._refused(
                f"insert into {table} select * from jsonb_populate_record(null::{table}, (select to_jsonb(t) || "
                f"jsonb_build_object('id', gen_random_uuid(), 'slug', 'new') from {table} t where id = $1))",
                mine,
            )

    async def _read_by_doors(self, table: str) -> None:
        readable = "select attname from pg_attribute where attrelid = $1::regclass and attnum > 0 "
        readable += "and has_column_privilege('kovra_lookup', attrelid, attnum, 'select') limit 1"
        column = await self._c.fetchval(readable, table)
        if column is None:
            return
        async with self._undone():
            await self._c.execute("set local role kovra_lookup")
            if await self._c.fetchval(f"select count({column}) from {table}") < 2:
                raise Breach(f"the doors do not see {table}")
