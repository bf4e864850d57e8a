"""Runs on real Kubernetes with running pods, under the worker's own few rights."""

from __future__ import annotations

import asyncio

import pytest

from tests.features.runs.test_running import ended, in_phase, run
from tests.journeys.test_on_a_node import OnNode, product

__all__ = ["product"]
pytestmark = [pytest.mark.node, pytest.mark.timeout(300)]


async def test_runs_end_as_they_do(product: OnNode) -> None:
    """Good, with an exit code, at its limit, canceled; and its lines are read, masked."""
    app = await (await product.sign_up()).app()
    await app.caller.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": "line 2 of 3"}})
    deployed = await app.deploy()
    assert deployed["outcome"] == "live", deployed["reason"]

    good = await run(app, "/testapp", "task", "3")
    failing, hanging = await run(app, "/testapp", "crash", "3"), await run(app, "/testapp", "hang", time_limit_s=6)
    found = await ended(app.caller, good)
    assert (found["outcome"], found["exit_code"]) == ("succeeded", 0), found["reason"]
    async with asyncio.timeout(60):
        while len(lines := (await app.caller.get(f"{app.path}/logs?run={good['id']}"))["data"]) < 3:
            await asyncio.sleep(0.5)
    assert "***" in {line["line"] for line in lines}

    found = await ended(app.caller, failing)
    assert (found["outcome"], found["exit_code"], found["reason"]["code"]) == ("failed", 3, "command_failed")
    assert len(found["reason"]["evidence"]) > 1
    found = await ended(app.caller, hanging)
    assert (found["outcome"], found["reason"]["code"]) == ("timed_out", "time_limit_exceeded")
    assert "hanging" in found["reason"]["evidence"][-1]

    long = await run(app, "/testapp", "task", "1", "600")
    await in_phase(app.caller, long, "running")
    await app.caller.post(f"/v1/runs/{long['id']}/actions/cancel")
    assert (await ended(app.caller, long))["outcome"] == "canceled"
    runs = [p for p in await product.list("Pod", app) if p["metadata"]["labels"].get("kovra.io/run") == long["id"][4:]]
    assert {p["status"]["phase"] for p in runs} <= {"Succeeded", "Failed"}
