"""Sealed columns: bytes sealed to their row, beside the version of the holder key that they need.

Declaring a column with ``sealed_column`` or ``digest_column`` registers it. Whatever walks over all of them (re-sealing,
the count of what still needs a version, the refusal to destroy one) finds it without being told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    bindparam,
    cast,
    func,
    literal,
    null,
    select,
    union_all,
)

from kovra.foundation.db.statements import NoRow, Statement, command, statement
from kovra.foundation.keyring import Holder, Place, Purpose

_SEALED: Final = "kovra.sealed"
_DIGEST: Final = "kovra.digest"


def sealed_column(name: str, purpose: Purpose, *, nullable: bool = False) -> tuple[Column[Any], Column[Any]]:
    """A sealed value of a tenant table with an ``id``, and the version that sealed it as ``<name>_key_version``."""
    return (
        Column(name, LargeBinary, nullable=nullable, info={_SEALED: purpose}),
        Column(f"{name}_key_version", Integer, nullable=nullable),
    )


def digest_column(name: str, *, of: str, label: str) -> tuple[Column[Any], Column[Any]]:
    """A digest, shown to people, of the sealed column ``of``; ``label`` is the column whose text it is bound to."""
    return (
        Column(name, LargeBinary, nullable=True, info={_DIGEST: (of, label)}),
        Column(f"{name}_key_version", Integer, nullable=True),
    )


@dataclass(frozen=True, slots=True)
class OldRow:
    """A row whose column still needs an older version: the sealed value, and the label of its digest."""

    id: UUID
    data: bytes = field(repr=False)
    label: str | None


@dataclass(frozen=True, slots=True)
class VersionCount:
    """How many values need a key version."""

    purpose: str
    version: int
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedColumn:
    """A registered column and the statements over it. Every one takes ``org_id``."""

    table: str
    column: str
    sealed: str
    """The column with the sealed value: itself, or what the digest is of."""
    key: Purpose
    """Whose versions the column carries."""
    value: Purpose
    """What the sealed value was sealed as."""
    old: Statement[OldRow]
    """``version``, ``after``, ``limit``: rows under other versions behind an id, locked; rows locked elsewhere are left."""
    swap: Statement[NoRow]
    """``row_id``, ``was``, ``made``, ``version``: write, unless the sealed value was changed meanwhile."""

    @property
    def is_digest(self) -> bool:
        """Whether it holds a digest and no value of its own."""
        return self.column != self.sealed

    def place(self, holder: Holder, row: UUID) -> Place:
        """Where the sealed value of a row lives."""
        return Place(holder=holder, table=self.table, row=row, column=self.sealed, purpose=self.value)


def keyed_columns(metadata: MetaData) -> tuple[KeyedColumn, ...]:
    """Every registered column, in one order; a digest comes after the value it is of."""
    return tuple(
        _keyed(table, column)
        for table in metadata.sorted_tables
        for column in table.columns
        if _SEALED in column.info or _DIGEST in column.info
    )


def _keyed(table: Table, column: Column[Any]) -> KeyedColumn:
    of, label = column.info.get(_DIGEST, (column.name, None))
    sealed, version, t = table.c[of], table.c[f"{column.name}_key_version"], table.c
    old = (
        select(t.id, sealed.label("data"), (t[label] if label else null()).label("label"))
        .where(t.org_id == bindparam("org_id"), sealed.is_not(None), version != bindparam("version"))
        .where(t.id > bindparam("after"))
        .order_by(t.id)
        .limit(bindparam("limit", type_=Integer))
        .with_for_update(skip_locked=True, key_share=True)
    )
    swap = (
        table.update()
        .where(t.org_id == bindparam("org"), t.id == bindparam("row_id"), sealed == bindparam("was"))
        .values({column.name: bindparam("made"), version.name: bindparam("made_version")})
    )
    value: Purpose = sealed.info[_SEALED]
    return KeyedColumn(
        table=table.name,
        column=column.name,
        sealed=of,
        key=Purpose.digest if label else value,
        value=value,
        old=statement(old, OldRow),
        swap=command(swap),
    )


def counting(metadata: MetaData) -> Statement[VersionCount]:
    """One statement over all registered columns: how many values of the organization need each version."""
    parts = []
    for column in keyed_columns(metadata):
        table = metadata.tables[column.table]
        version = table.c[f"{column.column}_key_version"]
        parts.append(
            select(literal(column.key.value).label("purpose"), version.label("version"), func.count().label("n"))
            .where(table.c.org_id == bindparam("org_id"), table.c[column.sealed].is_not(None), version.is_not(None))
            .group_by(version)
        )
    whole = union_all(*parts).subquery()
    summed = cast(func.sum(whole.c.n), BigInteger).label("n")
    return statement(
        select(whole.c.purpose, whole.c.version, summed).group_by(whole.c.purpose, whole.c.version), VersionCount
    )
