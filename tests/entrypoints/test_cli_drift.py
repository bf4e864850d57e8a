"""The verbs that say whether the cluster has what was put there."""

from __future__ import annotations

import asyncio

import pytest

from kovra.adapters.cluster.simulator import Simulator
from tests.support.commands import kovra
from tests.support.product import App, Product


@pytest.fixture(scope="module")
async def shop(running: Product) -> App:
    app = await (await running.sign_up("Ada")).app()
    await app.deploy()
    return app


@pytest.fixture(autouse=True)
def _as_its_owner(at_served: None, shop: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOVRA_TOKEN", shop.caller.token or "")


async def test_drift_and_isolation_as_they_were_seen(shop: App, simulator: Simulator) -> None:
    name = f"{shop.project['slug']}/{shop.app['slug']}"
    await shop.caller.patch(shop.path, {"drift_policy": "report"})
    async with asyncio.timeout(40):
        while (await shop.caller.get(f"{shop.path}/drift"))["state"] != "in_sync":
            await asyncio.sleep(0.1)
    done = await kovra("drift", name)
    assert (done.code, done.out.startswith("in_sync, policy report")) == (0, True), done.err
    simulator.store.drop("Service", "kv-" + shop.environment["id"][4:], shop.app["slug"])
    await shop.caller.product.sql("update app_environments set drift_due_at = now()")
    async with asyncio.timeout(40):
        while (done := await kovra("drift", name)).code != 1:
            await asyncio.sleep(0.1)
    assert "report_only" in done.out
    whole = await kovra("drift", name, "-o", "json")
    assert (whole.code, whole.json["state"]) == (1, "drifted")
    listed = await kovra("isolation")
    row = dict(zip(*(line.split() for line in listed.out.splitlines()), strict=False))
    assert (row["ENVIRONMENT"], row["LEVEL"], row["STATE"]) == ("production", "shared", "in_sync")
    assert (await kovra("isolation", "-o", "json")).json[0]["network_policies"]


async def test_a_proof_without_an_image_is_refused_with_what_to_do(shop: App) -> None:
    done = await kovra("isolation", "--prove", shop.environment["id"])
    assert done.code == 1 and "KOVRA_CANARY_IMAGE" in done.err
