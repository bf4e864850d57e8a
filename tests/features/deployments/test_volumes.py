"""Volumes of single instances: mounted, kept, grown, and removed only on purpose."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.features.projects.test_purging import delete, window_is_over
from tests.support.product import App, Product

DATA = {"name": "data", "path": "/var/lib/app", "size_gib": 2}
OTHER = "registry.test/kovra/ok:2"


def keeping(*volumes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"web": {"port": 8080, "volumes": list(volumes) or [DATA], **more}}


def objects(running: Product, app: App, kind: str) -> list[dict[str, Any]]:
    assert running.simulator is not None
    return running.simulator.store.list(kind, f"kv-{app.environment['id'][4:]}")


def claims(running: Product, app: App) -> dict[str, str]:
    """Sizes by uid: a claim that was made anew is another one."""
    return {
        c["metadata"]["uid"]: c["spec"]["resources"]["requests"]["storage"]
        for c in objects(running, app, "PersistentVolumeClaim")
    }


async def change(app: App, processes: dict[str, Any]) -> None:
    await app.caller.patch(f"/v1/apps/{app.app['id']}", {"processes": processes})


async def volumes(app: App) -> list[Any]:
    found: list[Any] = (await app.caller.get(f"/v1/volumes?app_environment={app.pair['id']}"))["data"]
    return found


async def until_gone(running: Product, app: App) -> None:
    async with asyncio.timeout(60):
        while claims(running, app):
            await asyncio.sleep(0.05)


async def test_a_volume_outlives_deployments_rollbacks_and_smaller_wishes(running: Product) -> None:
    app = await (await running.sign_up()).app(processes=keeping())
    assert (await app.deploy())["outcome"] == "live"
    (deployment,) = objects(running, app, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]) == (1, {"type": "Recreate"})
    assert pod["containers"][0]["volumeMounts"] == [{"name": "data", "mountPath": "/var/lib/app"}]
    assert pod["securityContext"]["fsGroup"] == 10_001
    (first,) = claims(running, app)
    await change(app, keeping({**DATA, "size_gib": 3}))
    assert (await app.deploy(image=OTHER))["outcome"] == "live"
    assert claims(running, app) == {first: "3Gi"}
    back = await app.finished(await app.caller.post(f"{app.path}/actions/rollback", {"release": 1}))
    assert (back["outcome"], claims(running, app)) == ("live", {first: "3Gi"})
    (shown,) = await volumes(app)
    assert (shown["name"], shown["process"], shown["size_gib"], shown["state"]) == ("data", "web", 3, "attached")
    failed = await app.deploy(image="registry.test/kovra/crash:1")
    assert (failed["outcome"], claims(running, app)) == ("failed", {first: "3Gi"})


async def test_a_detached_volume_keeps_what_is_in_it_until_it_is_removed_by_name(running: Product) -> None:
    app = await (await running.sign_up()).app(processes=keeping())
    await app.deploy()
    (volume,) = await volumes(app)
    path = f"/v1/volumes/{volume['id']}"
    refused = await app.caller.send("DELETE", f"{path}?confirm=data")
    assert (refused.status_code, refused.json()["code"]) == (409, "volume_attached")
    (first,) = claims(running, app)
    await change(app, {"web": {"port": 8080}})
    assert (await app.deploy())["outcome"] == "live"
    assert (list(claims(running, app)), (await volumes(app))[0]["state"]) == ([first], "detached")
    await change(app, keeping())
    assert (await app.deploy())["outcome"] == "live"
    assert (list(claims(running, app)), (await volumes(app))[0]["state"]) == ([first], "attached")
    await change(app, {"web": {"port": 8080}})
    assert (await app.deploy())["outcome"] == "live"
    refused = await app.caller.send("DELETE", f"{path}?confirm=other")
    assert (refused.status_code, refused.json()["code"]) == (422, "not_confirmed")
    viewer = await running.member(app.caller, "member")
    assert (await viewer.send("DELETE", f"{path}?confirm=data")).status_code == 403
    asked = await app.caller.ok("DELETE", f"{path}?confirm=data")
    assert asked["state"] == "removing"
    await until_gone(running, app)
    async with asyncio.timeout(60):
        while await volumes(app):
            await asyncio.sleep(0.05)
    (told,) = await app.caller.events("volume.removed", volume["id"])
    assert told["payload"]["name"] == "data"
    assert len(await app.caller.events("volume.removal_requested", volume["id"])) == 1


async def test_a_deleted_app_keeps_its_volumes_until_it_is_purged(running: Product) -> None:
    app = await (await running.sign_up()).app(processes=keeping())
    await app.deploy()
    (first,) = claims(running, app)
    await delete(app, "app")
    async with asyncio.timeout(60):
        while objects(running, app, "Deployment"):
            await asyncio.sleep(0.05)
    assert list(claims(running, app)) == [first]
    await app.caller.post(f"/v1/apps/{app.app['id']}/actions/restore")
    async with asyncio.timeout(60):
        while not objects(running, app, "Deployment"):
            await asyncio.sleep(0.05)
    assert list(claims(running, app)) == [first]
    await delete(app, "app")
    await window_is_over(running, app, "app")
    await until_gone(running, app)


async def test_storage_that_the_plan_does_not_have_is_refused_with_figures(running: Product) -> None:
    app = await (await running.sign_up()).app(processes=keeping({**DATA, "size_gib": 6}))
    assert (await app.deploy())["outcome"] == "live"
    more = [{**DATA, "size_gib": 6}, {"name": "more", "path": "/more", "size_gib": 5}]
    await change(app, keeping(*more))
    path, body = f"/v1/apps/{app.app['id']}/deployments", {"environment": "production"}
    refused = await app.caller.send("POST", path, body)
    assert (refused.status_code, refused.json()["code"]) == (409, "quota_exceeded")
    assert refused.json()["facts"]["quota"][0] == {
        "resource": "storage_gib", "asked": 11, "used": 0, "allowed": 10
    }  # fmt: skip
    await change(app, keeping(more[1]))
    refused = await app.caller.send("POST", path, body)
    assert refused.json()["facts"]["quota"][0]["used"] == 6, "what is kept counts, mounted or not"


@pytest.mark.parametrize(
    ("web", "pointer", "code"),
    [
        (keeping(instances=2), "/processes/web/instances", "single_instance"),
        (keeping(autoscale={"max": 2, "cpu": 50}), "/processes/web/autoscale", "single_instance"),
        (keeping(DATA, DATA), "/processes/web/volumes/1/name", "name_taken"),
        (keeping(DATA, {**DATA, "name": "b", "path": "/var/lib"}), "/processes/web/volumes/1/path", "path_not_allowed"),
        (keeping({**DATA, "path": "/etc/app"}), "/processes/web/volumes/0/path", "path_not_allowed"),
        (keeping({**DATA, "path": "/a/../b"}), "/processes/web/volumes/0/path", "string_pattern_mismatch"),
        (keeping({**DATA, "path": "/"}), "/processes/web/volumes/0/path", "string_pattern_mismatch"),
        (keeping({**DATA, "size_gib": 0}), "/processes/web/volumes/0/size_gib", "greater_than_equal"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_field(
    product: Product, web: dict[str, Any], pointer: str, code: str
) -> None:
    ada = await product.sign_up()
    project = await ada.post("/v1/projects", {"name": "P"})
    refused = await ada.send("POST", "/v1/apps", {"project": project["slug"], "name": "Web", "processes": web})
    (wrong, *_) = refused.json()["errors"]
    assert (refused.status_code, wrong["pointer"], wrong["code"]) == (422, pointer, code)


async def test_it_neither_shrinks_nor_runs_twice(running: Product) -> None:
    app = await (await running.sign_up()).app(processes=keeping())
    await app.deploy()
    smaller = {"processes": keeping({**DATA, "size_gib": 1})}
    refused = await app.caller.send("PATCH", f"/v1/apps/{app.app['id']}", smaller)
    assert (refused.status_code, refused.json()["code"]) == (422, "volume_shrinks")
    refused = await app.caller.send("POST", f"{app.path}/actions/scale", {"scale": {"web": 2}})
    assert (refused.status_code, refused.json()["code"]) == (422, "single_instance")
    assert (await app.finished(await app.caller.post(f"{app.path}/actions/scale", {"scale": {"web": 0}})))[
        "outcome"
    ] == "live"
