"""Two customers' clusters, and a worker that reaches them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kovra.adapters.cluster.circuit import Circuit
from kovra.adapters.cluster.simulator import Simulator
from kovra.entrypoints.worker import Worker, working
from kovra.features.clusters.service.fleet import Fleet
from tests.conftest import settings_for, simulated_registry
from tests.support.customers import Customer, Customers
from tests.support.product import Product


@pytest.fixture(scope="module")
def customers(tmp_path_factory: pytest.TempPathFactory) -> Customers:
    return Customers(tmp_path_factory.mktemp("customers"))


@pytest.fixture(scope="module")
async def theirs(customers: Customers) -> AsyncIterator[Customer]:
    """One customer's cluster."""
    async with customers.customer() as made:
        yield made


@pytest.fixture(scope="module")
async def worker(
    product: Product, simulator: Simulator, keyrings: Path, customers: Customers,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Worker]:  # fmt: skip
    """At work for Kovra's own cluster and for customers'."""
    path = tmp_path_factory.mktemp("cluster") / "kubeconfig"
    path.write_text(json.dumps(simulator.kubeconfig()))
    registries = dict.fromkeys(("registry.test", "docker.io"), simulated_registry(simulator))
    settings = settings_for(product.database, keyrings / "worker.json", kubeconfig=path, registries=registries)
    async with contextlib.AsyncExitStack() as stack:
        product.simulator = simulator
        made = await stack.enter_async_context(working(settings, reach=customers))
        made.registry.get(Fleet).new_circuit = lambda: Circuit(first_s=0.5, longest_s=1.0)
        yield made
