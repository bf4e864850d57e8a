"""The worker process: ready when it works, gone with a code when it cannot, drained when it is asked to end."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from kovra.adapters.cluster.simulator import Simulator
from kovra.entrypoints import worker as process
from kovra.features.deployments.watchers import ClusterWatcher
from kovra.foundation.db.embedded import free_port
from kovra.foundation.jobs.loops import LoopDead, Loops
from kovra.foundation.observability import METRICS
from kovra.settings import Settings
from tests.conftest import settings_for
from tests.support.postgres import TestDatabase


@pytest.fixture
def settings(database: TestDatabase, simulator: Simulator, keyrings: Path, tmp_path: Path) -> Settings:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(simulator.kubeconfig()))
    return settings_for(database, keyrings / "worker.json", kubeconfig=kubeconfig, worker_port=free_port())


async def _get(settings: Settings, path: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"http://{settings.host}:{settings.worker_port}{path}") as answer,
    ):
        return answer.status, await answer.text()


async def _until(settings: Settings, path: str, wanted: tuple[int, Any]) -> None:
    found: Any = None
    for _ in range(300):
        try:
            status, text = await _get(settings, path)
            found = status, json.loads(text)
        except aiohttp.ClientError as error:
            found = error
        if found == wanted:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(found)


async def test_a_loop_that_breaks_shows_in_readiness_and_metrics_and_at_last_ends_the_process(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = asyncio.Event()

    async def watch(_self: ClusterWatcher) -> None:
        if broken.is_set():
            raise TypeError("a defect")
        await broken.wait()

    monkeypatch.setattr(ClusterWatcher, "run", watch)
    monkeypatch.setattr(process, "Loops", lambda: Loops(first_wait_s=0.2, give_up_after=3))
    running = asyncio.create_task(process.run(settings))
    await _until(settings, "/readyz", (200, {"status": "ok"}))
    broken.set()
    await _until(settings, "/readyz", (503, {"status": "unavailable", "troubles": ["watcher"]}))
    assert (await _get(settings, "/healthz"))[0] == 200
    assert 'kovra_loop_restarts_total{loop="watcher"}' in (await _get(settings, "/metrics"))[1]
    with pytest.raises(LoopDead, match="watcher"):
        await asyncio.wait_for(running, 60)
    assert METRICS.get_sample_value("kovra_loop_up", {"loop": "watcher"}) == 0
