"""Changing rows, and keys over rows, under forced row-level security. The owner is under the policies too.

A plain UPDATE by the owner silently changes nothing, and a foreign key that is added while RLS is forced checks no row
and counts as valid all the same. Revisions use these instead; a law refuses other forms of both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from uuid import UUID

from alembic import op
from sqlalchemy import Connection, text

NIL = UUID(int=0)


class NobodyMet(RuntimeError):
    """There are rows to change, and the loop met none: it would have changed nothing and counted as done."""


def each_organization(change: Callable[[Connection, UUID], None]) -> int:
    """Call ``change`` in each organization, entered, in a transaction of its own; returns how many there were.

    The revision is marked as done after the last one: ``change`` must bear being called again.
    """
    return _each("organizations", "set_entry(:id, :nil, 'system', '', '')", change)


def each_user(change: Callable[[Connection, UUID], None]) -> int:
    """The same for people."""
    return _each("users", "set_entry(:nil, :id, 'system', '', '')", change)


def _each(table: str, enter: str, change: Callable[[Connection, UUID], None]) -> int:
    with op.get_context().autocommit_block():
        connection = op.get_bind()
        everybody = list(connection.execute(text(f"select id from {table} order by id")).scalars())
        if not everybody and _there_are_some(connection, table):
            raise NobodyMet(f"no row of {table} is seen, but there are some: the owner's policy to walk them is gone")
        for one in everybody:
            connection.exec_driver_sql("begin")
            try:
                connection.execute(text(f"select {enter}"), {"id": one, "nil": NIL})
                change(connection, one)
                connection.exec_driver_sql("commit")
            except BaseException:
                connection.exec_driver_sql("rollback")
                raise
    return len(everybody)


def _there_are_some(connection: Connection, table: str) -> bool:
    """By another way than the policy that the loop relies on: for a moment the owner is under none."""
    connection.exec_driver_sql("begin")
    try:
        connection.exec_driver_sql(f"alter table {table} no force row level security")
        return connection.execute(text(f"select 1 from {table} limit 1")).scalar() is not None
    finally:
        connection.exec_driver_sql("rollback")


def add_tenant_key(table: str, column: str, target: str) -> None:
    """``(org_id, column) → target (org_id, id)`` on a table that may hold rows: every row is checked, in one transaction."""
    add_key(f"fk_{table}_org_id_{column}", table, ("org_id", column), target, ("org_id", "id"))


def add_key(name: str, table: str, columns: Iterable[str], target: str, target_columns: Iterable[str]) -> None:
    """Any other foreign key on tables that may hold rows."""
    for one in {table, target}:
        op.execute(f"alter table {one} no force row level security")
    op.execute(
        f"alter table {table} add constraint {name} foreign key ({', '.join(columns)}) "
        f"references {target} ({', '.join(target_columns)})"
    )
    for one in {table, target}:
        op.execute(f"alter table {one} force row level security")
