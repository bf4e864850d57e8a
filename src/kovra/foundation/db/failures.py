"""Foreign failures of the database become errors of ours, in one place; nothing else looks at SQLSTATEs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

from kovra.foundation.errors import (
    Conflict,
    Forbidden,
    Invalid,
    KovraError,
    NotFound,
    Unauthenticated,
    Unavailable,
)

ENDED: Final = "KV401"
NOT_ALLOWED: Final = "KV403"
ABSENT: Final = "KV404"
ILLEGAL_MOVE: Final = "KV409"
"""SQLSTATEs raised by our own functions and triggers."""


class Duplicate(Conflict):
    """A unique constraint refused the row; ``constraint`` names it, never the value."""

    code = "already_exists"

    def __init__(self, constraint: str) -> None:
        super().__init__("Something with this name exists already.")
        self.constraint = constraint


class ReferenceMissing(Conflict):
    """A foreign key refused: what the row points at is absent, or what points at it is still there."""

    code = "reference_missing"

    def __init__(self, constraint: str) -> None:
        super().__init__("This refers to something that is not there, or is still referred to.")
        self.constraint = constraint


class IllegalMove(Conflict):
    """The database refused a state change that the table of legal moves does not hold."""

    code = "illegal_move"


_NARROWED: Final = re.compile(r'policy "\w+_narrowed" for table')
"""A narrowed token wrote outside its place; any other refusal by a policy is a defect of ours and stays loud."""
_AWAY: Final = frozenset(
    {
        "57P01", "57P02", "57P03", "57014", "25P03", "08000", "08003", "08006", "08001", "08004",
        # Too many connections, out of memory, disk full; and a replica, which takes no writes.
        "53300", "53200", "53100", "25006",
    }
)  # fmt: skip
_AGAIN: Final = frozenset({"40001", "40P01", "55P03"})


def translate(error: BaseException) -> KovraError | None:
    """Our error for a driver's, or None when it is a defect of ours that must stay loud."""
    if isinstance(error, asyncpg.PostgresError):
        return _by_sqlstate(error)
    if isinstance(error, asyncpg.DataError | asyncpg.exceptions.UnsupportedClientFeatureError):
        return Invalid("A value cannot be stored.", code="value_not_storable")
    if isinstance(
        error,
        (
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
            OSError,
            TimeoutError,
            asyncio.IncompleteReadError,
        ),
    ):
        return Unavailable("The database is not available right now.", code="database_unavailable")
    return None


def _by_sqlstate(error: asyncpg.PostgresError) -> KovraError | None:
    state = error.sqlstate or ""
    match state:
        case "42501" if _NARROWED.search(str(error)):
            return Forbidden("This reaches beyond what the credential is narrowed to.", code="narrowing_exceeded")
        case "KV401":
            return Unauthenticated("This credential has ended.", code="credential_ended")
        case "KV403":
            return Forbidden("Not allowed.", facts={"role": error.detail or None})
        case "KV404":
            return NotFound("Not found.")
        case "KV409":
            return IllegalMove("The present state does not allow this.")
        case "23505":
            return Duplicate(error.constraint_name or "")
        case "23503":
            return ReferenceMissing(error.constraint_name or "")
    if state in _AWAY:
        return Unavailable("The database is not available right now.", code="database_unavailable")
    if state in _AGAIN:
        return Unavailable("Somebody else is changing the same thing; try again.", code="busy")
    if state.startswith("28") or state == "3D000":
        return Unavailable("The database refuses this role, password or database name.", code="database_refuses")
    if state.startswith("22"):
        return Invalid("A value cannot be stored.", code="value_not_storable")
    return None


@contextmanager
def translated() -> Iterator[None]:
    """Run driver calls so that only our errors, or defects, come out; SQL and parameters stay inside."""
    try:
        yield
    except (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        OSError,
        TimeoutError,
    ) as error:
        ours = translate(error)
        if ours is None:
            raise
        raise ours from None
