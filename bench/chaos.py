"""500 clients watch 50 deployments while every part of the product is killed: `python -m bench.chaos [clients] [apps]`.

The same as tests/journeys/test_watching.py, at its full size: kill -9 of api, worker, streamer and database, one after the
other, each in the middle of deployments of every app, while two more clients in a hundred follow logs. It fails when
anything is lost, comes twice or out of order, and prints how much there was. Everything is on loopback, and it ends by
itself: at most four rounds of five minutes.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
import time
from pathlib import Path

from tests.support.chaos import Chaos
from tests.support.installation import Installation, installation

from kovra.foundation.keyring.documents import write_file
from kovra.foundation.keyring.masters import MasterSet, generate

ROUND_S = 300


async def _kill(product: Installation, part: str) -> None:
    match part:
        case "database":
            await asyncio.to_thread(product.postgres.restart, immediate=True)
        case _:
            process = {"api": product.api, "worker": product.worker, "streamer": product.streamer}[part]
            await process.kill()
            await process.start()


async def measure(clients: int, apps: int) -> None:
    """Run it."""
    with tempfile.TemporaryDirectory(prefix="kovra-chaos-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        made = [generate(MasterSet.edge, 1), generate(MasterSet.core, 1)]
        write_file(folder / "api.json", made, private=False)
        write_file(folder / "worker.json", made)
        limits = {"KOVRA_LIVE_PER_ACTOR": str(clients), "KOVRA_LIVE_PER_ORGANIZATION": str(clients)}
        async with installation(
            folder, folder / "postgres", folder, streamed=True, KOVRA_UNLIMITED="true", **limits
        ) as product:
            began = time.monotonic()
            async with Chaos(product, apps=apps, watchers=clients, followers=max(1, clients // 50)).watched() as chaos:
                print(f"{clients} watch {apps} apps after {time.monotonic() - began:.0f} s")
                for number, part in enumerate(("api", "worker", "streamer", "database")):
                    began = time.monotonic()
                    async with asyncio.timeout(ROUND_S):
                        deploying = [asyncio.create_task(chaos.deploy(app, number)) for app in chaos.apps]
                        await asyncio.sleep(1)
                        await _kill(product, part)
                        outcomes = await asyncio.gather(*deploying)
                    assert set(outcomes) == {"live"}, outcomes
                    print(f"  {part} killed: {len(outcomes)} deployments live after {time.monotonic() - began:.0f} s")
                found = await chaos.settled(ROUND_S)
    breaks = found["breaks"]
    print(f"  {found['facts delivered']} facts delivered, nothing lost, nothing twice, in order")
    print(f"  {found['lines']} lines written, each follower has them all, in order")
    print(f"  breaks of a watcher: {min(breaks)} to {max(breaks)}")


if __name__ == "__main__":
    # Of the simulator, which serves in this process: its clients are killed.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    chosen = [int(word) for word in sys.argv[1:3]]
    asyncio.run(measure(*(chosen + [500, 50][len(chosen) :])))
