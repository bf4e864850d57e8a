"""Deployments that meet in the queue: whose turn it is, what each then means, and who makes way for whom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from kovra.adapters.cluster.simulator.faults import Fault
from kovra.foundation.db.database import Database
from kovra.foundation.ids import decode
from tests.features.deployments.test_interrupted import failing
from tests.support.product import App, Product

OK, OTHER, BAD = "registry.test/kovra/ok:1", "registry.test/kovra/ok:2", "registry.test/kovra/crash:1"


@asynccontextmanager
async def held(running: Product, app: App) -> AsyncIterator[None]:
    """While the block lasts, what is rolled out in this app's environment is not seen to be ready."""
    assert running.simulator is not None
    path = f"/namespaces/kv-{app.environment['id'][4:]}/pods$"
    fault = running.simulator.faults.add(
        Fault(method="GET", path=path, times=10_000, body=b'{"kind": "PodList", "metadata": {}, "items": []}')
    )
    try:
        yield
    finally:
        fault.times = fault.met


async def in_phase(app: App, deployment: dict[str, Any], phase: str = "verifying") -> None:
    for _ in range(300):
        if (await app.caller.get(f"/v1/deployments/{deployment['id']}"))["phase"] == phase:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"never {phase}")


async def act(app: App, action: str, body: Any = None) -> Any:
    return await app.caller.post(f"{app.path}/actions/{action}", body)


async def test_actions_behind_a_deployment_mean_what_serves_when_their_turn_comes(running: Product) -> None:
    """Queued behind a newer release, neither a restart nor new config brings the older one back."""
    app = await (await running.sign_up()).app()
    await app.deploy()
    await app.caller.patch(app.path, {"overlap_policy": "queue_all"})
    async with held(running, app):
        newer = await app.start(image=OTHER)
        await in_phase(app, newer)
        restart = await act(app, "restart")
        config = await app.caller.patch(f"{app.path}/config?deploy=true", {"vars": {"A": "1"}})
        assert (restart["queue"]["position"], config["queue"]["position"]) == (1, 2)
        assert restart["deadline_at"] is None
    done = [await app.finished(d) for d in (newer, restart, config)]
    assert [d["outcome"] for d in done] == ["live"] * 3
    assert [d["release"]["number"] for d in done] == [2, 2, 3]
    assert {d["release"]["image"] for d in done} == {OTHER}
    assert done[2]["previous_release_id"] == done[1]["release"]["id"]
    assert (await app.caller.get(f"/v1/releases/{done[2]['release']['id']}"))["config_revision"] == 2


async def test_a_deployment_that_fails_puts_back_what_went_live_meanwhile(running: Product) -> None:
    """Not what served when it was asked for."""
    app = await (await running.sign_up()).app()
    await app.deploy()
    await app.caller.patch(app.path, {"overlap_policy": "queue_all"})
    async with held(running, app):
        newer = await app.start(image=OTHER)
        await in_phase(app, newer)
        failing = await app.start(image=BAD)
    live, failed = await app.finished(newer), await app.finished(failing)
    assert (live["outcome"], failed["outcome"]) == ("live", "failed")
    assert failed["restored_release"] == live["release"]["id"] == failed["previous_release_id"]


async def test_a_scale_asked_for_while_a_deployment_is_judged_takes_nobodys_place(running: Product) -> None:
    app = await (await running.sign_up()).app()
    await app.deploy()
    async with held(running, app):
        judged = await app.start(image=OTHER)
        await in_phase(app, judged)
        queued = await app.start(image=OK)
        scale = await act(app, "scale", {"scale": {"web": 2}})
    done = [await app.finished(d) for d in (judged, queued, scale)]
    # The queued deployment brought the instances about: nothing was left to do.
    assert [d["outcome"] for d in done] == ["live", "live", "skipped"]
    assert done[2]["reason"]["code"] == "nothing_changed"
    assert (await app.now())["scale"] == {"web": 2}


async def test_a_scale_that_cannot_be_is_wanted_no_more(running: Product) -> None:
    processes = {"web": {"port": 8080, "size": "large"}}
    app = await (await running.sign_up()).app(processes=processes)
    assert (await app.deploy())["outcome"] == "live"
    refused = await app.caller.send("POST", f"{app.path}/actions/scale", {"scale": {"web": 9}})
    assert (refused.status_code, refused.json()["code"]) == (409, "quota_exceeded")
    assert (await app.now())["scale"] == {}
    assert running.simulator is not None
    sick: dict[str, Any] = {
        "method": "PATCH",
        "status": 403,
        "message": 'pods "p" is forbidden: exceeded quota: q, requested: pods=1',
    }
    async with failing(running, f"/namespaces/kv-{app.environment['id'][4:]}/deployments/", **sick):
        failed = await app.finished(await act(app, "scale", {"scale": {"web": 2}}))
    assert (failed["outcome"], failed["reason"]["code"]) == ("failed", "quota_exceeded")
    assert (await app.now())["scale"] == {}


async def test_scaling_keeps_the_stamp_of_a_restart(running: Product) -> None:
    """Leaving it out of the pods' template would replace every pod once more."""
    app = await (await running.sign_up()).app()
    await app.deploy()
    await app.finished(await act(app, "restart"))
    assert running.simulator is not None

    def stamp() -> object:
        assert running.simulator is not None
        (found,) = running.simulator.store.list("Deployment", f"kv-{app.environment['id'][4:]}")
        return found["spec"]["template"]["metadata"]["annotations"]

    before = stamp()
    assert (await app.finished(await act(app, "scale", {"scale": {"web": 2}})))["outcome"] == "live"
    assert stamp() == before


async def test_a_rollback_does_not_wait_for_what_is_under_way(running: Product) -> None:
    app = await (await running.sign_up()).app()
    first = await app.deploy()
    await app.deploy(image=OTHER)
    async with held(running, app):
        stuck = await app.start(image=OK)
        await in_phase(app, stuck)
        back = await act(app, "rollback", {"release": first["release"]["number"]})
        assert (await app.finished(stuck))["outcome"] == "superseded"
    done = await app.finished(back)
    assert (done["outcome"], done["trigger"], done["release"]["digest"]) == (
        "live",
        "rollback",
        first["release"]["digest"],
    )
    assert (await app.now())["auto_deploy_paused"] is True


async def test_a_rollback_that_is_not_to_override_follows_the_policy(running: Product) -> None:
    app = await (await running.sign_up()).app()
    first = await app.deploy()
    await app.caller.patch(app.path, {"overlap_policy": "reject"})
    async with held(running, app):
        stuck = await app.start(image=OTHER)
        await in_phase(app, stuck)
        body = {"release": first["release"]["number"], "override": False}
        refused = await app.caller.send("POST", f"{app.path}/actions/rollback", body)
        assert (refused.status_code, refused.json()["code"]) == (409, "deployment_in_progress")
    assert (await app.finished(stuck))["outcome"] == "live"
    assert (await app.now())["auto_deploy_paused"] is False


async def test_asking_twice_for_what_waits_is_one_deployment_and_what_is_live_is_skipped(running: Product) -> None:
    app = await (await running.sign_up()).app()
    await app.deploy()
    async with held(running, app):
        judged = await app.start(image=OTHER)
        await in_phase(app, judged)
        twice = [await app.start(image=OK) for _ in range(2)]
        assert twice[0]["id"] == twice[1]["id"]
        await app.caller.patch(f"{app.path}/config", {"vars": {"A": "1"}})
        third = await app.start(image=OK)
        assert third["id"] != twice[0]["id"]
    assert (await app.finished(twice[0]))["outcome"] == "superseded"
    live = await app.finished(third)
    skipped = await app.deploy(image=OK)
    assert (skipped["outcome"], skipped["reason"]["code"]) == ("skipped", "nothing_changed")
    assert skipped["release"]["id"] == live["release"]["id"]


async def test_canceling_what_is_queued_ends_it_at_once_and_only_it(running: Product) -> None:
    app = await (await running.sign_up()).app()
    await app.deploy()
    async with held(running, app):
        judged = await app.start(image=OTHER)
        await in_phase(app, judged)
        queued = await app.start(image=OK)
        await app.caller.post(f"/v1/deployments/{queued['id']}/actions/cancel")
        canceled = await app.finished(queued)
        assert (canceled["outcome"], canceled["phases"][-1]["ended_at"] is not None) == ("canceled", True)
        assert (await app.caller.get(f"/v1/deployments/{judged['id']}"))["outcome"] is None
    assert (await app.finished(judged))["outcome"] == "live"


async def test_a_release_is_never_changed(running: Product) -> None:
    app = await (await running.sign_up()).app()
    live = await app.deploy()
    connection = await asyncpg.connect(running.database.url)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(
                "update releases set number = 7 where id = $1", decode("rel", live["release"]["id"])
            )
    finally:
        await connection.close()


async def test_waiting_for_a_deployment_holds_no_connection(running: Product) -> None:
    """More waiters than the pool has connections, and others are still answered."""
    app = await (await running.sign_up()).app()
    await app.deploy()
    pool = running.app.state.registry.get(Database)._pool
    async with held(running, app):
        started = await app.start(image=OTHER)
        await in_phase(app, started)
        path = f"/v1/deployments/{started['id']}?wait=30&until=terminal"
        waiters = [asyncio.create_task(app.caller.get(path)) for _ in range(2 * running.settings.pool_max)]
        async with asyncio.timeout(60):  # each looks now and then, and holds nothing in between
            while len(pool._idle) < pool._size:
                await asyncio.sleep(0.01)
        assert (await app.now())["id"] == app.pair["id"]
    assert {(await waiter)["outcome"] for waiter in waiters} == {"live"}


async def test_a_restored_app_is_deployed_again_with_a_verdict(running: Product) -> None:
    app = await (await running.sign_up()).app()
    live = await app.deploy()
    await app.caller.ok("DELETE", f"/v1/apps/{app.app['id']}")
    assert running.simulator is not None
    async with asyncio.timeout(60):  # restored before it was taken out, nothing would have changed
        while running.simulator.store.list("Deployment", "kv-" + app.environment["id"][4:]):
            await asyncio.sleep(0.02)
    await app.caller.post(f"/v1/apps/{app.app['id']}/actions/restore")
    for _ in range(3000):
        found = (await app.caller.get(f"/v1/deployments?app={app.app['id']}"))["data"]
        if found[0]["source"]["kind"] == "restore":
            break
        await asyncio.sleep(0.05)
    restored = await app.finished(found[0])
    assert (restored["outcome"], restored["release"]["id"]) == ("live", live["release"]["id"])
