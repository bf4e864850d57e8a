"""Operators' work on the queue: dead letters. They see names and ids, never a tenant's rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import asyncpg

from kovra.entrypoints.wiring import app_address
from kovra.foundation.db.failures import translated
from kovra.settings import Settings


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job that failed for good."""

    id: int
    task: str
    attempts: int
    args: str


async def _connected(settings: Settings) -> asyncpg.Connection:
    with translated():
        return await asyncpg.connect(**app_address(settings).asyncpg())


async def dead_letters(settings: Settings) -> list[DeadLetter]:
    """The newest thousand."""
    sql = (
        "select id, task_name as task, attempts, args::text as args from procrastinate_jobs "
        "where status = 'failed' order by id desc limit 1000"
    )
    connection = await _connected(settings)
    try:
        return [DeadLetter(**row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


async def _changed(settings: Settings, sql: str, *arguments: Any) -> bool:
    connection = await _connected(settings)
    try:
        tag = str(await connection.execute(sql, *arguments))
        return tag.endswith(" 1")
    finally:
        await connection.close()


async def retry(settings: Settings, number: int) -> bool:
    """Another round of attempts; False when there is no such dead letter."""
    sql = (
        "insert into procrastinate_jobs (queue_name, task_name, priority, lock, args) "
        "select queue_name, task_name, priority, lock, args from procrastinate_jobs where id = $1 and status = 'failed'"
    )
    return await _changed(settings, sql, number) and await drop(settings, number)


async def drop(settings: Settings, number: int) -> bool:
    """Forget it; False when there is no such dead letter."""
    return await _changed(settings, "delete from procrastinate_jobs where id = $1 and status = 'failed'", number)
