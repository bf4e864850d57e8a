"""Runs, from being asked for to their end, on the simulated cluster."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from kovra.adapters.cluster.simulator import Fault
from kovra.features.runs.messages import AdvanceRun, TidyRun
from kovra.foundation.db.database import Database
from kovra.foundation.ids import decode
from kovra.foundation.jobs.messages import Job, enqueue
from tests.support.product import App, Caller, Product


async def an_app(product: Product, **secrets: str) -> App:
    """An app whose first release is live."""
    app = await (await product.sign_up()).app()
    if secrets:
        await app.caller.patch(f"{app.path}/secrets", {"secrets": secrets})
    assert (await app.deploy())["outcome"] == "live"
    return app


@pytest.fixture(scope="module")
async def app(running: Product) -> App:
    """What tests share that neither lose nor delete it."""
    return await an_app(running, API_KEY="fatal: cannot reach the database")


async def nudge(product: Product, app: App, job: type[Job], started: dict[str, Any]) -> None:
    """What a sweep does later."""
    org, run_id = decode("org", app.caller.organization["id"]), decode("run", started["id"])
    assert org is not None
    assert run_id is not None
    async with product.app.state.registry.get(Database).organization(org) as session:
        enqueue(session, job(id=run_id))


async def run(app: App, *command: str, **more: Any) -> Any:
    return await app.caller.post("/v1/runs", {"app_environment": app.pair["id"], "command": list(command), **more})


async def ended(caller: Caller, started: dict[str, Any]) -> Any:
    found = await caller.get(f"/v1/runs/{started['id']}?wait=40&until=terminal")
    assert found["outcome"] is not None, found
    return found


async def in_phase(caller: Caller, started: dict[str, Any], phase: str) -> Any:
    for _ in range(400):
        found = await caller.get(f"/v1/runs/{started['id']}")
        if found["phase"] == phase:
            return found
        assert found["outcome"] is None, found
        await asyncio.sleep(0.05)
    raise AssertionError(found)


def job_of(product: Product, app: App, started: dict[str, Any]) -> Any:
    assert product.simulator is not None
    namespace = "kv-" + str(app.environment["id"])[4:]
    label = started["id"].removeprefix("run_")
    found = [
        job
        for job in product.simulator.store.list("Job", namespace)
        if job["metadata"]["labels"].get("kovra.io/run") == label
    ]
    return found[0] if found else None


async def test_a_run_succeeds_with_the_release_that_is_live(running: Product, app: App) -> None:
    """T136: as a Job, of the release's own digest, restricted, without a token, once."""
    started = await run(app, "/testapp", "task", "3", env={"DRY_RUN": "$(HOME)"})
    assert (started["phase"], started["outcome"], started["trigger"]) == ("queued", None, "api")
    found = await ended(app.caller, started)
    assert (found["outcome"], found["exit_code"], found["reason"]) == ("succeeded", 0, None)
    assert found["release"]["number"] == 1
    assert found["started_at"] <= found["finished_at"]

    job = job_of(running, app, started)
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    assert (spec["backoffLimit"], spec["ttlSecondsAfterFinished"]) == (0, 3600)
    assert (pod["restartPolicy"], pod["activeDeadlineSeconds"]) == ("Never", 3600)
    assert pod["automountServiceAccountToken"] is False
    container = pod["containers"][0]
    assert container["image"].endswith(found["release"]["digest"])
    assert {"name": "DRY_RUN", "value": "$$(HOME)"} in container["env"]
    assert container["envFrom"] == [{"secretRef": {"name": job["metadata"]["name"]}}]

    told = [e["type"] for e in await app.caller.events(subject=started["id"])]
    assert told == ["run.requested", "run.started", "run.finished"]
    opened = [e["payload"] for e in await app.caller.events("secret.opened") if e["payload"]["run_id"]]
    assert {(o["run_id"], o["deployment_id"]) for o in opened} == {(started["id"], None)}
    assert opened[0]["secrets"] == {"API_KEY": 1}


async def test_a_command_that_fails_says_its_exit_code_and_last_lines(running: Product, app: App) -> None:
    found = await ended(app.caller, await run(app, "exit", "3"))
    assert (found["outcome"], found["exit_code"], found["reason"]["code"]) == ("failed", 3, "command_failed")
    assert found["reason"]["evidence"] == ["exit code 3", "exit 3: exit 3"]


async def test_what_a_failed_command_wrote_is_masked(running: Product, app: App) -> None:
    found = await ended(app.caller, await run(app, "/testapp", "crash", "4"))
    assert (found["outcome"], found["exit_code"]) == ("failed", 4)
    assert found["reason"]["evidence"][-1] == "***: connection refused"


async def test_a_command_that_hangs_is_ended_at_its_limit_with_its_last_lines(running: Product, app: App) -> None:
    found = await ended(app.caller, await run(app, "/testapp", "hang", time_limit_s=5))
    assert (found["outcome"], found["reason"]["code"]) == ("timed_out", "time_limit_exceeded")
    assert found["reason"]["evidence"][-1] == "hanging"


async def test_out_of_memory_and_a_command_that_is_not_there(running: Product, app: App) -> None:
    killed = await ended(app.caller, await run(app, "/testapp", "oom"))
    assert (killed["outcome"], killed["reason"]["code"], killed["exit_code"]) == ("failed", "out_of_memory", 137)
    missing = await ended(app.caller, await run(app, "/bin/nothing"))
    assert (missing["outcome"], missing["reason"]["code"], missing["exit_code"]) == ("failed", "config_invalid", None)


async def test_cancel_ends_the_command(running: Product, app: App) -> None:
    started = await run(app, "/testapp", "task", "3", "100000")
    await in_phase(app.caller, started, "running")
    asked = await app.caller.post(f"/v1/runs/{started['id']}/actions/cancel")
    assert asked["outcome"] is None
    found = await ended(app.caller, started)
    assert (found["outcome"], found["reason"]["code"], found["exit_code"]) == ("canceled", "canceled_by", None)
    assert job_of(running, app, started) is None
    again = await app.caller.send("POST", f"/v1/runs/{started['id']}/actions/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "already_finished")
    told = await app.caller.events("run.finished", started["id"])
    assert [e["payload"]["outcome"] for e in told] == ["canceled"]


async def test_more_runs_than_the_plan_has_at_once_wait_in_order(running: Product, app: App) -> None:
    """And what waits may be canceled before it begins."""
    long = [await run(app, "/testapp", "task", "1", "100000") for _ in range(3)]
    for one in long:
        await in_phase(app.caller, one, "running")
    waiting, further = await run(app, "exit", "0"), await run(app, "exit", "0")
    await app.caller.post(f"/v1/runs/{further['id']}/actions/cancel")
    assert (await ended(app.caller, further))["outcome"] == "canceled"
    found = await app.caller.get(f"/v1/runs/{waiting['id']}")
    assert (found["phase"], found["queue"]) == ("queued", {"position": 3})
    await app.caller.post(f"/v1/runs/{long[1]['id']}/actions/cancel")
    assert (await ended(app.caller, waiting))["outcome"] == "succeeded"
    for one in (long[0], long[2]):
        await app.caller.post(f"/v1/runs/{one['id']}/actions/cancel")
    for one in long:
        assert (await ended(app.caller, one))["outcome"] == "canceled"


async def test_a_cluster_that_has_lost_a_running_command_does_not_get_it_again(running: Product) -> None:
    """The release it has lost comes back; a command is never repeated."""
    app = await an_app(running)
    started = await run(app, "/testapp", "task", "3", "100000")
    await in_phase(app.caller, started, "running")
    assert running.simulator is not None
    running.simulator.lose_state()
    await nudge(running, app, AdvanceRun, started)
    found = await ended(app.caller, started)
    assert (found["outcome"], found["reason"]["code"]) == ("failed", "run_lost")
    assert job_of(running, app, started) is None


@pytest.mark.parametrize(
    "how",
    [
        {"status": 409, "times": 2, "method": "PATCH"},
        {"status": 429, "times": 2},
        {"status": 500, "times": 2},
        {"connection": "before", "times": 7},
        {"connection": "after", "times": 1, "method": "PATCH"},
    ],
)
async def test_an_api_server_in_trouble_delays_a_run_and_repeats_nothing(
    running: Product, app: App, how: dict[str, Any]
) -> None:
    assert running.simulator is not None
    namespace = "kv-" + str(app.environment["id"])[4:]
    fault = running.simulator.faults.add(Fault(path=f"/namespaces/{namespace}/jobs", **how))
    started = await run(app, "exit", "0")
    found = await ended(app.caller, started)
    assert fault.met
    assert (found["outcome"], found["exit_code"]) == ("succeeded", 0)
    assert len(await app.caller.events("run.started", started["id"])) == 1


async def test_deleting_the_app_ends_its_runs(running: Product) -> None:
    app = await an_app(running)
    started = await run(app, "/testapp", "task", "3", "100000")
    await in_phase(app.caller, started, "running")
    await app.caller.ok("DELETE", f"/v1/apps/{app.app['id']}")
    await nudge(running, app, AdvanceRun, started)
    found = await ended(app.caller, started)
    assert (found["outcome"], found["reason"]["code"]) == ("canceled", "gone")


async def test_an_ended_run_is_tidied_away_and_not_before(running: Product, app: App) -> None:
    """Its Job, its pod and its values, which Kubernetes counts against the quota; once, and the door finds it no more."""
    old, new = await run(app, "exit", "0"), await run(app, "exit", "0")
    await ended(app.caller, old)
    await ended(app.caller, new)
    await running.sql(
        "update runs set finished_at = now() - interval '3 minutes' where id = $1", decode("run", old["id"])
    )
    due = await running.sql("select id from due_work('untidy_runs', 1000, $1)", UUID(int=0))
    assert decode("run", old["id"]) in {row["id"] for row in due}
    assert decode("run", new["id"]) not in {row["id"] for row in due}
    await nudge(running, app, TidyRun, old)
    for _ in range(400):
        if old["id"][4:] not in left(running, app):
            break
        await asyncio.sleep(0.05)
    assert old["id"][4:] not in left(running, app)
    assert new["id"][4:] in left(running, app)


def left(product: Product, app: App) -> set[str]:
    """The runs of which there is something in the cluster."""
    assert product.simulator is not None
    namespace = "kv-" + str(app.environment["id"])[4:]
    kinds = ("Job", "Pod", "Secret")
    labels = [item["metadata"]["labels"] for kind in kinds for item in product.simulator.store.list(kind, namespace)]
    return {found["kovra.io/run"] for found in labels if "kovra.io/run" in found}
