"""Pages: keyset cursors, signed and bound to the organization and the filters they were made for."""

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

from kovra.foundation.errors import Malformed

T = TypeVar("T")
U = TypeVar("U")

LARGEST: Final = UUID(int=(1 << 128) - 1)
"""Where a list ordered by falling id begins: UUIDv7 grow with time, so ``-created_at`` is ``-id``."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and the cursor of the next page when there is one."""

    rows: list[T]
    next: str | None

    def map(self, change: Callable[[T], U]) -> Page[U]:
        """The same page of other things."""
        return Page([change(row) for row in self.rows], self.next)


class Cursors:
    """Signs and checks cursors; the key is the process's, the same on every replica."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, org_id: UUID, filters: Mapping[str, Any], position: UUID | int) -> str:
        """The cursor after ``position``."""
        body = str(position).encode()
        return base64.urlsafe_b64encode(self._tag(org_id, filters, body) + body).decode().rstrip("=")

    def read(self, org_id: UUID, filters: Mapping[str, Any], cursor: str) -> str:
        """The position, as text; raises Malformed ``cursor_invalid`` for another organization's, other filters', or noise."""
        try:
            raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        except (binascii.Error, ValueError):
            raise _invalid() from None
        tag, body = raw[:16], raw[16:]
        if not hmac.compare_digest(tag, self._tag(org_id, filters, body)):
            raise _invalid()
        return body.decode()

    def _tag(self, org_id: UUID, filters: Mapping[str, Any], body: bytes) -> bytes:
        bound = json.dumps([str(org_id), sorted((k, str(v)) for k, v in filters.items() if v is not None)])
        return hmac.digest(self._key, len(bound).to_bytes(4) + bound.encode() + body, hashlib.sha256)[:16]


def _invalid() -> Malformed:
    return Malformed(
        "This cursor is not of this list.",
        code="cursor_invalid",
        hint="Start again without a cursor, with the same filters.",
    )


def page(rows: Sequence[T], limit: int, cursor_of: Callable[[T], str]) -> Page[T]:
    """Cut the one row that was read beyond ``limit`` to learn whether there is more."""
    shown = list(rows[:limit])
    return Page(shown, cursor_of(shown[-1]) if len(rows) > limit else None)
