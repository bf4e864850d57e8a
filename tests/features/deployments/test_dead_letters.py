"""A deployment whose step failed for good, mended by an operator: `kovra jobs` brings it to its verdict."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kovra.adapters.cluster.simulator import Simulator
from kovra.entrypoints.cli import app as cli
from kovra.entrypoints.worker import working
from tests.conftest import settings_for, simulated_registry
from tests.support.product import Product


async def jobs(*words: str) -> Any:
    """The verb in a thread: it has an event loop of its own."""
    result = await asyncio.to_thread(CliRunner().invoke, cli, ["jobs", *words])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout) if words[0] == "list" else None


async def letters() -> list[Any]:
    for _ in range(3000):
        if found := await jobs("list", "-o", "json"):
            return list(found)
        await asyncio.sleep(0.1)
    raise AssertionError("no dead letter")


async def test_a_dead_step_is_retried_to_a_verdict_and_a_dropped_one_is_swept(
    product: Product, simulator: Simulator, keyrings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be written of the deployment, not even that it failed; once that is mended it goes on."""
    monkeypatch.setenv("KOVRA_DATABASE_URL", product.database.url)
    monkeypatch.setenv("KOVRA_ENVIRONMENT", "development")
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(simulator.kubeconfig()))
    registries = {"registry.test": simulated_registry(simulator)}
    settings = settings_for(
        product.database, keyrings / "worker.json", kubeconfig=kubeconfig, registries=registries, sweep_s=0.2
    )
    ada = await product.sign_up()
    retried, dropped = await ada.app(), await ada.app()
    await product.sql(
        "create function broken() returns trigger language plpgsql as $$ begin raise exception 'CANARY'; end $$"
    )
    await product.sql(
        "create trigger broken before update of phase on deployments for each row execute function broken()"
    )
    started = [await app.start() for app in (retried, dropped)]
    await product.sql("update procrastinate_jobs set attempts = 7")
    async with working(settings):
        found = await letters()
        while len(found) < 2:
            await asyncio.sleep(0.1)
            found = await letters()
        assert {letter["job"] for letter in found} == {"deployments.advance"}
        assert "CANARY" not in json.dumps(found)
        for d in started:
            assert (await ada.get(f"/v1/deployments/{d['id']}"))["phase"] == "queued"
        await product.sql("drop function broken() cascade")
        by_row = {letter["row"]: letter["id"] for letter in found}
        assert len(by_row) == 2
        (one, other) = by_row.values()
        await jobs("retry", str(one))
        await jobs("drop", str(other))
        # What lost its job is found by the sweep, as if half a minute had passed.
        await product.sql("alter table deployments disable trigger user")
        await product.sql("update deployments set updated_at = now() - interval '1 minute' where phase = 'queued'")
        await product.sql("alter table deployments enable trigger user")
        for app, d in zip((retried, dropped), started, strict=True):
            assert (await app.finished(d))["outcome"] == "live"
            assert len(await ada.events("deployment.finished", d["id"])) == 1
    assert await jobs("list", "-o", "json") == []
