"""The one LISTEN connection of a process: it ends when it is told to."""

from __future__ import annotations

import asyncio

import pytest

from kovra.foundation.db import dsn
from kovra.foundation.db.notices import Notices
from kovra.foundation.ids import new_id
from tests.support.postgres import TestDatabase


@pytest.fixture
def notices(database: TestDatabase) -> Notices:
    return Notices(dsn.parse(database.url, production=False).asyncpg())


async def test_it_ends_when_its_connection_is_lost_in_the_same_moment(notices: Notices) -> None:
    """Found: the cancellation was dropped, it connected anew, and the process never ended."""
    async with asyncio.timeout(5) as limit:
        async with notices.running():
            with notices.subscribed(new_id()) as woken:
                await woken.wait()  # rung once as it connects
            await asyncio.sleep(0)
            notices._lost.set()  # what the driver does when the connection goes
    assert not limit.expired()
