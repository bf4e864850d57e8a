"""Statements: SQLAlchemy Core, compiled once at import for asyncpg; rows become frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Generic, TypeVar

import asyncpg
from pydantic import BaseModel, TypeAdapter
from sqlalchemy import Executable
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.sql.compiler import SQLCompiler

T = TypeVar("T")

_DIALECT = PGDialect_asyncpg()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves the constructor untyped


class Statement(Generic[T]):
    """Compiled SQL with ``$n`` parameters, their names and fixed values, and the dataclass of a row."""

    __slots__ = ("_fixed", "names", "row", "sql")

    def __init__(self, construct: Executable, row: type[T]) -> None:
        compiled = construct.compile(dialect=_DIALECT)  # type: ignore[attr-defined]
        assert isinstance(compiled, SQLCompiler)
        self.sql: str = str(compiled)
        self.names: tuple[str, ...] = tuple(compiled.positiontup or ())
        self.row: type[T] = row
        # Literals written into the construct (limit(1), status == "live") arrive as anonymous parameters with a value.
        self._fixed: Mapping[str, Any] = {n: b.effective_value for n, b in compiled.binds.items() if not b.required}

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """The positional arguments; an unknown or missing name is a programming error."""
        unknown = values.keys() - set(self.names)
        if unknown:
            raise TypeError(f"the statement takes no {sorted(unknown)}")
        return [values[n] if n in values else self._value(n) for n in self.names]

    def _value(self, name: str) -> Any:
        try:
            return self._fixed[name]
        except KeyError:
            raise TypeError(f"the statement needs {name}") from None


class NoRow:
    """The row type of statements that return nothing."""


def statement(construct: Executable, row: type[T]) -> Statement[T]:
    """Compile a construct whose columns are the fields of ``row``; write parameters as ``bindparam``."""
    return Statement(construct, row)


def command(construct: Executable) -> Statement[NoRow]:
    """Compile an INSERT, UPDATE or DELETE without RETURNING."""
    return Statement(construct, NoRow)


def rows_of(kind: type[T], records: list[asyncpg.Record]) -> list[T]:
    """Records as rows of that dataclass, or as answers of that model where its fields are the columns of a hot read.

    A dataclass by position where the columns stand in the order of the fields, as those of statements of ours do: looking
    each name up costs as much as all the rest of a row. Models all at once, which costs a third of rows made into answers.
    """
    if not records:
        return []
    if issubclass(kind, BaseModel):
        checked: list[T] = _many(kind).validate_python([dict(record) for record in records])
        return checked
    if tuple(records[0].keys()) == getattr(kind, "__match_args__", None):
        return [kind(*record) for record in records]
    return [kind(**record) for record in records]


@lru_cache(maxsize=64)
def _many(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(list[kind])  # type: ignore[valid-type]  # made at run time
