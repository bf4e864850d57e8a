"""Lines of a run: apart from those of instances, masked, and readable when its pod is gone."""

from __future__ import annotations

import asyncio
from typing import Any

from kovra.features.runs.messages import TidyRun
from kovra.foundation.ids import encode, new_id
from tests.features.logs.conftest import Streamed
from tests.features.runs.test_running import nudge
from tests.support.product import App

SECRET = "line 2 of 3"


async def lines_of(app: App, query: str) -> list[Any]:
    found: list[Any] = (await app.caller.get(f"{app.path}/logs?{query}"))["data"]
    return found


def pods(product: Streamed, app: App) -> list[str]:
    """Of runs, by name."""
    assert product.simulator is not None
    found = product.simulator.store.list("Pod", "kv-" + str(app.environment["id"])[4:])
    return [str(pod["metadata"]["name"]) for pod in found if "kovra.io/run" in pod["metadata"]["labels"]]


async def collected(product: Streamed, app: App) -> str:
    """The pod of the one run, once its log is stored to its end."""
    (pod,) = pods(product, app)
    for _ in range(400):
        stored = await product.sql("select ended from log_positions where pod = $1", pod)
        if stored and stored[0]["ended"]:
            return pod
        await asyncio.sleep(0.05)
    raise AssertionError("its log is not stored")


async def test_a_runs_lines_are_its_own_masked_and_stay(streamed: Streamed) -> None:
    app = await (await streamed.sign_up()).app()
    await app.caller.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": SECRET}})
    await app.deploy()
    body = {"app_environment": app.pair["id"], "command": ["/testapp", "task", "3"]}
    started = await app.caller.post("/v1/runs", body)
    done = await app.caller.get(f"/v1/runs/{started['id']}?wait=40&until=terminal")
    assert done["outcome"] == "succeeded"
    pod = await collected(streamed, app)
    await nudge(streamed, app, TidyRun, started)
    for _ in range(400):
        if pod not in pods(streamed, app):
            break
        await asyncio.sleep(0.05)
    assert pod not in pods(streamed, app)
    lines = await lines_of(app, f"run={started['id']}")
    assert [line["line"] for line in lines] == ["line 1 of 3", "***", "line 3 of 3"]
    assert {(line["process"], line["run"], line["release"]) for line in lines} == {("run", started["id"], 1)}
    assert {line["run"] for line in await lines_of(app, "process=web")} == {None}
    assert await lines_of(app, f"run={encode('run', new_id())}") == []
    both = await app.caller.send("GET", f"{app.path}/logs?run={started['id']}&process=web")
    assert (both.status_code, both.json()["code"]) == (422, "process_or_run")
