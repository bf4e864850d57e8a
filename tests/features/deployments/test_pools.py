"""Where pods run: by the organization's plan, and by nothing that a tenant says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from kovra.adapters.cluster.simulator import Simulator
from kovra.entrypoints.worker import working
from kovra.foundation.ids import decode
from kovra.settings.shapes import NodePool
from tests.conftest import settings_for, simulated_registry
from tests.support.product import Product

POOLS = {
    "business": {
        "runtime_class": "gvisor",
        "node_selector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "kovra.io/pool", "value": "business"}, {"key": "spot"}],
    }
}


@pytest.fixture(scope="module")
async def pooled(
    product: Product, simulator: Simulator, keyrings: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Product]:
    kubeconfig = tmp_path_factory.mktemp("cluster") / "kubeconfig"
    kubeconfig.write_text(json.dumps(simulator.kubeconfig()))
    registries = {"registry.test": simulated_registry(simulator)}
    settings = settings_for(
        product.database, keyrings / "worker.json", kubeconfig=kubeconfig, registries=registries, node_pools=POOLS
    )
    async with working(settings):
        product.simulator = simulator
        yield product


@pytest.mark.parametrize("plan", ["free", "business"])
async def test_pods_run_where_their_organizations_plan_says(pooled: Product, plan: str) -> None:
    ada = await pooled.sign_up()
    await pooled.sql("update organizations set plan = $2 where id = $1", decode("org", ada.organization["id"]), plan)
    app = await ada.app(release_command=["/testapp", "task"])
    assert (await app.deploy())["outcome"] == "live"
    assert pooled.simulator is not None
    namespace = "kv-" + app.environment["id"][4:]
    owned = [*pooled.simulator.store.list("Deployment", namespace), *pooled.simulator.store.list("Job", namespace)]
    assert {item["kind"] for item in owned} == {"Deployment", "Job"}
    for item in owned:
        spec = item["spec"]["template"]["spec"]
        found = (spec.get("runtimeClassName"), spec.get("nodeSelector"), spec.get("tolerations"))
        if plan == "free":
            assert found == (None, None, None)
        else:
            equal = {"effect": "NoSchedule", "operator": "Equal", "value": "business", "key": "kovra.io/pool"}
            exists = {"effect": "NoSchedule", "operator": "Exists", "key": "spot"}
            assert found == ("gvisor", {"kubernetes.io/os": "linux"}, [equal, exists])


@pytest.mark.parametrize(
    "wrong",
    [
        {"runtime_class": "g visor"},
        {"node_selector": {"a/b/c": "x"}},
        {"node_selector": {"a": "x y"}},
        {"tolerations": [{"key": "a", "effect": "Sometimes"}]},
        {"node": "n"},
    ],
)
def test_a_pool_that_no_cluster_would_take_is_refused_at_the_start(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        NodePool.model_validate(wrong)
