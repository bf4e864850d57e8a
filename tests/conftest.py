"""Few fixtures: a database, the product (api and worker in this process, the simulator beside), people to act as."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from kovra.adapters.cluster.simulator import Simulator, SimulatorOptions
from kovra.entrypoints.api import create_app
from kovra.entrypoints.worker import working
from kovra.foundation.db import embedded
from kovra.foundation.db.embedded import Server
from kovra.foundation.keyring.documents import write_file
from kovra.foundation.keyring.masters import MasterSet, generate
from kovra.foundation.observability import configure
from kovra.settings import Settings
from tests.support.postgres import TestDatabase, clone, postgres, stop_server
from tests.support.product import Product

__all__ = ["postgres"]


def _absent() -> dict[str, str]:
    """Markers whose tests cannot run here, and what they need."""
    known = os.environ
    absent = {}
    if not known.get("KOVRA_TEST_KUBECONFIG") and not known.get("KUBEBUILDER_ASSETS"):
        absent["cluster"] = "KOVRA_TEST_KUBECONFIG or KUBEBUILDER_ASSETS"
    if not (known.get("KOVRA_TEST_KUBECONFIG") and known.get("KOVRA_TEST_REGISTRY")):
        absent["node"] = "KOVRA_TEST_KUBECONFIG and KOVRA_TEST_REGISTRY"
    return absent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests on a real cluster are left out where there is none; `make test-cluster` runs them."""
    absent = _absent()
    raising = bool(os.environ.get("KOVRA_TEST_RAISING_POLICIES"))

    def runs(item: pytest.Item) -> bool:
        here = not any(item.get_closest_marker(name) for name in absent)
        return here and (not raising or _meets_raising_policies(item))

    if left_out := [item for item in items if not runs(item)]:
        config.hook.pytest_deselected(items=left_out)
    items[:] = sorted(filter(runs, items), key=_length)


_LONGEST_FIRST = ("journeys", "entrypoints", "features", "foundation", "laws", "adapters")


def _length(item: pytest.Item) -> int:
    """Folders whose files take long come first: a long file at the end would run beside idle workers."""
    return _LONGEST_FIRST.index(item.path.relative_to(Path(__file__).parent).parts[0])


def _meets_raising_policies(item: pytest.Item) -> bool:
    """Uses the run's database, and is not about an unset variable; others would only be run twice."""
    return "postgres" in getattr(item, "fixturenames", ()) and item.get_closest_marker("unset_tenant") is None


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Fixtures are gone by now."""
    stop_server()


def pytest_report_header() -> list[str]:
    return [f"tests marked {name} are left out: {needs} not set" for name, needs in _absent().items()]


@pytest.fixture(scope="session", autouse=True)
def _quiet(tmp_path_factory: pytest.TempPathFactory) -> None:
    stream = (tmp_path_factory.getbasetemp() / "product.log").open("w")
    os.environ["KOVRA_TEST_LOG"] = stream.name
    configure("test", level="debug", terminal=False, stream=stream)
    structlog.contextvars.clear_contextvars()


@pytest.fixture(scope="session", autouse=True)
def _no_traces() -> Iterator[None]:
    """Where we are root, what servers of tests need outside of their data folders goes with the run."""
    with tempfile.TemporaryDirectory(prefix="kovra-test-outside-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        embedded.OUTSIDE = Path(folder)
        yield


@pytest.fixture(scope="module")
async def database(postgres: Server) -> TestDatabase:
    """A database of this module's own."""
    return await clone(postgres)


@pytest.fixture(scope="session")
def keyrings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the api's and the worker's keyring files."""
    folder = tmp_path_factory.mktemp("keys")
    made = [generate(MasterSet.edge, 1), generate(MasterSet.core, 1)]
    write_file(folder / "api.json", made, private=False)
    write_file(folder / "worker.json", made)
    return folder


def settings_for(database: TestDatabase, keyring: Path, **more: object) -> Settings:
    """Settings of a process under test."""
    raw = base64.b64encode(b"k" * 32).decode()
    known: dict[str, object] = {
        "environment": "development",
        "database_url": database.url,
        "keyring_file": keyring,
        "pepper": raw,
        "cursor_key": raw,
        "token_keys": json.dumps({"signing": "t", "keys": {"t": raw}}),
        "bcrypt_cost": 4,
        "pool_max": 8,
        "apps_domain": "apps.test",
        "settling_s": 0.05,
        "progress_deadline_s": 20,
        "min_ready_s": 1,
    }
    return Settings(**{**known, **more})  # type: ignore[arg-type]


def simulated_registry(simulator: Simulator) -> dict[str, object]:
    """How a worker under test reaches the simulator's registry."""
    return {"endpoint": simulator.url, "plain_http": True, "allow_private": True}


@pytest.fixture(scope="module")
async def product(database: TestDatabase, keyrings: Path) -> AsyncIterator[Product]:
    """The api, without a worker."""
    settings = settings_for(database, keyrings / "api.json")
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield Product(app=app, database=database, settings=settings)


@pytest.fixture(scope="module")
async def simulator() -> AsyncIterator[Simulator]:
    """A cluster whose clock runs fast."""
    simulated = Simulator(SimulatorOptions(speed=20, token=secrets.token_hex(8)))
    await simulated.start()
    yield simulated
    await simulated.stop()


@pytest.fixture(scope="module")
async def running(
    product: Product, simulator: Simulator, keyrings: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Product]:
    """The whole product: a worker drives the simulated cluster."""
    kubeconfig = tmp_path_factory.mktemp("cluster") / "kubeconfig"
    kubeconfig.write_text(json.dumps(simulator.kubeconfig()))
    registries = dict.fromkeys(("registry.test", "docker.io"), simulated_registry(simulator))
    settings = settings_for(product.database, keyrings / "worker.json", kubeconfig=kubeconfig, registries=registries)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(working(settings))
        product.simulator = simulator
        yield product
        await asyncio.sleep(0)
