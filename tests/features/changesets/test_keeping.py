"""A change set is applied once, whole, to what it was made against, and by who may make each of its changes."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

from kovra.foundation.ids import decode
from tests.features.changesets.conftest import Shop, changes
from tests.support.product import Caller

OK = "registry.test/kovra/ok:1"


async def _apply(shop: Shop, change_set: dict[str, Any], by: Caller | None = None, tag: str | None = None) -> Any:
    tag = tag or await shop.tag(change_set)
    return await (by or shop.caller).send("POST", f"/v1/change-sets/{change_set['id']}/actions/apply", If_Match=tag)


async def _apps(shop: Shop) -> list[str]:
    return sorted(a["slug"] for a in (await shop.caller.get(f"/v1/apps?project={shop.slug}"))["data"])


async def test_one_that_is_stale_says_what_was_changed_and_by_whom_and_does_nothing(shop: Shop) -> None:
    await shop.make(shop.state({"web": {}}))
    planned = await shop.ready(shop.state({"web": {"drain_s": 20}, "worker": {}}))
    other = await shop.caller.product.member(shop.caller, "member")
    app = (await shop.caller.get(f"/v1/apps?project={shop.slug}"))["data"][0]
    pair = (await shop.caller.get(f"/v1/app-environments?app={app['id']}"))["data"][0]
    await other.patch(f"/v1/app-environments/{pair['id']}/config", {"vars": {"A": "1"}})
    answer = await _apply(shop, planned)
    assert answer.status_code == 409
    problem = answer.json()
    assert problem["code"] == "change_set_stale"
    assert problem["facts"]["changed"] == [{"app": "web", "part": "config"}]
    (fact,) = problem["facts"]["by"]
    assert (fact["type"], fact["actor"], fact["app"]) == ("config.changed", other.user["id"], "web")
    assert await _apps(shop) == ["web"]


async def test_an_app_that_came_meanwhile_makes_it_stale(shop: Shop) -> None:
    planned = await shop.ready(shop.state({"web": {}}))
    await shop.caller.post("/v1/apps", {"project": shop.slug, "name": "Web", "slug": "web"})
    answer = await _apply(shop, planned)
    assert (answer.status_code, answer.json()["facts"]["changed"]) == (409, [{"app": "web", "part": "app"}])


async def test_it_is_applied_as_it_was_seen_and_once(shop: Shop) -> None:
    planned = await shop.ready(shop.state({"web": {"config": {"A": "1"}}}))
    path = f"/v1/change-sets/{planned['id']}/actions/apply"
    assert (await shop.caller.send("POST", path)).status_code == 428
    assert (await _apply(shop, planned, tag='"old"')).status_code == 412
    tag = await shop.tag(planned)
    answers = await asyncio.gather(*(_apply(shop, planned, tag=tag) for _ in range(4)))
    assert {a.status_code for a in answers} == {200}, [a.text for a in answers]
    assert {a.json()["state"] for a in answers} == {"applied"}
    again = await _apply(shop, planned, tag=tag)
    assert (again.status_code, again.json()["state"]) == (200, "applied")
    assert len(await shop.caller.events("change_set.applied")) == 1
    assert len(await shop.caller.events("config.changed")) == 1


async def test_all_of_it_is_done_or_nothing(shop: Shop) -> None:
    """Planned while the name was free; the cron job that is one too many comes last and takes the app along."""
    jobs: dict[str, Any] = {f"j{n}": {"schedule": "0 1 * * *", "command": ["x"]} for n in range(50)}
    await shop.make(shop.state({"web": {"cron_jobs": jobs}}))
    planned = await shop.plan(
        shop.state({"api": {}, "web": {"cron_jobs": {"more": {"schedule": "0 1 * * *", "command": ["x"]}}}})
    )
    assert planned["state"] == "failed"
    assert planned["reason"]["code"] == "too_many_cron_jobs"
    assert planned["reason"]["errors"][0]["pointer"] == "/state/apps/web/cron_jobs/more"
    assert await _apps(shop) == ["web"]


async def test_values_of_config_vars_are_shown_to_who_may_read_them_and_forgotten_once_applied(shop: Shop) -> None:
    product = shop.caller.product
    planned = await shop.ready(shop.state({"web": {"config": {"TOKEN": "only-for-readers"}}}))
    assert changes(planned)["config.TOKEN"] == (None, "only-for-readers")
    viewer = await product.member(shop.caller, "viewer")
    seen = await viewer.send("GET", f"/v1/change-sets/{planned['id']}")
    assert "only-for-readers" not in seen.text
    assert [c["hidden"] for c in seen.json()["changes"] if c["part"] == "config"] == [True]
    listed = await shop.caller.send("GET", f"/v1/change-sets?project={shop.slug}&state=ready")
    assert planned["id"] in listed.text
    assert "only-for-readers" not in listed.text
    applied = await shop.apply(planned)
    assert "config.TOKEN" in changes(applied)
    assert "only-for-readers" not in str(await shop.caller.get(f"/v1/change-sets/{planned['id']}"))
    assert "only-for-readers" not in str(await shop.caller.events())


async def test_values_are_not_guessed_by_who_may_not_write_them(shop: Shop) -> None:
    made = await shop.caller.post(
        "/v1/tokens", {"name": "t", "permissions": ["apps:read", "apps:update", "projects:read"]}
    )
    token = Caller(shop.caller.product, token=made["token"])
    body = {"environment": "production", "state": shop.state({"web": {"config": {"A": "guess"}}})}
    answer = await token.send("POST", "/v1/change-sets", body)
    assert (answer.status_code, answer.json()["missing_permission"]) == (403, "config:write")


async def test_each_change_asks_for_its_own_right(shop: Shop) -> None:
    await shop.make(shop.state({"web": {}}))
    member = await shop.caller.product.member(shop.caller, "member")
    going = await shop.ready(shop.state({"api": {}}, prune=True))
    answer = await _apply(shop, going, member)
    assert (answer.status_code, answer.json()["missing_permission"]) == (403, "apps:delete")
    assert await _apps(shop) == ["web"]
    fine = await shop.ready(shop.state({"web": {"drain_s": 3}}))
    assert (await _apply(shop, fine, member)).status_code == 200
    viewer = await shop.caller.product.member(shop.caller, "viewer")
    other = await shop.ready(shop.state({"web": {"drain_s": 4}}))
    assert (await _apply(shop, other, viewer)).status_code == 403


async def test_what_a_protected_environment_runs_is_changed_by_who_may_use_it(shop: Shop) -> None:
    await shop.make(shop.state({"web": {}}))
    environment = (await shop.caller.get(f"/v1/environments?project={shop.slug}"))["data"][0]
    await shop.caller.patch(f"/v1/environments/{environment['id']}", {"protected": True})
    member = await shop.caller.product.member(shop.caller, "member")
    for wanted in ({"config": {"A": "1"}}, {"watch_window_s": 9}, {"image": OK}):
        answer = await _apply(shop, await shop.ready(shop.state({"web": wanted})), member)
        assert (answer.status_code, answer.json()["missing_permission"]) == (403, "environments:use_protected"), wanted


async def test_a_token_for_one_app_neither_sees_nor_makes_one(shop: Shop) -> None:
    planned = await shop.ready(shop.state({"web": {}, "api": {}}))
    await shop.apply(planned)
    app = (await shop.caller.get(f"/v1/apps?project={shop.slug}&slug=web"))["data"][0]
    rights = ["apps:read", "apps:update", "config:write", "projects:read", "environments:read"]
    made = await shop.caller.post(
        "/v1/tokens", {"name": "t", "permissions": rights, "project": shop.project["id"], "app": app["id"]}
    )
    token = Caller(shop.caller.product, token=made["token"])
    body = {"environment": "production", "state": shop.state({"api": {}})}
    answer = await token.send("POST", "/v1/change-sets", body)
    assert (answer.status_code, answer.json()["code"]) == (403, "narrowed_to_an_app")
    assert (await token.send("GET", f"/v1/change-sets/{planned['id']}")).status_code == 404
    assert (await token.get("/v1/change-sets"))["data"] == []
    assert list((await token.get(f"/v1/projects/{shop.project['id']}/export"))["apps"]) == ["web"]


async def test_one_that_was_made_yesterday_is_not_applied(shop: Shop) -> None:
    planned = await shop.ready(shop.state({"web": {}}))
    connection = await asyncpg.connect(**shop.caller.product.database.superuser())  # type: ignore[arg-type]
    late = "update change_sets set expires_at = now() - interval '1 second' where id = $1"
    await connection.execute(late, decode("cs", planned["id"]))
    await connection.close()
    answer = await _apply(shop, planned)
    assert (answer.status_code, answer.json()["code"]) == (410, "change_set_expired")
    assert (await shop.caller.get(f"/v1/change-sets/{planned['id']}"))["state"] == "expired"
    assert await _apps(shop) == []


async def test_everything_wrong_with_a_file_is_said_at_once_and_where(shop: Shop) -> None:
    wanted = {
        "web": {
            "image": "10.0.0.1/a:1",
            "drain_s": None,
            "config": {"1A": "x", "KOVRA_X": "y"},
            "secrets": ["A-B"],
            "cron_jobs": {"n": {"schedule": "61 * * * *", "time_zone": "Nowhere/Land"}},
        }
    }
    answer = await shop.caller.send(
        "POST", "/v1/change-sets", {"environment": "production", "state": shop.state(wanted)}
    )
    assert answer.status_code == 422
    assert {(e["pointer"].removeprefix("/state/apps/web"), e["code"]) for e in answer.json()["errors"]} == {
        ("/image", "registry_not_allowed"),
        ("/drain_s", "null_not_allowed"),
        ("/config/1A", "name_invalid"),
        ("/config/KOVRA_X", "name_reserved"),
        ("/secrets/0", "name_invalid"),
        ("/cron_jobs/n/schedule", "schedule_invalid"),
        ("/cron_jobs/n/time_zone", "time_zone_unknown"),
    }


async def test_what_only_the_project_tells_fails_the_plan_and_names_the_field(shop: Shop) -> None:
    await shop.make(shop.state({"web": {"config": {"A": "1"}}}))
    for wanted, pointer, code in (
        ({"web": {"processes": {"web": {"port": None}}}}, "/state/apps/web/processes/web/port", "port_needed"),
        ({"web": {"scale": {"nope": 1}}}, "/state/apps/web/scale/nope", "unknown_process"),
        ({"api": {"cron_jobs": {"n": {"schedule": "0 1 * * *"}}}}, "/state/apps/api/cron_jobs/n/command", "missing"),
    ):
        planned = await shop.plan(shop.state(wanted))
        assert planned["state"] == "failed", wanted
        assert (planned["reason"]["errors"][0]["pointer"], planned["reason"]["errors"][0]["code"]) == (pointer, code)
    own = {"production": {"apps": {"nope": {"watch_window_s": 1}}}}
    planned = await shop.plan(shop.state({}, environments=own))
    assert (planned["reason"]["code"], planned["state"]) == ("unknown_app", "failed")
    answer = await _apply(shop, planned)
    assert (answer.status_code, answer.json()["code"]) == (409, "change_set_failed")
