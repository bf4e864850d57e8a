"""Deployments that are interrupted: by a cancel in each phase, by a cluster that goes away or loses what it had."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kovra.adapters.cluster.simulator import Fault
from tests.support.product import App, Product

OK, OTHER = "registry.test/kovra/ok:1", "registry.test/kovra/ok:2"


def namespace(app: App) -> str:
    return "kv-" + str(app.environment["id"])[4:]


@asynccontextmanager
async def failing(product: Product, path: str, **how: Any) -> AsyncIterator[Fault]:
    """While the block lasts, what is asked of the cluster or the registry at this path goes wrong."""
    assert product.simulator is not None
    fault = product.simulator.faults.add(Fault(path=path, times=10_000, **how))
    try:
        yield fault
    finally:
        fault.times = fault.met


async def in_phase(app: App, deployment: dict[str, Any], phase: str) -> None:
    for _ in range(400):
        found = await app.caller.get(f"/v1/deployments/{deployment['id']}")
        if found["phase"] == phase:
            return
        assert found["outcome"] is None, found
        await asyncio.sleep(0.05)
    raise AssertionError(f"never {phase}: {found}")


async def ends(app: App, deployment: dict[str, Any]) -> list[str]:
    """The outcomes the ledger tells of a deployment."""
    told = await app.caller.events("deployment.finished", deployment["id"])
    return [event["payload"]["outcome"] for event in told]


def contents(product: Product, app: App) -> set[tuple[str, str]]:
    """What is in the app's namespace, but for the Jobs of release commands, which go by themselves."""
    assert product.simulator is not None
    kinds = ("Deployment", "Service", "Secret", "HTTPRoute", "PodDisruptionBudget")
    return {
        (kind, item["metadata"]["name"])
        for kind in kinds
        for item in product.simulator.store.list(kind, namespace(app))
    }


def image_of(product: Product, app: App) -> str:
    assert product.simulator is not None
    (found,) = product.simulator.store.list("Deployment", namespace(app))
    return str(found["spec"]["template"]["spec"]["containers"][0]["image"])


CANCELED = {
    "preparing": {"path": "^/v2/", "method": "GET", "status": 503},
    "releasing": {"path": "/namespaces/{}/jobs/", "method": "GET", "status": 503},
    "rolling_out": {"path": "/namespaces/{}/deployments/", "method": "PATCH", "status": 503},
    "verifying": {
        "path": "/namespaces/{}/pods$",
        "method": "GET",
        "body": b'{"kind": "PodList", "metadata": {}, "items": []}',
    },
}


@pytest.mark.parametrize("phase", list(CANCELED))
async def test_a_cancel_in_each_phase_leaves_what_served_and_nothing_else(running: Product, phase: str) -> None:
    """One outcome; the objects in the cluster are those of the release that served before."""
    app = await (await running.sign_up()).app(release_command=["migrate"])
    await app.caller.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": "of release one"}})
    live = await app.deploy()
    before, image = contents(running, app), image_of(running, app)
    await app.caller.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": "of release two"}})
    how: dict[str, Any] = dict(CANCELED[phase])
    async with failing(running, how.pop("path").format(namespace(app)), **how):
        started = await app.start(image=OTHER)
        await in_phase(app, started, phase)
        await app.caller.post(f"/v1/deployments/{started['id']}/actions/cancel")
        if phase != "rolling_out":  # what has to be put right there waits for the cluster
            canceled = await app.finished(started)
    canceled = await app.finished(started)
    assert (canceled["outcome"], canceled["reason"]["code"]) == ("canceled", "canceled_by")
    assert await ends(app, started) == ["canceled"]
    assert (await app.now())["current_release"]["id"] == live["release"]["id"]

    for _ in range(3000):
        if contents(running, app) == before and image_of(running, app) == image:
            break
        await asyncio.sleep(0.05)
    assert (contents(running, app), image_of(running, app)) == (before, image)


async def test_nothing_is_asked_of_a_namespace_before_the_worker_is_let_in(running: Product) -> None:
    """Under its own few rights on a real cluster, a first deployment with a release command ended as cluster_denied."""
    app = await (await running.sign_up()).app(release_command=["migrate"])
    within = f"/namespaces/{namespace(app)}/"
    assert running.simulator is not None
    looked = running.simulator.faults.add(Fault(path=f"{within}jobs/", method="GET", delay_s=0.01))
    async with failing(running, f"/namespaces/{namespace(app)}$", method="PATCH", status=503) as walls:
        started = await app.start()
        await in_phase(app, started, "releasing")
        for _ in range(600):
            if walls.met:
                break
            await asyncio.sleep(0.05)
        assert (walls.met > 0, looked.met) == (True, 0)
    assert (await app.finished(started))["outcome"] == "live"


async def test_a_failed_release_command_leaves_its_values_nowhere(running: Product) -> None:
    """Its Job stays for an hour to be looked at; the Secret made for it does not."""
    app = await (await running.sign_up()).app(release_command=["exit", "3"])
    await app.caller.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": "of a release that never was"}})
    failed = await app.deploy()
    assert failed["reason"]["code"] == "release_command_failed"
    assert contents(running, app) == set()
    assert running.simulator is not None
    assert len(running.simulator.store.list("Job", namespace(app))) == 1


async def test_a_rollout_the_cluster_has_lost_is_applied_again(running: Product) -> None:
    """It waited for its deadline; with one verdict, and none of it twice."""
    app = await (await running.sign_up()).app()
    await app.caller.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": "of no interest"}})
    assert running.simulator is not None
    async with failing(running, f"/namespaces/{namespace(app)}/pods$", **dict(HELD)):
        started = await app.start()
        await in_phase(app, started, "verifying")
        running.simulator.lose_state()
    assert (await app.finished(started))["outcome"] == "live"
    assert await ends(app, started) == ["live"]
    assert {kind for kind, _ in contents(running, app)} >= {"Deployment", "Service", "Secret"}


HELD = {key: value for key, value in CANCELED["verifying"].items() if key != "path"}


async def test_a_cluster_that_is_away_for_a_while_is_waited_for(running: Product) -> None:
    """T219: with what it waits for said meanwhile, and one verdict."""
    app = await (await running.sign_up()).app()
    async with failing(running, f"/namespaces/{namespace(app)}", connection="before"):
        started = await app.start()
        for _ in range(400):
            found = await app.caller.get(f"/v1/deployments/{started['id']}")
            if found["waiting_for"]:
                break
            await asyncio.sleep(0.05)
        assert (found["outcome"], found["phase"]) == (None, "rolling_out")
        assert found["waiting_for"]
        assert namespace(app) not in found["waiting_for"]
    assert (await app.finished(started))["outcome"] == "live"
    assert await ends(app, started) == ["live"]


async def test_watches_that_break_change_no_verdict(running: Product) -> None:
    """T221: expired, told twice, silent, closed; each deployment has one verdict."""
    app = await (await running.sign_up()).app()
    assert running.simulator is not None
    broken = [
        Fault(watch=True, status=410, times=3), Fault(watch=True, connection="repeat", times=3),
        Fault(watch=True, connection="stall", times=3),
    ]  # fmt: skip
    for fault in broken:
        running.simulator.faults.add(fault)
    for image in (OK, OTHER):
        running.simulator.close_watches()
        started = await app.start(image=image)
        assert (await app.finished(started))["outcome"] == "live"
        assert await ends(app, started) == ["live"]
    assert broken[0].met
    running.simulator.faults.clear()
    running.simulator.close_watches()
