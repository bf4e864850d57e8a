"""Preparing against a registry that answers badly, over HTTP and through the worker: the deployment says why it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from kovra.adapters.cluster.simulator import Simulator
from kovra.entrypoints.worker import working
from tests.conftest import settings_for
from tests.support.product import App, Product


class Registry:
    """Answers by tag; ``later`` is away for its first two askings."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        config = json.dumps({"config": {"User": "1000"}}).encode()
        digest = "sha256:" + sha256(config).hexdigest()
        manifest = json.dumps({"schemaVersion": 2, "config": {"digest": digest}, "layers": []}).encode()
        self.answers: dict[str, Callable[[], web.Response]] = {
            "missing": lambda: web.Response(status=404, text="10.9.8.7 has none"),
            "closed": lambda: web.Response(status=403, text="10.9.8.7 says no"),
            "inside": lambda: web.Response(
                status=401, headers={"WWW-Authenticate": 'Bearer realm="https://169.254.169.254/latest"'}
            ),
            "odd": lambda: web.Response(text="<html>10.9.8.7</html>"),
            "huge": lambda: web.Response(body=b" " * 5_000_000),
            "later": lambda: self._later(manifest),
            "away": lambda: web.Response(status=503),
            digest: lambda: web.Response(body=config),
        }

    def _later(self, manifest: bytes) -> web.Response:
        if self.asked.count("later") <= 2:
            return web.Response(status=429, headers={"Retry-After": "1"})
        return web.Response(body=manifest)

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        name = request.path.rsplit("/", 1)[-1]
        self.asked.append(name)
        return self.answers[name]()


@pytest.fixture(scope="module")
async def registry() -> AsyncIterator[tuple[Registry, str]]:
    made = Registry()
    server = web.Server(made.serve, access_log=None)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    yield made, f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    listener.close()
    await server.shutdown(0.1)


@pytest.fixture(scope="module")
async def app(
    product: Product,
    simulator: Simulator,
    registry: tuple[Registry, str],
    keyrings: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[App]:
    kubeconfig = tmp_path_factory.mktemp("cluster") / "kubeconfig"
    kubeconfig.write_text(json.dumps(simulator.kubeconfig()))
    endpoint: dict[str, Any] = {"endpoint": registry[1], "plain_http": True, "allow_private": True}
    settings = settings_for(
        product.database, keyrings / "worker.json", kubeconfig=kubeconfig, registries={"bad.test": endpoint}
    )
    async with working(settings):
        yield await (await product.sign_up()).app(image=None)


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("missing", "image_not_found"), ("closed", "image_pull_denied"), ("inside", "image_pull_denied"),
        ("odd", "image_invalid"), ("huge", "image_invalid"),
    ],
)  # fmt: skip
async def test_a_registry_that_hands_out_nothing_ends_the_deployment(app: App, tag: str, code: str) -> None:
    """T114, T116: at once, with a reason, and without a word of the registry's own."""
    done = await app.deploy(image=f"bad.test/team/app:{tag}")
    assert (done["outcome"], done["reason"]["code"], done["reason"]["phase"]) == ("failed", code, "preparing")
    assert done["release"] is None
    assert "10.9.8.7" not in json.dumps(done)
    assert "169.254" not in json.dumps(done)


async def test_a_registry_that_asks_to_come_back_is_asked_again(app: App, registry: tuple[Registry, str]) -> None:
    """Retry-After is kept to; the deployment waits and goes on."""
    started = await app.start(image="bad.test/team/app:later")
    for _ in range(400):
        now = await app.caller.get(f"/v1/deployments/{started['id']}")
        if now["phase"] not in ("queued", "waiting", "preparing"):
            break
        await asyncio.sleep(0.05)
    assert now["release"]["image"] == "bad.test/team/app:later"
    assert registry[0].asked.count("later") == 3
    await app.caller.post(f"/v1/deployments/{started['id']}/actions/cancel")
    await app.finished(started)


async def test_a_registry_that_stays_away_is_named_when_time_is_over(app: App, registry: tuple[Registry, str]) -> None:
    """Not "took longer than allowed": whose fault it is, and what to wait for."""
    started = await app.start(image="bad.test/team/app:away")
    async with asyncio.timeout(60):
        while not (await app.caller.get(f"/v1/deployments/{started['id']}"))["waiting_for"]:
            await asyncio.sleep(0.05)
    (row,) = await app.caller.product.sql("select id from deployments where outcome is null")
    await app.caller.product.sql("update deployments set deadline_at = now() where id = $1", row["id"])
    done = await app.finished(started)
    assert (done["outcome"], done["reason"]["code"]) == ("failed", "registry_unavailable")
    assert done["reason"]["evidence"][0].startswith("It waited for: ")
