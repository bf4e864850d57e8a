"""Many clients watch deployments and logs while every part of the product is killed: nothing is lost, and the order holds."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.chaos import Chaos
from tests.support.installation import Installation, installation


@pytest.fixture
async def product(keyrings: Path, tmp_path: Path) -> AsyncIterator[Installation]:
    data = Path(tempfile.mkdtemp(prefix="kovra-watching-"))
    data.chmod(0o711)
    try:
        async with installation(tmp_path, data / "postgres", keyrings, streamed=True, KOVRA_UNLIMITED="true") as found:
            yield found
    finally:
        shutil.rmtree(data, ignore_errors=True)


@pytest.mark.timeout(360)
async def test_nothing_is_lost_whatever_is_killed(product: Installation) -> None:
    """T207, T216, T217: api and streamer, then database and worker; thirty watchers and four who follow logs."""
    async with Chaos(product, apps=4, watchers=30, followers=4).watched() as chaos:
        for number, kill in enumerate((_api_and_streamer, _database_and_worker)):
            deploying = [asyncio.create_task(chaos.deploy(app, number)) for app in chaos.apps]
            await asyncio.sleep(0.3)
            await kill(product)
            assert set(await asyncio.gather(*deploying)) == {"live"}
        await chaos.settled()
        assert all(watcher.breaks >= 1 for watcher in chaos.watchers)
        assert all(follower.breaks >= 1 for follower in chaos.followers)


async def _api_and_streamer(product: Installation) -> None:
    await asyncio.gather(product.api.kill(), product.streamer.kill())
    await asyncio.gather(product.api.start(), product.streamer.start())


async def _database_and_worker(product: Installation) -> None:
    await product.worker.kill()
    await asyncio.to_thread(product.postgres.restart, immediate=True)
    await product.worker.start()
