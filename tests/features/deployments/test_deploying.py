"""Deployments against the simulated cluster: every outcome, the queue, actions, and deletion."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from kovra.adapters.cluster.simulator import Fault
from kovra.foundation.ids import decode
from tests.support.product import App, Product


@pytest.mark.parametrize(
    ("image", "code", "phase"),
    [
        ("registry.test/kovra/missing:1", "image_not_found", "preparing"),
        ("registry.test/kovra/root:1", "image_user_not_allowed", "preparing"),
        ("registry.test/kovra/crash:1", "crash_loop", "verifying"),
        ("registry.test/kovra/oom:1", "out_of_memory", "verifying"),
        ("registry.test/kovra/never-ready:1", "never_ready", "verifying"),
    ],
)
async def test_a_first_deployment_that_cannot_work_says_why(
    running: Product, image: str, code: str, phase: str
) -> None:
    processes = {"web": {"port": 8080, "checks": {"readiness": {"path": "/healthz"}}}}
    app = await (await running.sign_up()).app(processes=processes)
    failed = await app.deploy(image=image)
    assert (failed["outcome"], failed["reason"]["code"], failed["reason"]["phase"]) == ("failed", code, phase)
    assert failed["reason"]["hint"]
    assert failed["restored_release"] is None
    assert (await app.now())["current_release"] is None


@pytest.mark.parametrize(("status", "image"), [(404, "crash:1"), (400, "ok:1")])
async def test_a_log_out_of_reach_leaves_the_last_words(running: Product, status: int, image: str) -> None:
    """A kubelet that has just come back knows no log: found by killing a real one. The pod's status keeps some lines,
    of which known values are masked as ever.
    """
    assert running.simulator is not None
    app = await (await running.sign_up()).app(release_command=["/testapp", "crash"] if image == "ok:1" else None)
    await app.caller.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": "crashing as asked"}})
    namespace = "kv-" + str(app.environment["id"])[4:]
    fault = running.simulator.faults.add(Fault(path=f"/namespaces/{namespace}/pods/.*/log$", times=9, status=status))
    failed = await app.deploy(image=f"registry.test/kovra/{image}")
    fault.times = fault.met
    assert fault.met
    first, *lines = failed["reason"]["evidence"]
    assert "exit code 3" in first
    assert lines
    assert "crashing as asked" not in str(lines)


async def test_an_image_that_runs_as_root_works_with_a_numeric_user(running: Product) -> None:
    processes = {"web": {"port": 8080, "run_as_user": 1000}}
    app = await (await running.sign_up()).app("registry.test/kovra/root:1", processes=processes)
    assert (await app.deploy())["outcome"] == "live"


async def test_a_release_command_runs_before_the_rollout_and_stops_it_when_it_fails(running: Product) -> None:
    ada = await running.sign_up()
    app = await ada.app(release_command=["migrate", "up"])
    live = await app.deploy()
    assert [p["name"] for p in live["phases"]][2] == "releasing"
    await ada.patch(f"/v1/apps/{app.app['id']}", {"release_command": ["exit", "7"]})
    failed = await app.deploy(image="registry.test/kovra/ok:2")
    assert failed["reason"]["code"] == "release_command_failed"
    assert "exit code 7" in failed["reason"]["evidence"][0]
    assert (await app.now())["current_release"]["number"] == 1


async def test_scaling_restarting_suspending_and_resuming_keep_the_release(running: Product) -> None:
    ada = await running.sign_up()
    app = await ada.app()
    assert (await ada.send("POST", f"{app.path}/actions/restart")).json()["code"] == "nothing_live"
    await app.deploy()
    for action, body in (("scale", {"scale": {"web": 2}}), ("restart", None), ("suspend", None), ("resume", None)):
        done = await app.finished(await ada.post(f"{app.path}/actions/{action}", body))
        assert (action, done["outcome"], done["release"]["number"]) == (action, "live", 1)
    now = await app.now()
    assert (now["scale"], now["suspended"]) == ({"web": 2}, False)
    wrong = await ada.send("POST", f"{app.path}/actions/scale", {"scale": {"nothing": 1}})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/scale/nothing")


async def test_queue_latest_supersedes_what_waits_and_never_what_works(running: Product) -> None:
    app = await (await running.sign_up()).app("registry.test/kovra/slow:1")
    first = await app.start()
    await asyncio.sleep(0.5)
    second = await app.start()
    third = await app.start(image="registry.test/kovra/ok:1")
    assert second["queue"]["position"] == 1
    assert third["queue"]["blocked_by"] == first["id"]
    assert (await app.finished(second))["outcome"] == "superseded"
    assert (await app.finished(first))["outcome"] == "live"
    assert (await app.finished(third))["outcome"] == "live"


async def test_override_cancels_and_reject_refuses(running: Product) -> None:
    ada = await running.sign_up()
    app = await ada.app("registry.test/kovra/slow:1")
    await ada.patch(app.path, {"overlap_policy": "override"})
    first = await app.start()
    await asyncio.sleep(0.5)
    second = await app.start(image="registry.test/kovra/ok:1")
    assert (await app.finished(first))["outcome"] == "superseded"
    assert (await app.finished(second))["outcome"] == "live"
    await ada.patch(app.path, {"overlap_policy": "reject"})
    third = await app.start()
    refused = await ada.send("POST", f"/v1/apps/{app.app['id']}/deployments", {"environment": "production"})
    assert (refused.status_code, refused.json()["code"]) == (409, "deployment_in_progress")
    assert (await app.finished(third))["outcome"] == "live"


async def test_cancel_puts_back_what_served(running: Product) -> None:
    ada = await running.sign_up()
    app = await ada.app()
    live = await app.deploy()
    started = await app.start(image="registry.test/kovra/slow:1")
    await asyncio.sleep(0.4)
    await ada.post(f"/v1/deployments/{started['id']}/actions/cancel")
    canceled = await app.finished(started)
    assert (canceled["outcome"], canceled["reason"]["code"]) == ("canceled", "canceled_by")
    assert (await app.now())["current_release"]["id"] == live["release"]["id"]
    again = await ada.send("POST", f"/v1/deployments/{started['id']}/actions/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "already_finished")


async def test_ten_deployments_at_once_end_each_with_one_verdict(running: Product) -> None:
    """T197."""
    ada = await running.sign_up()
    app = await ada.app()
    await ada.patch(app.path, {"overlap_policy": "queue_all"})
    started = await asyncio.gather(*(app.start(image=f"registry.test/kovra/ok:{1 + n % 2}") for n in range(10)))
    done = [await app.finished(d) for d in started]
    assert {d["outcome"] for d in done} <= {"live", "skipped"}
    last = max(done, key=lambda d: d["number"])
    assert (await app.now())["current_release"]["id"] == last["release"]["id"]
    made = sorted(d["release"]["number"] for d in done if d["outcome"] == "live")
    assert made == list(range(1, len(made) + 1))


async def test_the_database_refuses_illegal_moves_and_changes_of_outcomes(running: Product) -> None:
    app = await (await running.sign_up()).app()
    live = await app.deploy()
    connection = await asyncpg.connect(**running.database.superuser())  # type: ignore[arg-type]
    try:
        for change in ("outcome = 'failed'", "phase = 'queued', outcome = null"):
            with pytest.raises(asyncpg.PostgresError) as refused:
                await connection.execute(f"update deployments set {change} where id = $1", decode("dep", live["id"]))
            assert refused.value.sqlstate == "KV409"
    finally:
        await connection.close()


async def test_config_can_be_changed_and_deployed_in_one_call(running: Product) -> None:
    ada = await running.sign_up()
    app = await ada.app()
    await app.deploy()
    made = await ada.patch(f"{app.path}/config?deploy=true", {"vars": {"A": "1"}})
    assert made["object"] == "deployment"
    done = await app.finished(made)
    assert (done["outcome"], done["release"]["number"]) == ("live", 2)
    assert (await ada.get(f"/v1/releases/{done['release']['id']}"))["config_revision"] == 2


async def test_a_deleted_app_stops_at_once_and_comes_back_whole(running: Product) -> None:
    ada = await running.sign_up()
    app = await ada.app()
    await app.deploy()
    assert running.simulator is not None
    namespace = "kv-" + app.environment["id"][4:]
    await ada.ok("DELETE", f"/v1/apps/{app.app['id']}")
    assert (await ada.send("GET", app.path)).status_code == 404
    await _until(lambda: not running.simulator.store.list("Deployment", namespace))
    taken = await ada.send("POST", "/v1/apps", {"project": app.project["id"], "name": "Web", "slug": "web"})
    assert (taken.status_code, taken.json()["code"]) == (409, "slug_taken")
    await ada.post(f"/v1/apps/{app.app['id']}/actions/restore")
    await _until(lambda: bool(running.simulator.store.list("Deployment", namespace)))
    assert (await app.now())["current_release"]["number"] == 1


async def _until(condition: object, seconds: float = 60) -> None:
    for _ in range(int(seconds * 20)):
        if condition():  # type: ignore[operator]
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come true in time")


async def test_a_cluster_that_lost_its_state_gets_every_live_release_again(running: Product) -> None:
    ada = await running.sign_up()
    app: App = await ada.app()
    await app.deploy()
    assert running.simulator is not None
    running.simulator.lose_state()
    namespace = "kv-" + app.environment["id"][4:]
    await _until(lambda: bool(running.simulator.store.list("Deployment", namespace)), 30)


async def test_an_overloaded_api_server_is_waited_for(running: Product) -> None:
    """T218, T219."""
    app = await (await running.sign_up()).app()
    assert running.simulator is not None
    faults = [Fault(path="^/api", status=429, retry_after_s=1), *(Fault(path="^/api", status=n) for n in (500, 503))]
    for fault in faults:
        running.simulator.faults.add(fault)
    assert (await app.deploy())["outcome"] == "live"
    assert [fault.met for fault in faults] == [1, 1, 1]


async def test_an_app_without_config_is_deployed_again_and_again(running: Product) -> None:
    """Its Secret is the same empty one each time: an API server refuses to be told twice that an immutable one is empty."""
    app = await (await running.sign_up()).app()
    outcomes = [(await app.deploy(image=f"registry.test/kovra/ok:{n}"))["outcome"] for n in (1, 2, 1)]
    assert outcomes == ["live", "live", "live"]
