"""`kovra jobs`: dead letters are listed by ids alone, tried again in their old place, or forgotten."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from typer.testing import CliRunner

from kovra.entrypoints.cli import app
from kovra.foundation.errors import Conflict
from kovra.foundation.ids import encode, new_id
from kovra.foundation.jobs.handling import HandlerTable, JobContext
from kovra.foundation.jobs.messages import Job
from tests.support.postgres import TestDatabase
from tests.support.queue import Errand, Queue, Step, queue_in


@pytest.fixture
async def queue(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Queue]:
    monkeypatch.setenv("KOVRA_DATABASE_URL", database.url)
    monkeypatch.setenv("KOVRA_ENVIRONMENT", "development")
    async with queue_in(database) as made:
        yield made


async def kovra(*words: str) -> tuple[int, str]:
    """The verb in a thread: it has an event loop of its own."""
    result = await asyncio.to_thread(CliRunner().invoke, app, ["jobs", *words])
    return result.exit_code, result.output


async def _poisoned(queue: Queue, *jobs: Job) -> list[int]:
    async def poison(_context: JobContext, _job: Job) -> None:
        raise Conflict("CANARY: a message that may hold values")

    table = HandlerTable()
    table.add(Errand, poison)
    table.add(Step, poison)
    for job in jobs:
        await queue.put(job)
    await queue.superuser.execute("update procrastinate_jobs set attempts = 3")
    async with queue.working(table):
        for _ in range(500):
            if {status for _, status, _ in await queue.rows()} == {"failed"}:
                break
            await asyncio.sleep(0.02)
    return [number for (number,) in await queue.rows("id")]


async def test_a_dead_letter_shows_ids_and_nothing_else(queue: Queue) -> None:
    row = new_id()
    (number,) = await _poisoned(queue, Errand(id=row))
    code, text = await kovra("list", "--output", "json")
    (letter,) = json.loads(text)
    assert code == 0
    assert letter.pop("died_at").endswith("Z")
    assert letter == {
        "id": number, "job": "test.errand", "attempts": 4, "organization": encode("org", queue.org_id), "row": str(row),
    }  # fmt: skip
    code, text = await kovra("list")
    assert (code, "test.errand" in text, "CANARY" in text) == (0, True, False)
    assert (await kovra("list", "--job", "test.step"))[1].strip() == "none"


async def test_retry_gives_a_full_round_in_its_old_place(queue: Queue) -> None:
    first, second = new_id(), new_id()
    (number,) = await _poisoned(queue, Step(id=first))
    await queue.put(Step(id=second))
    assert (await kovra("retry", str(number))) == (0, "It is tried again.\n")
    assert await queue.rows("status::text, attempts") == [("todo", 0), ("todo", 0)]
    async with queue.working():
        await queue.until_empty()
    assert queue.done == [first, second]


async def test_retry_wakes_a_worker_that_sleeps(queue: Queue) -> None:
    row = new_id()
    (number,) = await _poisoned(queue, Errand(id=row))
    async with queue.working(poll_s=3600):
        await asyncio.sleep(0.1)
        await kovra("retry", str(number))
        await queue.until(lambda: queue.done == [row])


async def test_drop_forgets_and_unknown_numbers_are_said(queue: Queue) -> None:
    (number,) = await _poisoned(queue, Errand(id=new_id()))
    assert (await kovra("drop", str(number)))[0] == 0
    assert await queue.rows() == []
    for verb in ("drop", "retry"):
        code, text = await kovra(verb, str(number))
        assert (code, json.loads(text)["reason"]) == (1, f"There is no dead letter {number}.")


async def test_jobs_that_are_no_dead_letters_are_left_alone(queue: Queue) -> None:
    await queue.put(Errand(id=new_id()))
    ((number,),) = await queue.rows("id")
    assert (await kovra("drop", str(number)))[0] == 1
    assert (await kovra("retry", str(number)))[0] == 1
    assert (await kovra("list"))[1].strip() == "none"
    assert await queue.rows("status::text") == [("todo",)]


@pytest.mark.parametrize("number", ["0", "-1", "x", "9223372036854775808"])
async def test_numbers_that_cannot_be_are_a_usage_error(queue: Queue, number: str) -> None:
    assert (await kovra("drop", "--", number))[0] == 2


async def test_a_database_that_is_away_is_a_sentence(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOVRA_DATABASE_URL", "postgresql://kovra_app:x@127.0.0.1:1/kovra")
    code, text = await kovra("list")
    assert (code, json.loads(text)["reason"]) == (1, "The database is not available right now.")
