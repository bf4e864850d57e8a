"""Pages: keyset lists in a documented set of orders; cursors signed and bound to organization, list, filters and order."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from sqlalchemy import Integer, Select, Uuid, bindparam, or_, select, tuple_
from sqlalchemy import Text as SqlText
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.expression import FromClause

from kovra.foundation.db.statements import Statement, statement
from kovra.foundation.errors import Malformed
from kovra.foundation.ids import NIL, decode

T = TypeVar("T")

LARGEST: Final = UUID(int=(1 << 128) - 1)
"""Where a list ordered by falling id begins: UUIDv7 grow with time, so ``-created_at`` is ``-id``."""
NEWEST: Final = "-created_at"
"""The order of every list unless the caller names another."""


@dataclass(frozen=True, slots=True)
class Position:
    """After which row a page begins: its id, and its value where the order is not that of creation."""

    id: UUID
    value: str = ""

    def text(self) -> str:
        """The form inside a cursor."""
        return f"{self.id}{self.value}"

    @classmethod
    def read(cls, text: str) -> Position:
        """The inverse of ``text``."""
        return cls(UUID(text[:36]), text[36:])


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and after which position the next page begins when there is one."""

    rows: list[T]
    next: Position | None


class Listing(Generic[T]):
    """One collection's statements, one for each order and kind of page, compiled once each.

    ``construct`` names its columns as the fields of ``row`` and filters by ``org_id``; it has no order and no limit.
    Every order ends with the id, so that no two rows share a place.
    """

    def __init__(
        self, construct: Select[Any], row: type[T], *, key: ColumnElement[UUID], by: Mapping[str, ColumnElement[Any]]
    ) -> None:
        self._construct = construct
        self._row = row
        self._key = key
        self._by = by
        self._compiled: dict[tuple[str, bool], Statement[T]] = {}
        self.statement(NEWEST, first=False)

    @property
    def orders(self) -> tuple[str, ...]:
        """The names ``sort`` takes; each also with a minus, for falling."""
        return ("created_at", *self._by)

    def statement(self, sort: str, *, first: bool) -> Statement[T]:
        """The statement of a first or a later page in this order; parameters ``limit``, and ``after_id``, ``after``."""
        known = self._compiled.get((sort, first))
        if known is None:
            known = self._compiled[sort, first] = statement(self._ordered(sort, first), self._row)
        return known

    def values(self, sort: str, after: Position | None, limit: int) -> dict[str, Any]:
        """The parameters that say where and how much."""
        found: dict[str, Any] = {"limit": limit}
        if after is not None:
            found["after_id"] = after.id
            if sort.lstrip("-") in self._by:
                found["after"] = after.value
        return found

    def page(self, rows: Sequence[T], sort: str, limit: int) -> Page[T]:
        """Cut the one row that was read beyond ``limit`` to learn whether there is more."""
        shown = list(rows[:limit])
        if len(rows) <= limit:
            return Page(shown, None)
        last: Any = shown[-1]
        name = sort.lstrip("-")
        return Page(shown, Position(last.id, str(getattr(last, name)) if name in self._by else ""))

    def _ordered(self, sort: str, first: bool) -> Select[Any]:
        falling = sort.startswith("-")
        value = self._by.get(sort.lstrip("-"))
        place = [self._key] if value is None else [value, self._key]
        found = self._construct
        if not first:
            after = [bindparam("after_id", type_=Uuid)]
            if value is not None:
                after.insert(0, bindparam("after", type_=SqlText))
            here, there = tuple_(*place), tuple_(*after)
            found = found.where(here < there if falling else here > there)
        return found.order_by(*(p.desc() if falling else p.asc() for p in place)).limit(
            bindparam("limit", type_=Integer)
        )


class Whole(Generic[T]):
    """A bounded collection that a door answers whole; ordered and cut here, by the id of each row."""

    orders: Final = ("created_at",)

    def following(self, rows: Sequence[T], sort: str, after: Position | None, limit: int) -> list[T]:
        """What follows in this order."""
        falling = sort.startswith("-")
        placed: list[tuple[UUID, T]] = [(_id_of(row), row) for row in rows]
        placed.sort(key=lambda pair: pair[0], reverse=falling)
        beyond = [row for key, row in placed if after is None or (key < after.id if falling else key > after.id)]
        return beyond[:limit]

    def page(self, rows: Sequence[T], sort: str, limit: int) -> Page[T]:
        """Cut the one row that was read beyond ``limit`` to learn whether there is more."""
        shown = list(rows[:limit])
        return Page(shown, Position(_id_of(shown[-1])) if len(rows) > limit else None)


def _id_of(row: Any) -> UUID:
    found: UUID = row.id
    return found


def named(parameter: str, column: ColumnElement[Any], parent: FromClause) -> ColumnElement[bool]:
    """A filter by a parent's id or slug: everything when the parameter is null, nothing when it names nothing.

    A slug is unique within its own parent only, so it may name several; the other filters narrow further.
    """
    wanted = bindparam(parameter, type_=SqlText)
    inside = select(parent.c.id).where(
        parent.c.org_id == bindparam("org_id"),
        or_(parent.c.id == bindparam(f"{parameter}_id", type_=Uuid), parent.c.slug == wanted),
    )
    return or_(wanted.is_(None), column.in_(inside))


def reference(parameter: str, prefix: str, text: str | None) -> dict[str, Any]:
    """The values of a ``named`` filter."""
    return {parameter: text, f"{parameter}_id": (decode(prefix, text) if text else None) or NIL}


class Cursors:
    """Signs and checks cursors; the key is the process's, the same on every replica."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, org_id: UUID, bound: Mapping[str, Any], position: Position) -> str:
        """The cursor after ``position``."""
        return self.sign(org_id, bound, position.text())

    def read(self, org_id: UUID, bound: Mapping[str, Any], cursor: str) -> Position:
        """The position; raises Malformed ``cursor_invalid`` for another organization's, other filters', or noise."""
        return Position.read(self.check(org_id, bound, cursor))

    def sign(self, org_id: UUID, bound: Mapping[str, Any], place: str) -> str:
        """A cursor to a place that is no row of a list."""
        return self.signer(org_id, bound)(place)

    def signer(self, org_id: UUID, bound: Mapping[str, Any]) -> Callable[[str], str]:
        """``sign`` for many places of one list: what does not change is hashed once."""
        begun = self._begun(org_id, bound)

        def signed(place: str) -> str:
            body = place.encode()
            return base64.urlsafe_b64encode(_tag(begun, body) + body).decode().rstrip("=")

        return signed

    def check(self, org_id: UUID, bound: Mapping[str, Any], cursor: str) -> str:
        """The place that was signed; raises Malformed like ``read``."""
        try:
            raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        except (binascii.Error, ValueError):
            raise _invalid() from None
        tag, body = raw[:16], raw[16:]
        if not hmac.compare_digest(tag, _tag(self._begun(org_id, bound), body)):
            raise _invalid()
        return body.decode()

    def _begun(self, org_id: UUID, bound: Mapping[str, Any]) -> hmac.HMAC:
        text = json.dumps([str(org_id), sorted((k, str(v)) for k, v in bound.items() if v is not None)])
        return hmac.new(self._key, len(text).to_bytes(4) + text.encode(), hashlib.sha256)


def _tag(begun: hmac.HMAC, body: bytes) -> bytes:
    ended = begun.copy()
    ended.update(body)
    return ended.digest()[:16]


def _invalid() -> Malformed:
    return Malformed(
        "This cursor is not of this list.",
        code="cursor_invalid",
        hint="Start again without a cursor, with the same filters.",
    )
