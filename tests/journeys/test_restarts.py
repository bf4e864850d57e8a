"""The database, the worker and the cluster are ended in the middle of a deploy: one verdict each, and what was live is live."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from kovra.adapters.cluster.simulator import Fault, Simulator, SimulatorOptions
from tests.support.installation import Installation, installation
from tests.support.watching import Person

NOTHING = b'{"kind": "PodList", "metadata": {}, "items": []}'


@pytest.fixture
async def product(keyrings: Path, tmp_path: Path) -> AsyncIterator[Installation]:
    data = Path(tempfile.mkdtemp(prefix="kovra-restarts-"))
    data.chmod(0o711)
    quick = {"KOVRA_STEP_S": "4", "KOVRA_HEARTBEAT_S": "0.5", "KOVRA_SWEEP_S": "0.3", "KOVRA_UNLIMITED": "true"}
    try:
        async with installation(tmp_path, data / "postgres", keyrings, **quick) as found:
            yield found
    finally:
        shutil.rmtree(data, ignore_errors=True)


async def sign_up(person: Person) -> None:
    body = {"email": "r@example.test", "password": "comes back again", "name": "R", "organization": {"name": "R"}}
    person.token = (await person.call("POST", "/v1/auth/signup", body))["access_token"]
    await person.call("POST", "/v1/projects", {"name": "P", "slug": "p"})


async def verdict(person: Person, deployment: dict[str, Any]) -> str:
    for _ in range(60):
        now = await person.call("GET", f"/v1/deployments/{deployment['id']}?wait=5&until=terminal")
        if now["outcome"]:
            told = (await person.call("GET", f"/v1/events?limit=200&subject={deployment['id']}"))["data"]
            ends = [e["payload"]["outcome"] for e in told if e["type"] == "deployment.finished"]
            assert ends == [now["outcome"]], told
            return str(now["outcome"] if now["outcome"] == "live" else now["reason"])
    raise AssertionError(now)


async def interrupted(product: Installation, person: Person, name: str, by: Callable[[], Awaitable[None]]) -> str:
    """A deployment is held where its pods are looked at; then it happens; then the cluster answers again."""
    app = await person.call("POST", "/v1/apps", {"project": "p", "name": name})
    held = product.simulator.faults.add(Fault(path="/namespaces/.*/pods$", method="GET", times=10_000, body=NOTHING))
    body = {"environment": "production", "image": "registry.test/kovra/ok:1"}
    started = await person.call("POST", f"/v1/apps/{app['id']}/deployments", body)
    for _ in range(600):
        if held.met and (await person.call("GET", f"/v1/deployments/{started['id']}"))["phase"] == "verifying":
            break
        await asyncio.sleep(0.05)
    else:
        raise AssertionError(f"{name} is not being judged")
    await by()
    held.times = held.met
    return await verdict(person, started)


async def _killed(product: Installation) -> None:
    assert await product.worker.kill() == -signal.SIGKILL
    await product.worker.start()


async def _restarted(product: Installation) -> None:
    await asyncio.to_thread(product.postgres.restart, immediate=True)


async def _lost(product: Installation) -> None:
    """The cluster goes, and comes back empty at the same address."""
    port = urlsplit(product.simulator.url).port
    assert port is not None
    await product.simulator.stop()
    await asyncio.sleep(0.5)
    product.simulator = Simulator(SimulatorOptions(port=port, speed=20, token="t"))
    await product.simulator.start()


@pytest.mark.timeout(180)
async def test_whatever_ends_in_the_middle_of_a_deploy_it_has_one_verdict(product: Installation) -> None:
    """T207, T216, T219: one after the other on one product; and what was live before is live after the last."""
    person = Person(product.port)
    await sign_up(person)
    assert await interrupted(product, person, "killed", lambda: _killed(product)) == "live"
    assert await interrupted(product, person, "restarted", lambda: _restarted(product)) == "live"
    assert await interrupted(product, person, "lost", lambda: _lost(product)) == "live"
    for _ in range(400):
        served = {
            item["metadata"]["labels"]["kovra.io/app-environment"]
            for item in product.simulator.store.objects.values()
            if item["kind"] == "Deployment"
        }
        if len(served) == 3:
            break
        await asyncio.sleep(0.05)
    pairs = (await person.call("GET", "/v1/app-environments"))["data"]
    assert {pair["id"].removeprefix("aev_") for pair in pairs} == served
    await person.client.aclose()
