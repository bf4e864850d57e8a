"""The verbs that say who reaches an app."""

from __future__ import annotations

import pytest

from kovra.foundation.ids import decode
from tests.features.projects.test_purging import until
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


async def test_maintenance_is_refused_where_there_is_no_page_and_shown_where_there_is(shop: App) -> None:
    name = f"{shop.project['slug']}/{shop.app['slug']}"
    refused = await kovra("maintenance", "on", name)
    assert (refused.code, "page for maintenance" in refused.err) == (1, True)
    off = await kovra("maintenance", "off", name)
    assert off.out == f"{name}: maintenance off, at {shop.pair['url']}\n"
    assert "public" in (await kovra("status", name)).out
    await shop.caller.product.sql(
        "update app_environments set maintenance = true where id = $1", decode("aev", shop.pair["id"])
    )
    assert "maintenance" in (await kovra("status", name)).out
    await kovra("maintenance", "off", name)


async def test_a_canary_is_set_followed_and_promoted(shop: App) -> None:
    name = f"{shop.project['slug']}/{shop.app['slug']}"
    assert (await kovra("rollout", name)).out == "rolling\n"
    assert (await kovra("promote", name)).code == 1
    assert (await kovra("rollout", name, "--canary", "10")).code == 5
    made = await kovra("rollout", name, "--canary", "10:3600,50:60")
    assert made.out == "canary: 10 % for 3600 s, 50 % for 60 s\n"
    deployment = await shop.start(image="registry.test/kovra/ok:2")

    async def is_led() -> bool:
        found = await shop.caller.get(f"/v1/deployments/{deployment['id']}")
        return bool(found["canary"] and found["canary"]["weight"])

    await until(is_led)
    promoted = await kovra("promote", name, "-o", "json")
    assert (promoted.code, promoted.json["id"]) == (0, deployment["id"])
    assert (await shop.finished(deployment))["outcome"] == "live"
    assert (await kovra("rollout", name, "--rolling", "-o", "json")).json["rollout"]["steps"] == []


async def test_an_app_is_made_private_and_public_again(shop: App) -> None:
    name = f"{shop.project['slug']}/{shop.app['slug']}"
    shown = await kovra("expose", name)
    assert (shown.code, shown.out) == (0, f"public, at {shop.pair['url']}, reaches the internet\n")
    refused = await kovra("expose", name, "--private", "-o", "json")
    assert (refused.code, "plan_lacks_private_networking" in refused.err) == (4, True)
    org_id = decode("org", shop.caller.organization["id"])
    await shop.caller.product.sql("update organizations set plan = 'business' where id = $1", org_id)
    made = await kovra("expose", name, "--private")
    assert made.out == f"private, at {shop.pair['internal_host']}, does not reach the internet\n"
    whole = await kovra("expose", name, "--public", "--no-internet", "-o", "json")
    assert (whole.json["exposure"], whole.json["egress"]) == ("public", "none")
