"""A dead cluster of one customer slows nobody else, and what waits for it goes on by itself when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kovra.entrypoints.worker import Worker
from kovra.features.clusters.service.fleet import Fleet
from tests.features.clusters.test_placing import app_on, looked_at
from tests.support.customers import Customer, Customers, Mode
from tests.support.product import App, Caller, Product


@pytest.fixture(scope="module")
async def others(customers: Customers) -> AsyncIterator[Customer]:
    """Another customer's cluster, which will fail."""
    async with customers.customer() as made:
        yield made


@pytest.fixture(scope="module")
async def ada(product: Product, worker: Worker) -> Caller:
    return await product.sign_up("Ada")


@pytest.fixture(scope="module")
async def bob(product: Product, worker: Worker) -> Caller:
    return await product.sign_up("Bob")


@pytest.fixture(scope="module")
async def well(ada: Caller, theirs: Customer) -> App:
    """Ada's, on a cluster that is well."""
    cluster = await ada.cluster(theirs.kubeconfig)
    await looked_at(ada, cluster)
    return await app_on(ada, cluster)


@pytest.fixture(scope="module")
async def ill(bob: Caller, others: Customer) -> tuple[dict[str, Any], list[App]]:
    """Bob's, more of them than a worker has slots, on a cluster that is going to fail."""
    cluster = await bob.cluster(others.kubeconfig)
    assert (await looked_at(bob, cluster))["health"] == "healthy"
    return cluster, [await app_on(bob, cluster) for _ in range(6)]


@pytest.mark.parametrize("mode", ["silent", "refusing", "failing"])
async def test_deployments_elsewhere_end_as_ever_and_those_on_it_when_it_is_back(
    mode: Mode, product: Product, worker: Worker, others: Customer, well: App, ill: tuple[dict[str, Any], list[App]]
) -> None:
    """T222."""
    _, apps = ill
    fleet = worker.registry.get(Fleet)
    others.turn(mode)
    image = f"registry.test/kovra/ok:{2 if mode == 'refusing' else 1}"  # another one each time
    waiting = [await app.start(environment="theirs", image=image) for app in apps]
    busiest = 0
    for number in (1, 2):
        deployment = await well.deploy(environment="theirs", image=f"registry.test/kovra/ok:{number}")
        assert deployment["outcome"] == "live", deployment
        assert [phase["name"] for phase in deployment["phases"]] == [
            "queued", "preparing", "rolling_out", "verifying",
        ]  # fmt: skip
        busiest = max(busiest, max(fleet.at_work().values(), default=0))
    assert busiest <= 3
    seen = [await app.caller.get(f"/v1/deployments/{d['id']}") for app, d in zip(apps, waiting, strict=True)]
    assert {d["outcome"] for d in seen} == {None}
    others.turn("well")
    for app, deployment in zip(apps, waiting, strict=True):
        found = await app.finished(deployment, wait=60)
        assert found["outcome"] == "live", found


async def test_a_cluster_that_does_not_answer_is_told_and_so_is_its_return(
    bob: Caller, others: Customer, ill: tuple[dict[str, Any], list[App]]
) -> None:
    cluster, _ = ill
    path = f"/v1/clusters/{cluster['id']}"
    for mode, health in (("refusing", "unreachable"), ("well", "healthy")):
        others.turn(mode)  # type: ignore[arg-type]
        async with asyncio.timeout(60):
            while (found := await bob.get(path))["health"] != health:
                await bob.post(f"{path}/actions/check")
                await asyncio.sleep(0.2)
        assert found["health_since"] >= cluster["created_at"]
    told = [e["payload"]["health"] for e in await bob.events("cluster.health_changed", cluster["id"])]
    assert told[-2:] == ["unreachable", "healthy"]
