"""The verbs that say how many instances run."""

from __future__ import annotations

import pytest

from tests.support.commands import kovra
from tests.support.product import App, Product


@pytest.fixture(scope="module")
async def shop(running: Product) -> App:
    app = await (await running.sign_up("Ada")).app()
    await app.deploy()
    return app


@pytest.fixture(autouse=True)
def _as_its_owner(at_served: None, shop: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOVRA_TOKEN", shop.caller.token or "")


async def test_a_number_is_scaled_to_and_bounds_are_kept_for_the_next_deployment(shop: App) -> None:
    name = f"{shop.project['slug']}/{shop.app['slug']}"
    done = await kovra("scale", name, "web=2", "-o", "json")
    assert (done.code, done.json["instances"]) == (0, {"web": {"ready": 2, "wanted": 2}}), done.err
    assert (await kovra("scale", name, "web")).code == 5
    assert (await kovra("scale", name, "absent=2")).code == 5
    said = await kovra("autoscale", name, "web", "--min", "2", "--max", "3", "--cpu", "70")
    assert (said.code, said.out) == (0, "web: 2 to 3 instances, from the next deployment on\n"), said.err
    app = await shop.caller.get(f"/v1/apps/{shop.app['id']}")
    assert app["processes"]["web"]["autoscale"] == {"min": 2, "max": 3, "cpu": 70}
    assert (await kovra("autoscale", name, "web", "--max", "3")).code == 5
    assert (await kovra("autoscale", name, "absent", "--off")).code == 5
    assert (await kovra("autoscale", name, "web", "--off")).code == 0
    app = await shop.caller.get(f"/v1/apps/{shop.app['id']}")
    assert "autoscale" not in app["processes"]["web"]


async def test_a_volume_is_listed_and_removed_by_its_name(shop: App) -> None:
    name = f"{shop.project['slug']}/{shop.app['slug']}"
    disk = {"name": "data", "path": "/data", "size_gib": 1}
    for processes in ({"web": {"port": 8080, "volumes": [disk]}}, {"web": {"port": 8080}}):
        await shop.caller.patch(f"/v1/apps/{shop.app['id']}", {"processes": processes})
        assert (await shop.deploy())["outcome"] == "live"
    listed = await kovra("volumes", "list", name, "-o", "json")
    assert [(v["name"], v["state"]) for v in listed.json] == [("data", "detached")], listed.err
    volume = listed.json[0]["id"]
    assert (await kovra("volumes", "remove", volume, "--confirm", "wrong")).code == 5
    removed = await kovra("volumes", "remove", volume, "--confirm", "data", "-o", "json")
    assert (removed.code, removed.json["state"]) == (0, "removing"), removed.err
