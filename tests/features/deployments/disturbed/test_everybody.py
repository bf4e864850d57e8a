"""What disturbs everybody: a node is drained, the API server is away, a worker is killed; each verdict is right."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest

from kovra.adapters.cluster.simulator import Fault
from kovra.entrypoints.worker import working
from kovra.foundation.ids import decode
from tests.features.deployments.disturbed.conftest import Place, namespace, until
from tests.features.deployments.disturbed.test_disturbed import NO_PODS, OK, OTHER, in_phase, live, verdict
from tests.support.processes import worker
from tests.support.product import App

pytestmark = pytest.mark.timeout(600)
TWO: Final = {
    "web": {"port": 8080, "instances": 2, "checks": {"readiness": {"path": "/healthz", "period_s": 1}}}
}  # fmt: skip


async def drained(place: Place, *apps: App) -> list[int]:
    """No new pods, and all that run are asked to go; what was answered."""
    await place.cordon(closed=True)
    return [await place.evict(pod) for app in apps for pod in await place.pods(app)]


async def window_ends(place: Place, app: App, *, ago: str = "1 second") -> None:
    moved = "update app_environments set watch_until = now() - $2::text::interval where id = $1"
    await place.product.sql(moved, decode("aev", app.pair["id"]), ago)


async def test_a_drained_node_changes_no_verdict_and_no_health(place: Place) -> None:
    """In a rollout, and while a release is watched: its budget keeps one instance, and both come back."""
    rolling, watched = await place.app(processes=TWO), await place.app(processes=TWO)
    for app in (rolling, watched):
        await app.caller.patch(app.path, {"auto_rollback": True, "watch_window_s": 3600})
    first, release = await asyncio.gather(live(rolling), live(watched))
    await place.serves(watched, release)
    async with place.failing(f"/namespaces/{namespace(rolling)}/pods$", method="GET", body=NO_PODS):
        started = await rolling.start(image=OTHER)
        await in_phase(rolling, started, "verifying")
        try:
            assert sorted(await drained(place, watched)) == [201, 429]
            await drained(place, rolling)
            # The worst moment: its window ends while half of it is away.
            await window_ends(place, watched)
            left = await place.pods(watched)
            assert [pod["status"]["phase"] for pod in left].count("Running") == 1
            await asyncio.sleep(1)
            assert (await watched.now())["health"] == "watching"
        finally:
            await place.cordon(closed=False)
    found = await verdict(rolling, started)
    assert found["outcome"] == "live", found["reason"]
    assert found["release"]["number"] == first["number"] + 1
    await place.serves(rolling, found["release"])
    await place.serves(watched, release)
    await until(_health(watched, "stable"))
    deployments = (await watched.caller.get(f"/v1/deployments?app={watched.app['id']}"))["data"]
    assert [one["trigger"] for one in deployments] == ["api"]


def _health(app: App, wanted: str) -> Callable[[], Awaitable[bool]]:
    async def asked() -> bool:
        return bool((await app.now())["health"] == wanted)

    return asked


async def test_what_does_not_come_back_after_a_drain_is_degraded(place: Place) -> None:
    """Not for ever: after its window, as long as a rollout may make no progress."""
    app = await place.app(processes=TWO)
    release = await live(app)
    await place.serves(app, release)
    try:
        await drained(place, app)
        await window_ends(place, app, ago="1 hour")
        await until(_health(app, "degraded"))
    finally:
        await place.cordon(closed=False)
    await place.serves(app, release)


async def test_an_api_server_that_goes_away_in_the_middle_is_waited_for(place: Place) -> None:
    """T219, T221: every watch breaks, connections are refused, and when it is back it refuses everybody for a moment."""
    app, quiet = await place.app(), await place.app()
    served = await live(quiet)
    async with place.failing(f"/namespaces/{namespace(app)}/pods$", method="GET", body=NO_PODS):
        started = await app.start(image=OK)
        await in_phase(app, started, "verifying")
        await place.gate.go_away()
    crashing = await quiet.start(image="registry.test/kovra/crash:1")
    await asyncio.sleep(1)
    # A real one that starts has not read its rules yet.
    place.gate.faults.add(Fault(path="^/readyz$", times=3, status=403))
    place.gate.faults.add(Fault(path=f"/namespaces/{namespace(app)}/", times=3, status=403))
    place.gate.faults.add(Fault(watch=True, times=3, status=410))
    await place.gate.come_back()
    found = await verdict(app, started)
    assert found["outcome"] == "live", found["reason"]
    failed = await verdict(quiet, crashing)
    assert (failed["outcome"], failed["reason"]["code"]) == ("failed", "crash_loop")
    assert failed["restored_release"] == served["id"]
    await place.serves(app, found["release"])
    await place.serves(quiet, served)


STEPS: Final = {
    "preparing the walls": ("PATCH", "/namespaces/{}$"),
    "starting the release command": ("PATCH", "/namespaces/{}/jobs/"),
    "looking at the release command": ("GET", "/namespaces/{}/jobs/"),
    "writing the values": ("PATCH", "/namespaces/{}/secrets/"),
    "rolling out": ("PATCH", "/namespaces/{}/deployments/"),
    "routing": ("PATCH", "/namespaces/{}/httproutes/"),
    "verifying": ("GET", "/namespaces/{}/deployments$"),
    "taking away what is old": ("DELETE", "/namespaces/{}/secrets/"),
    "putting back what served": ("PATCH", "/namespaces/{}/deployments/"),
}
"""Where a worker is killed: it has written, or asked, and never learns the answer."""
_LATER: Final = ("taking away what is old", "putting back what served")


@pytest.fixture(scope="module")
async def prepared(idle: Place) -> dict[str, tuple[App, dict[str, Any]]]:
    """An app for each step, and what it must still serve should the deployment fail."""
    if idle.simulator is None:
        pytest.skip("not shown on a node yet")
    async with working(idle.settings):
        apps = {step: await idle.app(release_command=["/testapp", "task"]) for step in STEPS}
        for app in apps.values():
            await app.caller.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": "first"}})
        served = {step: await live(apps[step]) for step in _LATER}
    return {step: (app, served.get(step, {})) for step, app in apps.items()}


async def test_a_worker_killed_at_each_step_is_followed_by_another(
    idle: Place, prepared: dict[str, tuple[App, dict[str, Any]]], tmp_path: Path
) -> None:
    """T207, T216: kill -9 of a process while each of its steps waits for an answer."""
    stuck, started = [], {}
    for step, (method, path) in STEPS.items():
        app, _ = prepared[step]
        where = path.format(namespace(app))
        if step == "putting back what served":
            # The first write of it is the rollout's own.
            idle.gate.faults.add(Fault(method=method, path=where, delay_s=0.01))
        if step in _LATER:
            await app.caller.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": "second"}})
        idle.gate.faults.add(Fault(method=method, path=where, connection="after"))
        stuck.append(idle.gate.faults.add(Fault(method=method, path=where, times=1, connection="stall")))
    settings = idle.settings.model_copy(update={"step_s": 25.0})
    with worker(settings, tmp_path / "log") as victim:
        for step, (app, _) in prepared.items():
            image = "registry.test/kovra/crash:1" if step == "putting back what served" else OTHER
            started[step] = await app.start(image=image)

        async def all_stuck() -> bool:
            return all(fault.met for fault in stuck)

        await until(all_stuck)
        assert victim.pid is not None
        os.kill(victim.pid, signal.SIGKILL)
        victim.join(20)
    # What follows would come with time: the victim's heartbeat and its leases run out.
    await idle.product.sql("update procrastinate_workers set last_heartbeat = now() - interval '1 hour'")
    await idle.product.sql("update deployments set lease_expires_at = now() where lease_expires_at is not null")
    async with working(idle.settings):
        for step, (app, served) in prepared.items():
            found = await verdict(app, started[step])
            if step == "putting back what served":
                assert (found["outcome"], found["reason"]["code"]) == ("failed", "crash_loop"), found
                await idle.serves(app, served)
            else:
                assert found["outcome"] == "live", (step, found["reason"])
                await idle.serves(app, found["release"])
