"""Restarts in the middle of a deploy end in one verdict; secrets are nowhere they should not be."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
import subprocess
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest

from kovra.adapters.cluster.simulator import Simulator
from kovra.entrypoints.worker import working
from kovra.foundation.db.embedded import find_binaries
from tests.conftest import settings_for, simulated_registry
from tests.support.product import Product


async def test_a_worker_that_is_stopped_in_the_middle_is_followed_by_another(
    product: Product, simulator: Simulator, keyrings: Path, tmp_path: Path
) -> None:
    """T216, by stopping between steps; the lease and the fence keep one verdict."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(simulator.kubeconfig()))
    settings = settings_for(
        product.database,
        keyrings / "worker.json",
        kubeconfig=kubeconfig,
        registries={"registry.test": simulated_registry(simulator)},
    )
    app = await (await product.sign_up()).app("registry.test/kovra/slow:1")
    async with working(settings):
        started = await app.start()
        await asyncio.sleep(0.4)
    now = await app.caller.get(f"/v1/deployments/{started['id']}")
    assert now["outcome"] is None
    async with working(settings):
        done = await app.finished(started)
    assert done["outcome"] == "live"
    events = (await app.caller.get(f"/v1/events?limit=200&subject={started['id']}"))["data"]
    assert [e["type"] for e in events].count("deployment.finished") == 1


async def test_losing_every_database_connection_in_the_middle_changes_nothing(running: Product) -> None:
    """T207: backends are ended by the server; requests answer 503 or succeed, the deployment ends live."""
    app = await (await running.sign_up()).app("registry.test/kovra/slow:1")
    started = await app.start()
    connection = await asyncpg.connect(**running.database.superuser())  # type: ignore[arg-type]
    try:
        for _ in range(3):
            await asyncio.sleep(0.3)
            await connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid()"
            )
            response = await app.caller.send("GET", f"/v1/deployments/{started['id']}")
            assert response.status_code in (200, 503), response.text
    finally:
        await connection.close()
    for _ in range(20):
        response = await app.caller.send("GET", f"/v1/deployments/{started['id']}?wait=5&until=terminal")
        if response.status_code == 200 and response.json()["outcome"]:
            break
    assert response.json()["outcome"] == "live"


@pytest.fixture
async def canary(running: Product) -> AsyncIterator[tuple[str, Product]]:
    value = f"CANARY-{secrets.token_hex(12)}"
    ada = await running.sign_up()
    app = await ada.app()
    await ada.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": value}})
    await ada.patch(f"{app.path}/config", {"vars": {"SETTING": value + "-config"}})
    assert (await app.deploy())["outcome"] == "live"
    assert (await app.deploy(image="registry.test/kovra/crash:1"))["outcome"] == "failed"
    await ada.post("/v1/organization/encryption/actions/rotate")
    await ada.send("PATCH", f"{app.path}/secrets", {"secrets": {"1BAD": value}}, Idempotency_Key="canary")
    yield value, running


async def test_known_values_are_nowhere_outside_secret_objects(canary: tuple[str, Product]) -> None:
    """T077, T182."""
    value, product = canary
    raw = value.encode()
    deflated = zlib.compress(raw, wbits=-15)  # what gzip and zip wrap: without the head, which holds a time
    forms = {value, quote(value), base64.b64encode(raw).decode().rstrip("="), raw.hex(), deflated.hex()}
    server = product.database.server
    dump = subprocess.run(
        [
            str(find_binaries() / "pg_dump"),
            "-h",
            "127.0.0.1",
            "-p",
            str(server.port),
            "-U",
            "postgres",
            product.database.name,
        ],
        env={**os.environ, "PGPASSWORD": server.password},
        capture_output=True,
        check=True,
    ).stdout.decode(errors="replace")
    assert "config_revisions" in dump
    log = Path(os.environ["KOVRA_TEST_LOG"]).read_text()
    assert "request" in log
    assert product.simulator is not None
    cluster = json.dumps([o for o in product.simulator.store.objects.values() if o["kind"] != "Secret"])
    for form in forms:
        for name, text in (("dump", dump), ("log", log), ("cluster", cluster)):
            assert form not in text, f"{form[:12]}… is in the {name}"


async def test_rotating_the_organizations_key_reseals_and_the_values_still_deploy(running: Product) -> None:
    """T082."""
    ada = await running.sign_up()
    app = await ada.app()
    await ada.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": "still the same value"}})
    await ada.patch(f"{app.path}/config", {"vars": {"A": "1"}})
    before = (await ada.get(f"{app.path}/secrets"))["data"][0]["digest"]
    await ada.post("/v1/organization/encryption/actions/rotate")
    for _ in range(1000):
        state = await ada.get("/v1/organization/encryption")
        if all(r["finished_at"] for r in state["rotations"]):
            break
        await asyncio.sleep(0.1)
    counts = {(k["purpose"], k["version"]): k["values"] for k in state["keys"]}
    assert counts["secret", 1] == counts["config", 1] == 0
    assert counts["secret", 2] >= 1
    assert (await ada.get(f"{app.path}/config"))["vars"] == {"A": "1"}
    assert (await ada.get(f"{app.path}/secrets"))["data"][0]["digest"] == before
    assert (await app.deploy())["outcome"] == "live"
    opened = (await ada.get("/v1/events?limit=200&type=secret.opened"))["data"]
    assert opened[0]["payload"]["secrets"] == {"API_KEY": 1}
