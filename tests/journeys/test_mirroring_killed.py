"""A worker that is killed while it copies an image: the next one goes on with what is there."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from kovra.adapters.cluster.simulator import Simulator
from kovra.adapters.cluster.simulator.faults import Fault
from kovra.adapters.cluster.simulator.images import LAYER_BYTES
from kovra.entrypoints.worker import working
from kovra.settings import Settings
from tests.conftest import settings_for, simulated_registry
from tests.features.deployments.test_mirroring import IMAGE, LOGINS, MIRROR, home
from tests.support.processes import worker
from tests.support.product import Product


@pytest.fixture
def settings(product: Product, simulator: Simulator, keyrings: Path, tmp_path: Path) -> Settings:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(simulator.kubeconfig()))
    more = {"kubeconfig": kubeconfig, "registries": {"registry.test": simulated_registry(simulator)}, "worker_port": 0}
    return settings_for(product.database, keyrings / "worker.json", sweep_s=0.3, **more, **MIRROR, **LOGINS)


async def test_a_worker_killed_in_a_copy_is_followed_by_another(
    product: Product, simulator: Simulator, settings: Settings, tmp_path: Path
) -> None:
    """T216: kill -9 after one layer was closed, in the middle of others."""
    app = await (await product.sign_up()).app(IMAGE)
    # Two parts are closed; what is to be closed after them never ends.
    passed = simulator.faults.add(Fault(method="PUT", path="/uploads/", times=2))
    stuck = simulator.faults.add(Fault(method="PUT", path="/uploads/", connection="stall", times=9))
    with worker(settings, tmp_path / "log") as victim:
        started = await app.start()
        async with asyncio.timeout(60):
            while not stuck.met:
                await asyncio.sleep(0.02)
        assert victim.pid is not None
        os.kill(victim.pid, signal.SIGKILL)
        victim.join(20)
    assert passed.met == 2
    simulator.faults.clear()
    async with asyncio.timeout(60):
        while len(held := dict(simulator.pushes.repositories[home(app)].blobs)) < 2:
            await asyncio.sleep(0.02)
    assert len(held) == 2
    assert not simulator.pushes.repositories[home(app)].manifests
    await product.sql("update procrastinate_workers set last_heartbeat = now() - interval '1 hour'")
    await product.sql("update deployments set lease_expires_at = now() where lease_expires_at is not null")
    again = simulator.faults.add(Fault(method="PATCH", path="/uploads/", times=99))
    async with working(settings):
        done = await app.finished(started, wait=60)
    assert done["outcome"] == "live", done["reason"]
    assert again.met <= 4 - len(held), "what was there is not sent again"
    assert sum(map(len, simulator.pushes.repositories[home(app)].blobs.values())) > 3 * LAYER_BYTES
