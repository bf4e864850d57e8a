"""Canary steps: the new release beside the old one, a growing share of the requests, each step judged."""

from __future__ import annotations

from typing import Any

import pytest

from kovra.adapters.cluster.connect import from_kubeconfig
from kovra.adapters.cluster.simulator import Simulator
from tests.features.projects.test_purging import until
from tests.support.product import App, Product

READY = {"web": {"port": 8080, "instances": 2, "checks": {"readiness": {"path": "/healthz"}}}}
LONG = 3600


def namespace(app: App) -> str:
    return "kv-" + str(app.environment["id"])[4:]


def weights(simulator: Simulator, app: App) -> dict[str, int | None]:
    """Service → its share, as the route says; 1 where it says none (Gateway API)."""
    (route,) = simulator.store.list("HTTPRoute", namespace(app))
    (rule,) = route["spec"]["rules"]
    return {to["name"]: to.get("weight") for to in rule["backendRefs"]}


def releases(simulator: Simulator, app: App) -> dict[str, tuple[str, int]]:
    """Process → the release and how many instances its Deployment wants."""
    return {
        d["metadata"]["labels"]["kovra.io/process"]: (
            d["spec"]["template"]["metadata"]["labels"]["kovra.io/release"], d["spec"]["replicas"],
        )
        for d in simulator.store.list("Deployment", namespace(app))
    }  # fmt: skip


def by_steps(*steps: tuple[int, int]) -> dict[str, Any]:
    return {"rollout": {"strategy": "canary", "steps": [{"weight": w, "pause_s": p} for w, p in steps]}}


async def live(running: Product, *steps: tuple[int, int]) -> App:
    """An app that serves release 1, whose next one comes by these steps."""
    app = await (await running.sign_up()).app(processes=READY)
    assert (await app.deploy())["outcome"] == "live"
    await app.caller.patch(app.path, by_steps(*steps))
    return app


async def led(app: App, deployment: dict[str, Any], weight: int) -> Any:
    """The deployment once so many of a hundred requests go to its release."""

    async def is_led() -> Any:
        found = await app.caller.get(f"/v1/deployments/{deployment['id']}")
        assert found["outcome"] is None, found
        return found if found["canary"] and found["canary"]["weight"] == weight else None

    await until(is_led)
    return await is_led()


async def test_it_takes_over_step_by_step(running: Product, simulator: Simulator) -> None:
    app = await live(running, (10, 0), (50, 0), (100, 0))
    done = await app.deploy(image="registry.test/kovra/ok:2")
    assert (done["outcome"], done["canary"]) == ("live", {"step": 3, "steps": 3, "weight": 100})
    told = await app.caller.events("deployment.canary_stepped", done["id"])
    assert [(e["payload"]["step"], e["payload"]["weight"]) for e in told] == [(1, 10), (2, 50), (3, 100)]

    async def is_tidy() -> bool:
        return releases(simulator, app) == {"web": ("2", 2)} and weights(simulator, app) == {"web": 1}

    await until(is_tidy)
    assert [s["metadata"]["name"] for s in simulator.store.list("Service", namespace(app))] == ["web"]


async def test_the_old_release_keeps_its_share_until_it_is_promoted(running: Product, simulator: Simulator) -> None:
    app = await live(running, (10, LONG), (50, LONG))
    made = await app.start(image="registry.test/kovra/ok:2")
    found = await led(app, made, 10)
    assert (found["phase"], found["canary"]["step"]) == ("rolling_out", 1)
    assert weights(simulator, app) == {"web": 90, "web--web--canary": 10}
    assert releases(simulator, app) == {"web": ("1", 2), "web--canary": ("2", 1)}
    assert (await app.now())["current_release"]["number"] == 1
    await app.caller.post(f"/v1/deployments/{made['id']}/actions/promote")
    assert (await app.finished(made))["outcome"] == "live"
    assert (await app.now())["current_release"]["number"] == 2
    again = await app.caller.send("POST", f"/v1/deployments/{made['id']}/actions/promote")
    assert (again.status_code, again.json()["code"]) == (409, "not_a_canary")


async def test_what_crashes_beside_the_old_release_gets_nothing(running: Product, simulator: Simulator) -> None:
    app = await live(running, (10, LONG))
    done = await app.deploy(image="registry.test/kovra/crash:1")
    assert (done["outcome"], done["reason"]["code"]) == ("failed", "crash_loop")
    assert done["reason"]["evidence"][0] == "canary step 1 of 1 (10 % of requests)"
    assert done["restored_release"] == (await app.now())["current_release"]["id"]
    assert releases(simulator, app) == {"web": ("1", 2)}
    assert weights(simulator, app) == {"web": 1}


async def test_what_goes_bad_in_a_later_step_is_led_back_to_nothing(running: Product, simulator: Simulator) -> None:
    """Here by its growing: the cluster has no room for a second instance of it."""
    app = await live(running, (10, 2), (100, LONG))
    made = await app.start(image="registry.test/kovra/ok:2")
    await led(app, made, 10)
    client = await from_kubeconfig(simulator.kubeconfig())
    tight = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "tight", "namespace": namespace(app)}}
    await client.apply({**tight, "spec": {"hard": {"pods": "3"}}})
    await client.close()
    done = await app.finished(made)
    assert (done["outcome"], done["reason"]["code"]) == ("failed", "quota_exceeded")
    assert done["reason"]["evidence"][0] == "canary step 2 of 2 (100 % of requests)"
    assert (weights(simulator, app), releases(simulator, app)) == ({"web": 1}, {"web": ("1", 2)})


async def test_one_that_is_canceled_leaves_the_old_release_as_it_was(running: Product, simulator: Simulator) -> None:
    app = await live(running, (10, LONG))
    made = await app.start(image="registry.test/kovra/ok:2")
    await led(app, made, 10)
    await app.caller.post(f"/v1/deployments/{made['id']}/actions/cancel")
    assert (await app.finished(made))["outcome"] == "canceled"
    assert (weights(simulator, app), releases(simulator, app)) == ({"web": 1}, {"web": ("1", 2)})
    assert (await app.now())["current_release"]["number"] == 1


async def test_what_goes_back_goes_at_once(running: Product) -> None:
    """A rollback and a restart know no steps; neither does the first release."""
    app = await live(running, (10, LONG))
    made = await app.start(image="registry.test/kovra/ok:2")
    await led(app, made, 10)
    await app.caller.post(f"/v1/deployments/{made['id']}/actions/promote")
    assert (await app.finished(made))["outcome"] == "live"
    back = await app.finished(await app.caller.post(f"{app.path}/actions/rollback", {"release": 1}))
    assert (back["outcome"], back["canary"]) == ("live", None)
    again = await app.finished(await app.caller.post(f"{app.path}/actions/restart"))
    assert (again["outcome"], again["canary"]) == ("live", None)


async def test_maintenance_and_canary_do_not_undo_each_other(running: Product, simulator: Simulator) -> None:
    """The way to the app is made anew in the midst of it, with its shares."""
    app = await live(running, (10, LONG))
    made = await app.start(image="registry.test/kovra/ok:2")
    await led(app, made, 10)
    name = f"aev-{app.pair['id'][4:]}"
    simulator.store.drop("HTTPRoute", namespace(app), name)
    await app.caller.product.sql("update organizations set plan = 'business'")
    await app.caller.patch(app.path, {"exposure": "private"})
    await app.caller.patch(app.path, {"exposure": "public"})

    async def is_back() -> bool:
        found = simulator.store.list("HTTPRoute", namespace(app))
        return bool(found) and weights(simulator, app) == {"web": 90, "web--web--canary": 10}

    await until(is_back)
    await app.caller.post(f"/v1/deployments/{made['id']}/actions/cancel")
    assert (await app.finished(made))["outcome"] == "canceled"


@pytest.mark.parametrize(
    "rollout",
    [
        {"strategy": "canary"}, {"strategy": "canary", "steps": []}, {"strategy": "rolling", "steps": [{"weight": 1, "pause_s": 0}]},
        {"strategy": "canary", "steps": [{"weight": 50, "pause_s": 0}, {"weight": 50, "pause_s": 0}]},
        {"strategy": "canary", "steps": [{"weight": 0, "pause_s": 0}]}, {"strategy": "canary", "steps": [{"weight": 101, "pause_s": 0}]},
        {"strategy": "canary", "steps": [{"weight": 10}]}, {"strategy": "blue-green"}, None,
    ],
)  # fmt: skip
async def test_steps_that_make_no_sense_are_refused(product: Product, rollout: Any) -> None:
    app = await (await product.sign_up()).app()
    refused = await app.caller.send("PATCH", app.path, {"rollout": rollout})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"].startswith("/rollout")
    assert (await app.now())["rollout"] == {"strategy": "rolling", "steps": []}
