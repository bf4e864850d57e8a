"""Operators' work on the queue: dead letters. They see names, ids and times, never a tenant's rows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from kovra.entrypoints.wiring import app_address
from kovra.foundation.db.failures import translated
from kovra.settings import Settings

DEAD: Final = "('failed', 'aborted', 'cancelled')"
"""States out of which a job comes by nobody but an operator."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job that failed for good."""

    id: int
    task: str
    attempts: int
    org_id: UUID | None
    row_id: UUID | None
    """The row it was about; which kind of row, its name says."""
    died_at: datetime | None


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    with translated():
        connection = await asyncpg.connect(**app_address(settings).asyncpg(), timeout=10)
        try:
            yield connection
        finally:
            await connection.close(timeout=5)


async def dead_letters(settings: Settings, *, task: str | None = None, limit: int = 200) -> list[DeadLetter]:
    """The newest ones, newest first; of one kind of job, when it is named."""
    sql = (
        "select j.id, j.task_name as task, j.attempts, (j.args ->> 'org_id')::uuid as org_id, "  # noqa: S608  # constants
        "(j.args ->> 'id')::uuid as row_id, (select max(e.at) from procrastinate_events e where e.job_id = j.id) as died_at "
        f"from procrastinate_jobs j where j.status in {DEAD} and ($1::text is null or j.task_name = $1) "
        "order by j.id desc limit $2"
    )
    async with _connected(settings) as connection:
        return [DeadLetter(**row) for row in await connection.fetch(sql, task, limit)]


async def retry(settings: Settings, number: int) -> bool:
    """Another full round of attempts, in its old place among the jobs of its lock; False: no such dead letter."""
    sql = (
        "with again as (update procrastinate_jobs set status = 'todo', attempts = 0, scheduled_at = null, "  # noqa: S608
        f"abort_requested = false where id = $1 and status in {DEAD} returning queue_name) "
        # What is changed is announced by nobody; what is inserted would be.
        'select pg_notify(\'procrastinate_any_queue_v1\', \'{"type": "job_inserted", "job_id": 0}\') from again'
    )
    async with _connected(settings) as connection:
        return bool(await connection.fetch(sql, number))


async def drop(settings: Settings, number: int) -> bool:
    """Forget it; False when there is no such dead letter."""
    sql = f"delete from procrastinate_jobs where id = $1 and status in {DEAD} returning id"  # noqa: S608
    async with _connected(settings) as connection:
        return bool(await connection.fetch(sql, number))
