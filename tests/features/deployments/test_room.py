"""What would not fit into an environment's quota is said before anything is applied."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.product import App, Caller, Product

LARGE = {"port": 8080, "size": "large"}
"""2 CPUs: with its successor beside it, half of what the plan free allows."""


def web(**more: Any) -> dict[str, Any]:
    return {"web": {**LARGE, **more}}


async def another(app: App, slug: str, processes: dict[str, Any]) -> App:
    """Another app in the same environment."""
    caller = app.caller
    body = {"project": app.project["slug"], "name": slug, "slug": slug, "image": "registry.test/kovra/ok:1"}
    made = await caller.post("/v1/apps", body | {"processes": processes})
    pair = (await caller.get(f"/v1/app-environments?app={made['id']}"))["data"][0]
    return App(caller=caller, project=app.project, environment=app.environment, app=made, pair=pair)


async def refused(caller: Caller, method: str, path: str, body: Any = None) -> dict[str, dict[str, int]]:
    """The figures of a refusal, by resource."""
    answer = await caller.send(method, path, body)
    assert (answer.status_code, answer.json()["code"]) == (409, "quota_exceeded"), answer.text
    return {over["resource"]: over for over in answer.json()["facts"]["quota"]}


async def usage(app: App) -> Any:
    return await app.caller.get(f"/v1/environments/{app.environment['id']}/usage")


def is_untouched(running: Product, app: App) -> bool:
    assert running.simulator is not None
    return running.simulator.store.find("Namespace", "", f"kv-{app.environment['id'][4:]}") is None


async def test_a_deployment_that_would_not_fit_is_refused_with_figures_and_nothing_is_applied(running: Product) -> None:
    app = await (await running.sign_up()).app(processes=web(instances=3))
    path = f"/v1/apps/{app.app['id']}/deployments"
    over = await refused(app.caller, "POST", path, {"environment": "production"})
    assert over["cpu_millis"] == {"resource": "cpu_millis", "asked": 12000, "used": 0, "allowed": 8000}
    assert over["memory_mib"]["asked"] == 6 * 4096
    assert (await app.caller.get(f"/v1/deployments?app={app.app['id']}"))["data"] == []
    assert is_untouched(running, app)


async def test_at_the_very_edge_it_fits_and_the_cluster_agrees(running: Product) -> None:
    """Twice two large instances are all of the quota: while they are replaced, each pod of them is let in."""
    app = await (await running.sign_up()).app(processes=web(instances=2))
    assert (await app.deploy())["outcome"] == "live"
    assert (await app.deploy(image="registry.test/kovra/ok:2"))["outcome"] == "live"
    shown = await usage(app)
    assert (shown["used"]["cpu_millis"], shown["quota"]["cpu_millis"]) == (8000, 8000)
    assert shown["apps"][0] == {
        "app_environment_id": app.pair["id"], "app": "web", "cpu_millis": 8000, "memory_mib": 16384, "pods": 4
    }  # fmt: skip
    assert shown["sizes"]["large"] == {"cpu_millis": 2000, "memory_mib": 4096}
    over = await refused(app.caller, "POST", f"{app.path}/actions/scale", {"scale": {"web": 3}})
    assert over["cpu_millis"]["asked"] == 12000
    other = await another(app, "other", {"web": {"port": 8080}})
    path = f"/v1/apps/{other.app['id']}/deployments"
    over = await refused(app.caller, "POST", path, {"environment": "production"})
    assert over["cpu_millis"] == {"resource": "cpu_millis", "asked": 200, "used": 8000, "allowed": 8000}


async def test_what_is_suspended_makes_room_and_comes_back_only_where_there_is_some(running: Product) -> None:
    first = await (await running.sign_up()).app(processes=web(instances=2))
    assert (await first.deploy())["outcome"] == "live"
    await first.finished(await first.caller.post(f"{first.path}/actions/suspend"))
    second = await another(first, "second", web())
    assert (await second.deploy())["outcome"] == "live"
    over = await refused(first.caller, "POST", f"{first.path}/actions/resume")
    assert over["cpu_millis"] == {"resource": "cpu_millis", "asked": 8000, "used": 4000, "allowed": 8000}
    assert (await first.now())["suspended"] is True


async def test_an_autoscaled_process_counts_with_its_most(running: Product) -> None:
    app = await (await running.sign_up()).app(processes=web(autoscale={"max": 3, "cpu": 50}))
    path = f"/v1/apps/{app.app['id']}/deployments"
    assert (await refused(app.caller, "POST", path, {"environment": "production"}))["cpu_millis"]["asked"] == 12000


async def test_runs_and_cron_jobs_need_room_too(running: Product) -> None:
    app = await (await running.sign_up()).app(processes={"web": {**LARGE, "size": "medium", "instances": 3}})
    assert (await app.deploy())["outcome"] == "live"
    run = {"app_environment": app.pair["id"], "command": ["/testapp", "task"], "size": "large"}
    cron = {**run, "name": "nightly", "schedule": "0 2 * * *"}
    made = await app.caller.post("/v1/cron-jobs", cron)
    over = await refused(app.caller, "POST", "/v1/runs", run)
    assert over["cpu_millis"] == {"resource": "cpu_millis", "asked": 2000, "used": 8000, "allowed": 8000}
    await refused(app.caller, "POST", "/v1/cron-jobs", {**cron, "name": "other"})
    assert (await usage(app))["runs"] == {"cpu_millis": 2000, "memory_mib": 4096, "pods": 1}
    await app.caller.patch(f"/v1/cron-jobs/{made['id']}", {"size": "medium", "schedule": "0 3 * * *"})
    await app.caller.patch(f"/v1/cron-jobs/{made['id']}", {"enabled": False})
    assert (await app.caller.send("POST", "/v1/runs", run)).status_code == 202


async def test_a_narrowed_credential_is_told_by_the_worker_what_it_does_not_see(running: Product) -> None:
    """It sees its own app alone; the worker sees all, and says it before anything is applied."""
    first = await (await running.sign_up()).app(processes=web(instances=2))
    assert (await first.deploy())["outcome"] == "live"
    second = await another(first, "second", web())
    made = await first.caller.post(
        "/v1/tokens",
        {"name": "ci", "app": second.app["id"], "permissions": ["apps:read", "deployments:create", "deployments:read"]},
    )
    narrow = App(
        caller=Caller(running, made["token"], organization=first.caller.organization), project=second.project,
        environment=second.environment, app=second.app, pair=second.pair,
    )  # fmt: skip
    failed = await narrow.deploy()
    assert (failed["outcome"], failed["reason"]["code"], failed["reason"]["phase"]) == (
        "failed", "quota_exceeded", "preparing",
    )  # fmt: skip
    words = "thousandths of a CPU: 4000 asked for, 8000 used by all else here, 8000 allowed"
    assert failed["reason"]["evidence"][0] == words
    assert (failed["release"], running.simulator is None) == (None, False)
    assert running.simulator is not None
    names = [
        d["metadata"]["name"] for d in running.simulator.store.list("Deployment", f"kv-{first.environment['id'][4:]}")
    ]
    assert names == [f"aev-{first.pair['id'][4:]}-web"]


async def test_of_many_at_once_no_more_go_live_than_fit(running: Product) -> None:
    """T139: whoever comes too late is refused, by the api or by the worker; none is refused by the cluster."""
    first = await (await running.sign_up()).app(processes=web())
    apps = [first, *[await another(first, f"a{n}", web()) for n in range(5)]]

    async def outcome(app: App) -> str:
        path = f"/v1/apps/{app.app['id']}/deployments"
        answer = await app.caller.send("POST", path, {"environment": "production"})
        if answer.status_code == 409:
            return str(answer.json()["code"])
        ended = await app.finished(answer.json())
        return str(
            ended["outcome"] if ended["reason"] is None else f"{ended['reason']['code']} {ended['reason']['phase']}"
        )

    found = await asyncio.gather(*(outcome(app) for app in apps))
    assert sorted(set(found) - {"quota_exceeded", "quota_exceeded preparing"}) == ["live"], found
    assert found.count("live") == 2
    shown = await usage(first)
    assert shown["used"]["cpu_millis"] == shown["quota"]["cpu_millis"]


async def test_who_has_too_much_already_may_still_run_less(running: Product) -> None:
    """After a change to a smaller plan: scaling down and suspending are never refused, anything more is."""
    ada = await running.sign_up()
    await running.sql("update organizations set plan = 'team' where id = $1", _uuid(ada))
    app = await ada.app(processes=web(instances=4))
    assert (await app.deploy())["outcome"] == "live"
    await running.sql("update organizations set plan = 'free' where id = $1", _uuid(ada))
    await refused(ada, "POST", f"{app.path}/actions/restart")
    await refused(ada, "POST", f"{app.path}/actions/scale", {"scale": {"web": 5}})
    fewer = await app.finished(await ada.post(f"{app.path}/actions/scale", {"scale": {"web": 3}}))
    assert fewer["outcome"] == "live", fewer["reason"]
    stopped = await app.finished(await ada.post(f"{app.path}/actions/suspend"))
    assert stopped["outcome"] == "live", stopped["reason"]


def _uuid(caller: Caller) -> Any:
    from kovra.foundation.ids import decode

    return decode("org", caller.organization["id"])


@pytest.mark.parametrize("at_once", [10])
async def test_an_organization_has_no_more_environments_than_its_plan_includes(product: Product, at_once: int) -> None:
    """T139: also when many are asked for at the same time, and when deleted ones come back."""
    ada = await product.sign_up()
    await product.sql("update organizations set plan = 'free' where id = $1", _uuid(ada))
    project = await ada.post("/v1/projects", {"name": "P"})
    for n in range(44):
        await ada.post("/v1/environments", {"project": project["slug"], "name": f"E{n}"})
    bodies = [{"project": project["slug"], "name": f"Late{n}"} for n in range(at_once)]
    answers = await asyncio.gather(*(ada.send("POST", "/v1/environments", body) for body in bodies))
    assert sorted(a.status_code for a in answers) == [201] * 5 + [409] * (at_once - 5)
    over = await refused(ada, "POST", "/v1/projects", {"name": "Q"})
    assert over["environments"] == {"resource": "environments", "asked": 1, "used": 50, "allowed": 50}
    gone = next(a.json() for a in answers if a.status_code == 201)
    await ada.ok("DELETE", f"/v1/environments/{gone['id']}")
    await ada.post("/v1/environments", {"project": project["slug"], "name": "Instead"})
    await refused(ada, "POST", f"/v1/environments/{gone['id']}/actions/restore")
