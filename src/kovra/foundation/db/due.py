"""Due work of all organizations: ids through one door, page by page, so that no backlog is held in memory or starves another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from kovra.foundation.db.database import Database
from kovra.foundation.ids import NIL

PAGE: Final = 200
"""Rows of one page; the door gives no more than 1,000."""


@dataclass(frozen=True, slots=True)
class Due:
    """Something of an organization, by ids alone."""

    org_id: UUID
    id: UUID


async def page_of(database: Database, kind: str, after: UUID = NIL, *, limit: int = PAGE) -> list[Due]:
    """What is due of this kind behind ``after``, in the order of ids; fewer than ``limit`` rows: there are no more."""
    return await database.door("due_work", Due, kind, limit, after)


async def all_of(database: Database, kind: str, *, limit: int = PAGE) -> AsyncIterator[Due]:
    """Every row, a page at a time."""
    after = NIL
    while True:
        rows = await page_of(database, kind, after, limit=limit)
        for row in rows:
            yield row
        if len(rows) < limit:
            return
        after = rows[-1].id


class Rounds:
    """Goes round what is due, one page at a turn: rows that stay due do not keep others from their turn."""

    def __init__(self, database: Database, *, limit: int = PAGE) -> None:
        self._database = database
        self._limit = limit
        self._after: dict[str, UUID] = {}

    async def turn(self, kind: str) -> list[Due]:
        """The next page; after the last one comes the first."""
        rows = await page_of(self._database, kind, self._after.get(kind, NIL), limit=self._limit)
        self._after[kind] = rows[-1].id if len(rows) == self._limit else NIL
        return rows
