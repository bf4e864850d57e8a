"""Canary steps where routes are Ingresses, which share nothing out."""

from __future__ import annotations

import json
from pathlib import Path

from kovra.adapters.cluster.simulator import Simulator
from kovra.entrypoints.api import create_app
from kovra.entrypoints.worker import working
from tests.conftest import settings_for, simulated_registry
from tests.features.deployments.test_canary import READY, by_steps, releases
from tests.support.postgres import TestDatabase
from tests.support.product import Product


async def test_the_api_refuses_it_and_so_does_a_worker_of_another_mind(
    product: Product, database: TestDatabase, simulator: Simulator, keyrings: Path, tmp_path: Path
) -> None:
    app = create_app(settings_for(database, keyrings / "api.json", routing="ingress"))
    async with app.router.lifespan_context(app):
        other = await (await Product(app=app, database=database, settings=product.settings).sign_up()).app()
        refused = await other.caller.send("PATCH", other.path, by_steps((10, 0)))
        assert (refused.status_code, refused.json()["code"]) == (409, "canary_needs_gateway")
        assert (await other.now())["rollout"]["strategy"] == "rolling"
    shop = await (await product.sign_up()).app(processes=READY)
    await shop.caller.patch(shop.path, by_steps((10, 0)))
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(simulator.kubeconfig()))
    settings = settings_for(
        database, keyrings / "worker.json", kubeconfig=kubeconfig, routing="ingress",
        registries={"registry.test": simulated_registry(simulator)},
    )  # fmt: skip
    async with working(settings):
        assert (await shop.deploy())["outcome"] == "live"
        done = await shop.deploy(image="registry.test/kovra/ok:2")
    assert (done["outcome"], done["reason"]["code"]) == ("failed", "canary_needs_gateway")
    assert releases(simulator, shop) == {"web": ("1", 2)}
