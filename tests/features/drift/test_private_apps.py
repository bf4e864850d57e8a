"""Private apps: no route and no name, reached inside their organization alone. Tried on the simulator by the policies it holds."""

from __future__ import annotations

from typing import Any

from kovra.adapters.cluster.simulator import Simulator
from kovra.adapters.cluster.simulator.network import Network
from kovra.foundation.ids import decode
from tests.features.drift.conftest import until
from tests.features.drift.test_proofs import proven, seen
from tests.support.product import App, Caller, Product

WORLD = "203.0.113.10:80"


async def on_plan(product: Product, caller: Caller, plan: str) -> None:
    await product.sql(
        "update organizations set plan = $2 where id = $1", decode("org", caller.organization["id"]), plan
    )


async def business(running: Product, name: str = "Ada") -> Caller:
    caller = await running.sign_up(name)
    await on_plan(running, caller, "business")
    return caller


def namespace(app: App) -> str:
    return "kv-" + str(app.environment["id"])[4:]


def reaches(simulator: Simulator, app: App, target: str) -> bool:
    """Whether an instance of the app gets a connection."""
    pods = [p for p in simulator.store.list("Pod", namespace(app)) if "deletionTimestamp" not in p["metadata"]]
    return Network(simulator.store).connect(pods[-1], target).startswith("open ")


async def switched(app: App, **change: Any) -> Any:
    """The app environment after a change of who reaches it, when its instances were replaced."""
    shown = await app.caller.patch(app.path, change)

    async def renewed() -> bool:
        listed = (await app.caller.get(f"/v1/deployments?app={app.app['id']}"))["data"]
        return listed[0]["source"]["kind"] == "exposure" and listed[0]["outcome"] is not None

    await until(renewed)
    return shown


async def test_what_is_made_private_loses_its_route_and_its_name(running: Product, simulator: Simulator) -> None:
    app = await (await business(running)).app()
    assert (await app.deploy())["outcome"] == "live"
    assert simulator.store.list("HTTPRoute", namespace(app))
    assert reaches(simulator, app, WORLD)
    shown = await switched(app, exposure="private")
    assert (shown["url"], shown["exposure"], shown["egress"]) == (None, "private", "none")
    assert shown["internal_host"] == f"web.{namespace(app)}.svc"
    assert simulator.store.list("HTTPRoute", namespace(app)) == []
    assert not reaches(simulator, app, WORLD)
    assert reaches(simulator, app, "web:8080")
    assert (await app.deploy(image="registry.test/kovra/ok:2"))["outcome"] == "live"
    assert simulator.store.list("HTTPRoute", namespace(app)) == []
    (event,) = await app.caller.events("app_environment.updated", app.pair["id"])
    assert event["payload"]["changed"] == ["exposure"]
    shown = await switched(app, exposure="public")
    assert shown["url"] == app.pair["url"]
    assert simulator.store.list("HTTPRoute", namespace(app))
    assert reaches(simulator, app, WORLD)


async def test_the_route_goes_at_once_while_a_deployment_is_under_way(running: Product, simulator: Simulator) -> None:
    checks = {"readiness": {"path": "/healthz"}}
    app = await (await business(running)).app(processes={"web": {"port": 8080, "checks": checks}})
    assert (await app.deploy())["outcome"] == "live"
    going_on = await app.start(image="registry.test/kovra/never-ready:1")

    async def is_verifying() -> bool:
        return bool((await app.caller.get(f"/v1/deployments/{going_on['id']}"))["phase"] == "verifying")

    async def is_closed() -> bool:
        return not reaches(simulator, app, WORLD)

    await until(is_verifying)
    await app.caller.patch(app.path, {"exposure": "private"})

    async def is_gone() -> bool:
        return not simulator.store.list("HTTPRoute", namespace(app))

    await until(is_gone)
    assert (await app.caller.get(f"/v1/deployments/{going_on['id']}"))["outcome"] is None
    await app.caller.post(f"/v1/deployments/{going_on['id']}/actions/cancel")
    assert (await app.finished(going_on))["outcome"] == "canceled"
    await until(is_closed)
    assert await is_gone()


async def test_what_is_private_from_the_start_never_has_a_route(running: Product, simulator: Simulator) -> None:
    app = await (await business(running)).app()
    await app.caller.patch(app.path, {"exposure": "private", "egress": "internet"})
    made = await app.deploy()
    assert made["outcome"] == "live"
    assert simulator.store.list("HTTPRoute", namespace(app)) == []
    assert reaches(simulator, app, WORLD)
    shown = await app.caller.patch(app.path, {"egress": None})
    assert shown["egress"] == "none"


async def test_drift_knows_that_there_is_no_route(running: Product, simulator: Simulator) -> None:
    app = await (await business(running)).app()
    assert (await app.deploy())["outcome"] == "live"
    await switched(app, exposure="private")

    async def in_sync() -> bool:
        return bool((await app.caller.get(f"{app.path}/drift"))["state"] == "in_sync")

    await until(in_sync)
    assert simulator.store.list("HTTPRoute", namespace(app)) == []


async def test_private_networking_is_refused_below_the_business_plan(running: Product) -> None:
    """T073: by the API, and for what was private before a downgrade; being public again is never refused."""
    ada = await running.sign_up()
    app = await ada.app()
    for plan in ("free", "team"):
        await on_plan(running, ada, plan)
        for change in ({"exposure": "private"}, {"egress": "none"}):
            refused = await ada.send("PATCH", app.path, change)
            assert (refused.status_code, refused.json()["code"]) == (403, "plan_lacks_private_networking")
    assert (await app.now())["exposure"] == "public"
    await on_plan(running, ada, "business")
    await ada.patch(app.path, {"exposure": "private"})
    await on_plan(running, ada, "free")
    refused = await ada.send("PATCH", app.path, {"egress": "internet"})
    assert refused.json()["code"] == "plan_lacks_private_networking"
    # What else is changed about it is no business of the plan, and nobody is exposed by a downgrade.
    assert (await ada.patch(app.path, {"watch_window_s": 0}))["exposure"] == "private"
    assert (await ada.patch(app.path, {"exposure": "public"}))["url"]


async def test_environments_reach_private_apps_of_their_organization_by_plan(
    running: Product, simulator: Simulator
) -> None:
    """T137: on (business): allowed; downgraded: blocked again; public apps never; another organization's never."""
    ada, eve = await business(running), await business(running, "Eve")
    private, public, here, theirs = [await who.app() for who in (ada, ada, ada, eve)]
    await ada.patch(private.path, {"exposure": "private"})
    for app in (private, public, here, theirs):
        assert (await app.deploy())["outcome"] == "live"
    inside, outside = f"web.{namespace(private)}.svc:8080", f"web.{namespace(public)}.svc:8080"
    assert reaches(simulator, here, inside)
    assert not reaches(simulator, here, outside)
    assert not reaches(simulator, theirs, inside)
    tried = seen(await proven(theirs))
    assert tried["other_organization_private"] == "closed"
    await on_plan(running, ada, "free")

    async def is_blocked() -> bool:
        return not reaches(simulator, here, inside)

    await until(is_blocked)
    assert reaches(simulator, private, "web:8080")
    assert simulator.store.list("HTTPRoute", namespace(private)) == []
    proof = await proven(here)
    assert (proof["state"], seen(proof)["other_environment_private"]) == ("proven", "closed")
