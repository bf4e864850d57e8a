"""Processes whose instances the cluster decides about, from the first deployment to suspension and back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.product import App, Product

CALM = {"min": 2, "max": 4, "cpu": 100}
BUSY = {**CALM, "cpu": 3}
"""Simulated instances use at least a twentieth of their CPU: with this target there are soon as many as may be."""
OTHER = "registry.test/kovra/ok:2"


def web(**more: Any) -> dict[str, Any]:
    return {"web": {"port": 8080, **more}}


def objects(running: Product, app: App, kind: str) -> list[dict[str, Any]]:
    assert running.simulator is not None
    return running.simulator.store.list(kind, f"kv-{app.environment['id'][4:]}")


def replicas(running: Product, app: App) -> int:
    (found,) = objects(running, app, "Deployment")
    return int(found["spec"]["replicas"])


async def reaches(running: Product, app: App, wanted: int) -> None:
    async with asyncio.timeout(60):
        while replicas(running, app) != wanted:
            await asyncio.sleep(0.02)


async def act(app: App, action: str) -> Any:
    return await app.finished(await app.caller.post(f"{app.path}/actions/{action}"))


async def test_the_cluster_decides_and_the_verdict_judges_what_it_wants(running: Product) -> None:
    app = await (await running.sign_up()).app(processes=web(autoscale=BUSY))
    live = await app.deploy()
    assert live["outcome"] == "live"
    assert 2 <= live["instances"]["web"]["wanted"] == live["instances"]["web"]["ready"] <= 4
    await reaches(running, app, 4)
    (scaler,) = objects(running, app, "HorizontalPodAutoscaler")
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (2, 4)
    again = await app.deploy(image=OTHER)
    assert (again["outcome"], again["instances"]) == ("live", {"web": {"ready": 4, "wanted": 4}})
    failed = await app.deploy(image="registry.test/kovra/crash:1")
    assert (failed["outcome"], replicas(running, app)) == ("failed", 4)


async def test_the_number_never_drops_while_it_changes_hands(running: Product) -> None:
    app = await (await running.sign_up()).app(processes=web(instances=3))
    await app.deploy()
    assert running.simulator is not None
    store, begun = running.simulator.store, running.simulator.store.version
    await app.caller.patch(f"/v1/apps/{app.app['id']}", {"processes": web(autoscale={**CALM, "min": 3})})
    assert (await app.deploy())["outcome"] == "live"
    handed_over = replicas(running, app)
    await app.caller.patch(f"/v1/apps/{app.app['id']}", {"processes": web(instances=3)})
    taken_back = await app.deploy()
    assert (taken_back["outcome"], taken_back["instances"]["web"]["wanted"]) == ("live", 3)
    assert objects(running, app, "HorizontalPodAutoscaler") == []
    (deployment,) = objects(running, app, "Deployment")
    uid = deployment["metadata"]["uid"]
    changes = [c for c in store.history if c.version > begun and c.object["metadata"]["uid"] == uid]
    told = [int(change.object["spec"]["replicas"]) for change in changes]
    assert (handed_over, set(told)) == (3, {3})


async def test_a_single_instance_may_be_moved_and_many_only_one_by_one(running: Product) -> None:
    """A disruption budget from the first instance on, which lets one go."""
    app = await (await running.sign_up()).app(processes=web(autoscale={"max": 3, "cpu": 100}))
    await app.deploy()
    (budget,) = objects(running, app, "PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 1
    async with asyncio.timeout(60):
        while objects(running, app, "PodDisruptionBudget")[0]["status"]["disruptionsAllowed"] != 1:
            await asyncio.sleep(0.02)


async def test_suspended_nothing_scales_it_and_resumed_it_is_scaled_again(running: Product) -> None:
    app = await (await running.sign_up()).app(processes=web(autoscale=BUSY))
    await app.deploy()
    assert (await act(app, "suspend"))["outcome"] == "live"
    assert (replicas(running, app), objects(running, app, "HorizontalPodAutoscaler")) == (0, [])
    assert (await act(app, "resume"))["outcome"] == "live"
    await reaches(running, app, 4)


async def test_a_number_for_what_is_autoscaled_is_refused(running: Product) -> None:
    app = await (await running.sign_up()).app(processes=web(autoscale=CALM))
    await app.deploy()
    for method, path in (("POST", f"{app.path}/actions/scale"), ("PATCH", app.path)):
        refused = await app.caller.send(method, path, {"scale": {"web": 3}})
        assert (refused.status_code, refused.json()["code"]) == (422, "autoscaled")
        assert refused.json()["errors"][0]["pointer"] == "/scale/web"
    assert (await app.now())["scale"] == {}


@pytest.mark.parametrize(
    ("autoscale", "pointer"),
    [
        ({"min": 3, "max": 2, "cpu": 50}, "/processes/web/autoscale"),
        ({"max": 2}, "/processes/web/autoscale"),
        ({"min": 0, "max": 2, "cpu": 50}, "/processes/web/autoscale/min"),
        ({"max": 51, "cpu": 50}, "/processes/web/autoscale/max"),
        ({"max": 2, "cpu": 101}, "/processes/web/autoscale/cpu"),
        ({"cpu": 50}, "/processes/web/autoscale/max"),
    ],
)
async def test_bounds_that_cannot_be_are_refused_by_their_field(
    product: Product, autoscale: dict[str, int], pointer: str
) -> None:
    ada = await product.sign_up()
    project = await ada.post("/v1/projects", {"name": "P"})
    body = {"project": project["slug"], "name": "Web", "processes": web(autoscale=autoscale)}
    refused = await ada.send("POST", "/v1/apps", body)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)
