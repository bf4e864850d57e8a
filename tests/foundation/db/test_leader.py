"""One of many leads; when it goes, its work ends and another one leads."""

from __future__ import annotations

import asyncio

from kovra.foundation.db import dsn
from kovra.foundation.db.leader import lead
from tests.support.postgres import TestDatabase

KEY = 0x6B6F7672


async def test_one_leads_and_another_follows_when_it_goes(database: TestDatabase) -> None:
    at_work: list[int] = []
    begun: asyncio.Queue[int] = asyncio.Queue()

    async def work(number: int) -> None:
        at_work.append(number)
        begun.put_nowait(number)
        assert len(at_work) == 1, "two at work"
        try:
            await asyncio.Event().wait()
        finally:
            at_work.remove(number)

    def replica(number: int) -> asyncio.Task[None]:
        address = dsn.parse(database.url, production=False).asyncpg()
        return asyncio.create_task(lead(address, KEY, lambda: work(number)))

    replicas = [replica(number) for number in range(3)]
    try:
        first = await asyncio.wait_for(begun.get(), 60)
        replicas[first].cancel()
        second = await asyncio.wait_for(begun.get(), 60)
        assert second != first
        assert at_work == [second]
        assert not any(task.done() for n, task in enumerate(replicas) if n != first)
    finally:
        for task in replicas:
            task.cancel()
        await asyncio.gather(*replicas, return_exceptions=True)
    assert at_work == []
