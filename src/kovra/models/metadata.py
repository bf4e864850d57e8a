"""The metadata all tables share, and the column forms that repeat."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Text,
    Uuid,
    func,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def identity() -> Column[Any]:
    """The primary key: a UUIDv7 made by the program, so that a value can be sealed to its row before it is written."""
    return Column("id", Uuid, primary_key=True)


def organization() -> Column[Any]:
    """The tenant column every tenant table carries."""
    return Column("org_id", Uuid, nullable=False)


def created() -> Column[Any]:
    """When the row was made."""
    return Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now())


def updated() -> Column[Any]:
    """When the row was last changed; every UPDATE sets it."""
    return Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now())


def moment(name: str, *, nullable: bool = True) -> Column[Any]:
    """A point in time."""
    return Column(name, DateTime(timezone=True), nullable=nullable)


def text(name: str, *, nullable: bool = False, default: str | None = None) -> Column[Any]:
    """Text; lengths are checked where input enters."""
    return Column(name, Text, nullable=nullable, server_default=default)


def number(name: str, *, nullable: bool = False, default: str | None = None) -> Column[Any]:
    """A whole number."""
    return Column(name, Integer, nullable=nullable, server_default=default)


def document(name: str, *, nullable: bool = False, default: str | None = None) -> Column[Any]:
    """A JSON document whose shape the owning feature checks."""
    return Column(name, JSONB, nullable=nullable, server_default=default)


def reference(name: str, *, nullable: bool = False) -> Column[Any]:
    """A column that points at another row; its composite key is declared with ``within``."""
    return Column(name, Uuid, nullable=nullable)


def within(column: str, table: str, *, cascade: bool = False) -> ForeignKeyConstraint:
    """A tenant foreign key ``(org_id, column) → table (org_id, id)``: it cannot point into another organization."""
    return ForeignKeyConstraint(
        ["org_id", column], [f"{table}.org_id", f"{table}.id"], ondelete="CASCADE" if cascade else None
    )


def pointed_at(column: str, *, nullable: bool = False) -> Index:
    """The index of a tenant foreign key that no other index begins with: removing a parent looks for children by it."""
    return Index(None, "org_id", column, postgresql_where=sql(f"{column} is not null") if nullable else None)
