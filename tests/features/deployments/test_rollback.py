"""Rolling back: what comes back, what stays, what cannot, and when Kovra does it by itself."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from kovra.foundation.ids import decode
from tests.support.product import App, Product

OK, OTHER = "registry.test/kovra/ok:1", "registry.test/kovra/ok:2"


async def two_releases(running: Product) -> tuple[App, dict[str, Any], dict[str, Any]]:
    """An app whose second release differs from the first in its image, a variable and a secret."""
    app = await (await running.sign_up()).app()
    found = []
    for number, image in ((1, OK), (2, OTHER)):
        await app.caller.patch(f"{app.path}/config", {"vars": {"LEVEL": str(number)}})
        await app.caller.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": f"value-of-release-{number}"}})
        found.append((await app.deploy(image=image))["release"])
    return app, found[0], found[1]


async def roll_back(app: App, **body: Any) -> Any:
    return await app.caller.post(f"{app.path}/actions/rollback", body)


async def secret_version(app: App) -> int:
    (secret,) = (await app.caller.get(f"{app.path}/secrets"))["data"]
    return int(secret["version"])


PARTS = ("image", "config", "secrets")


@pytest.mark.parametrize("off", [(), ("image",), ("config",), ("secrets",)])
async def test_each_part_comes_back_or_stays_as_asked(running: Product, off: tuple[str, ...]) -> None:
    """The dry run says what then happens, by name, and changes nothing."""
    app, first, second = await two_releases(running)
    restore = {part: part not in off for part in PARTS}
    diff = await roll_back(app, release=first["id"], restore=restore, dry_run=True)
    assert (diff["image"] is None) == ("image" in off)
    assert diff["config"] == ({} if "config" in off else {"added": [], "removed": [], "changed": ["LEVEL"]})
    assert diff["secrets"] == ({} if "secrets" in off else {"API_KEY": {"from": 2, "to": 1, "value": "changed"}})
    assert "value-of-release" not in str(diff)
    assert (await app.now())["current_release"]["id"] == second["id"]

    done = await app.finished(await roll_back(app, release=first["id"], restore=restore))
    assert (done["outcome"], done["release"]["number"]) == ("live", 3)
    assert done["release"]["digest"] == (second if "image" in off else first)["digest"]
    assert (await app.caller.get(f"{app.path}/config"))["vars"] == {"LEVEL": "2" if "config" in off else "1"}
    assert await secret_version(app) == (2 if "secrets" in off else 1)
    assert running_values(running, app) == {
        "LEVEL": "2" if "config" in off else "1",
        "API_KEY": f"value-of-release-{2 if 'secrets' in off else 1}",
    }


def running_values(running: Product, app: App) -> dict[str, str]:
    """What the pods get."""
    assert running.simulator is not None
    namespace = f"kv-{app.environment['id'][4:]}"
    pods = running.simulator.store.list("Pod", namespace)
    (pod,) = (pod for pod in pods if "deletionTimestamp" not in pod["metadata"])  # the former one may still drain
    (name,) = {source["secretRef"]["name"] for source in pod["spec"]["containers"][0]["envFrom"]}
    secret = running.simulator.store.find("Secret", namespace, name)
    assert secret is not None
    data = secret["data"]
    return {k: base64.b64decode(v).decode() for k, v in data.items() if k in ("LEVEL", "API_KEY")}


async def test_nothing_to_restore_and_a_release_of_elsewhere_are_refused_by_field(running: Product) -> None:
    app, first, _ = await two_releases(running)
    other, elsewhere, _ = await two_releases(running)
    before = (await app.caller.get(f"/v1/deployments?app={app.app['id']}"))["data"]
    for body, pointer in (
        ({"release": first["id"], "restore": dict.fromkeys(PARTS, False)}, "/restore"),
        ({"release": elsewhere["id"]}, "/release"),
        ({"release": 99}, "/release"),
        ({"release": "rel_nothing"}, "/release"),
    ):
        refused = await app.caller.send("POST", f"{app.path}/actions/rollback", body)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer), refused.text
    assert (await app.caller.get(f"/v1/deployments?app={app.app['id']}"))["data"] == before
    assert other.pair["id"] != app.pair["id"]


async def test_what_cannot_be_restored_is_said_and_the_rest_can_be(running: Product) -> None:
    """A value that does not open and a version that is gone are reasons, in the release and in the refusal."""
    app, first, _ = await two_releases(running)
    release = f"/v1/releases/{first['id']}"
    assert (await app.caller.get(release))["rollbackable"] == {"value": True, "reasons": []}
    revision = await running.sql("select config_revision_id from releases where id = $1", decode("rel", first["id"]))
    await running.sql(
        "update config_revisions set vars = set_byte(vars, length(vars) - 1, get_byte(vars, length(vars) - 1) # 1) "
        "where id = $1",
        revision[0][0],
    )
    said = (await app.caller.get(release))["rollbackable"]
    assert (said["value"], len(said["reasons"])) == (False, 1)
    assert said["reasons"][0].startswith("config: ")
    refused = await app.caller.send("POST", f"{app.path}/actions/rollback", {"release": first["id"]})
    assert (refused.status_code, refused.json()["code"]) == (409, "cannot_restore")
    assert refused.json()["facts"]["cannot_restore"] == said["reasons"]
    diff = await roll_back(app, release=first["id"], dry_run=True)
    assert (diff["cannot_restore"], diff["config"]) == (said["reasons"], {})
    without = {"image": True, "config": False, "secrets": True}
    done = await app.finished(await roll_back(app, release=first["id"], restore=without))
    assert done["outcome"] == "live"
    assert running_values(running, app) == {"LEVEL": "2", "API_KEY": "value-of-release-1"}


DIES_LATER = {"web": {"port": 8080}, "consumer": {"command": ["sleep", "36"]}}
"""With a process that is ready, goes live, and ends after 1.8 s at the simulator's speed."""


async def goes_bad(running: Product, **settings: Any) -> tuple[App, dict[str, Any], dict[str, Any]]:
    """An app whose second release goes live and then crashes again and again within an hour's watch window."""
    app = await (await running.sign_up()).app()
    first = await app.deploy()
    await app.caller.patch(app.path, {"watch_window_s": 3600, **settings})
    await app.caller.patch(f"/v1/apps/{app.app['id']}", {"processes": DIES_LATER})
    second = await app.deploy(image=OTHER)
    assert (second["outcome"], (await app.now())["health"]) == ("live", "watching")
    return app, first, second


async def until_degraded(app: App) -> Any:
    for _ in range(400):
        facts = await app.caller.events("app_environment.health_changed", app.pair["id"])
        if facts and facts[-1]["payload"]["after"] == "degraded":
            return facts[-1]
        await asyncio.sleep(0.05)
    raise AssertionError("never seen")


async def ended(app: App, number: int) -> Any:
    """The deployment of this number, once it has its outcome."""
    for _ in range(400):
        newest, *_ = (await app.caller.get(f"/v1/deployments?app={app.app['id']}&sort=-created_at"))["data"]
        if newest["number"] == number and newest["outcome"]:
            return newest
        await asyncio.sleep(0.05)
    raise AssertionError(newest)


async def test_what_goes_bad_after_it_went_live_is_rolled_back_as_soon_as_it_is_seen(running: Product) -> None:
    """Not when the window ends: that is an hour away. Where it is not asked for, it is said and left."""
    (app, first, second), (left, _, bad) = await asyncio.gather(
        goes_bad(running, auto_rollback=True), goes_bad(running)
    )
    await asyncio.gather(until_degraded(app), until_degraded(left))
    back = await ended(app, 3)
    assert (back["trigger"], back["outcome"]) == ("auto_rollback", "live")
    assert back["release"]["digest"] == first["release"]["digest"]
    assert back["previous_release_id"] == second["release"]["id"]
    now = await app.now()
    assert (now["current_release"]["id"], now["auto_deploy_paused"]) == (back["release"]["id"], True)
    assert (await app.caller.get(f"/v1/deployments/{second['id']}"))["outcome"] == "live", "a verdict never changes"
    stays = await left.now()
    assert (stays["health"], stays["current_release"]["id"]) == ("degraded", bad["release"]["id"])
    assert len((await left.caller.get(f"/v1/deployments?app={left.app['id']}"))["data"]) == 2
