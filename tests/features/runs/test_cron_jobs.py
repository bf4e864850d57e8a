"""Cron jobs: made, changed, due, skipped, missed; each tick once."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from kovra.foundation.ids import decode
from tests.features.runs.test_running import an_app, ended, in_phase
from tests.support.product import App, Caller, Product
from tests.support.runs import fire, next_of, some


@pytest.fixture(scope="module")
async def app(running: Product) -> App:
    """An app whose first release is live."""
    return await an_app(running)


async def made(app: App, **more: Any) -> Any:
    body = {"app_environment": app.pair["id"], "name": "nightly", "schedule": "0 2 * * *", "command": ["exit", "0"]}
    return await app.caller.post("/v1/cron-jobs", {**body, **more})


async def history(app: App, cron_job: dict[str, Any]) -> list[Any]:
    """Its runs, oldest first."""
    found: list[Any] = (await app.caller.get(f"/v1/runs?cron_job={cron_job['id']}&sort=created_at"))["data"]
    return found


async def test_a_cron_job_is_made_changed_and_deleted(app: App) -> None:
    job = await made(app, name="report", schedule="30 2 * * *", time_zone="Europe/Berlin")
    assert (job["schedule"], job["enabled"], job["size"], job["time_limit_s"]) == ("30 2 * * *", True, "nano", 3600)
    assert len(job["next_runs"]) == 5
    assert job["next_runs"][0] == job["next_run_at"]
    path = f"/v1/cron-jobs/{job['id']}"
    listed = (await app.caller.get(f"/v1/cron-jobs?app_environment={app.pair['id']}"))["data"]
    assert job["id"] in {found["id"] for found in listed}

    stale = await app.caller.send("PATCH", path, {"schedule": "0 4 * * *"}, if_match='"1"')
    assert stale.status_code == 412
    off = await app.caller.patch(path, {"enabled": False})
    assert (off["enabled"], off["next_run_at"], off["next_runs"]) == (False, None, [])
    on = await app.caller.patch(path, {"enabled": True, "schedule": "0 4 * * *", "time_zone": "UTC"})
    assert next_of(on).hour == 4
    told = [e["payload"]["changed"] for e in await app.caller.events("cron_job.updated", job["id"])]
    assert told == [["enabled"], ["enabled", "schedule", "time_zone"]]

    taken = await app.caller.send("POST", "/v1/cron-jobs", {**BODY, "app_environment": app.pair["id"]})
    assert (taken.status_code, taken.json()["errors"][0]["pointer"]) == (409, "/name")
    await app.caller.ok("DELETE", path)
    assert (await app.caller.send("GET", path)).status_code == 404
    again = await made(app, name="report")
    await app.caller.ok("DELETE", f"/v1/cron-jobs/{again['id']}")


BODY = {"name": "report", "schedule": "* * * * *", "command": ["true"]}


@pytest.mark.parametrize(
    ("wrong", "pointer", "code"),
    [
        ({"schedule": "0 25 * * *"}, "/schedule", "schedule_invalid"),
        ({"time_zone": "Mars/Base"}, "/time_zone", "time_zone_unknown"),
        ({"name": "Not A Slug"}, "/name", "slug_invalid"),
        ({"time_limit_s": 0}, "/time_limit_s", "greater_than_equal"),
        ({"time_limit_s": 86_401}, "/time_limit_s", "less_than_equal"),
        ({"command": []}, "/command", "too_short"),
        ({"command": ["\x00"]}, "/command/0", "control_character"),
        ({"app_environment": "aev_00000000000000000000000000"}, "/app_environment", "not_found"),
    ],
)
async def test_bad_input_names_its_field(app: App, wrong: dict[str, Any], pointer: str, code: str) -> None:
    response = await app.caller.send("POST", "/v1/cron-jobs", {"app_environment": app.pair["id"], **BODY, **wrong})
    assert response.status_code == 422, response.text
    assert (response.json()["errors"][0]["pointer"], response.json()["errors"][0]["code"]) == (pointer, code)


async def test_a_tick_is_one_run_of_what_is_live_then(app: App) -> None:
    """Fired twice, by two workers at once, it is one; and the next tick is the next day's."""
    job = await made(app, name="once", command=["exit", "0"], size="micro")
    due = next_of(job)
    await asyncio.gather(*(fire(app, job, due + timedelta(seconds=3)) for _ in range(3)))
    (found,) = await history(app, job)
    assert (found["scheduled_for"], found["trigger"], found["actor"]) == (job["next_run_at"], "schedule", "system")
    assert (found["size"], found["cron_job_id"]) == ("micro", job["id"])
    assert (await ended(app.caller, found))["outcome"] == "succeeded"
    after = await app.caller.get(f"/v1/cron-jobs/{job['id']}")
    assert next_of(after) == due + timedelta(days=1)
    await fire(app, job, due + timedelta(seconds=5))
    assert len(await history(app, job)) == 1


async def test_the_sweep_finds_what_is_due(running: Product, app: App) -> None:
    """The whole way: the door, the queue, the run."""
    job = await made(app, name="swept")
    await running.sql(
        "update cron_jobs set next_run_at = date_trunc('minute', now()) where id = $1", decode("crn", job["id"])
    )
    for _ in range(400):
        if found := await history(app, job):
            break
        await asyncio.sleep(0.05)
    assert (await ended(app.caller, found[0]))["outcome"] == "succeeded"


async def test_a_tick_is_skipped_while_the_run_before_is_under_way(app: App) -> None:
    """And run-now is refused then; the skipped one is in the history, with its reason."""
    job = await made(app, name="slow", schedule="*/5 * * * *", command=["/testapp", "task", "1", "100000"])
    due = next_of(job)
    await fire(app, job, due)
    (first,) = await history(app, job)
    await in_phase(app.caller, first, "running")
    await fire(app, job, due + timedelta(minutes=5))
    _, second = await history(app, job)
    assert (second["phase"], second["outcome"], second["started_at"]) == ("done", "skipped", None)
    assert second["reason"]["code"] == "previous_run_active"
    assert second["reason"]["evidence"] == [f"Under way: {first['id']}"]
    refused = await app.caller.send("POST", f"/v1/cron-jobs/{job['id']}/actions/run-now")
    assert (refused.status_code, refused.json()["facts"]["run_id"]) == (409, first["id"])
    await app.caller.post(f"/v1/runs/{first['id']}/actions/cancel")
    assert (await ended(app.caller, first))["outcome"] == "canceled"
    now = await app.caller.post(f"/v1/cron-jobs/{job['id']}/actions/run-now", {"trigger": "cli"})
    assert (now["scheduled_for"], now["trigger"], now["cron_job_id"]) == (None, "cli", job["id"])
    await app.caller.post(f"/v1/runs/{now['id']}/actions/cancel")
    assert (await ended(app.caller, now))["outcome"] == "canceled"


async def test_after_an_outage_at_most_one_tick_is_made_up_for(app: App) -> None:
    """The others are one row that says how many they were."""
    job = await made(app, name="hourly", schedule="0 * * * *")
    due = next_of(job)
    await fire(app, job, due + timedelta(hours=3, minutes=9))
    missed, late = await history(app, job)
    assert (missed["outcome"], missed["reason"]["code"], missed["scheduled_for"]) == (
        "skipped", "missed", job["next_run_at"],
    )  # fmt: skip
    assert missed["reason"]["evidence"] == ["Scheduled times missed, this one included: 3."]
    assert datetime.fromisoformat(late["scheduled_for"]) == due + timedelta(hours=3)
    assert (await ended(app.caller, late))["outcome"] == "succeeded"

    await fire(app, job, due + timedelta(hours=5, minutes=11))
    *_, missed = await history(app, job)
    assert (missed["reason"]["code"], len(await history(app, job))) == ("missed", 3)
    assert missed["reason"]["evidence"] == ["Scheduled times missed, this one included: 2."]


async def test_without_a_release_and_while_suspended_ticks_are_skipped(running: Product) -> None:
    app = await (await running.sign_up()).app()
    job = await made(app, name="early", schedule="* * * * *")
    await fire(app, job, next_of(job))
    (found,) = await history(app, job)
    assert (found["outcome"], found["reason"]["code"], found["release"]) == ("skipped", "nothing_live", None)
    refused = await app.caller.send("POST", f"/v1/cron-jobs/{job['id']}/actions/run-now")
    assert (refused.status_code, refused.json()["code"]) == (409, "nothing_live")
    await app.deploy()
    await app.finished(await app.caller.post(f"{app.path}/actions/suspend"))
    await fire(app, job, next_of(job) + timedelta(minutes=1))
    *_, found = await history(app, job)
    assert (found["outcome"], found["reason"]["code"]) == ("skipped", "suspended")


async def test_a_deleted_app_has_no_ticks(running: Product) -> None:
    """Its cron job is not shown, and goes on when the app is restored."""
    app = await (await running.sign_up()).app()
    job = await made(app, name="gone", schedule="* * * * *")
    await app.caller.ok("DELETE", f"/v1/apps/{app.app['id']}")
    assert (await app.caller.send("GET", f"/v1/cron-jobs/{job['id']}")).status_code == 404
    await fire(app, job, next_of(job) + timedelta(minutes=2))
    await app.caller.post(f"/v1/apps/{app.app['id']}/actions/restore")
    assert await history(app, job) == []
    back = await app.caller.get(f"/v1/cron-jobs/{job['id']}")
    assert next_of(back) == next_of(job) + timedelta(minutes=3)


async def test_a_token_of_another_project_neither_sees_nor_starts_anything(running: Product) -> None:
    """T058: also by the ids in a body and in filters."""
    owner = await running.sign_up()
    app, other = await owner.app(), await owner.app()
    found = await some(app)
    names = ["runs:read", "runs:create"]
    made = await owner.post("/v1/tokens", {"name": "t", "permissions": names, "project": other.project["id"]})
    token = Caller(running, made["token"])
    for path in (
        f"runs?app_environment={app.pair['id']}",
        f"runs?cron_job={found['cron_job_id']}",
        "runs",
        "cron-jobs",
    ):
        assert (await token.get(f"/v1/{path}"))["data"] == [], path
    for path, body in (("runs", {"command": ["true"]}), ("cron-jobs", BODY)):
        refused = await token.send("POST", f"/v1/{path}", {"app_environment": app.pair["id"], **body})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/app_environment")
    assert (await token.send("POST", f"/v1/runs/{found['run_id']}/actions/cancel")).status_code == 404


async def test_a_protected_environment_asks_for_its_own_right(running: Product) -> None:
    owner = await running.sign_up()
    app = await owner.app()
    job = await made(app)
    await owner.patch(f"/v1/environments/{app.environment['id']}", {"protected": True})
    member = await running.member(owner, "member")
    asked: list[tuple[str, str, Any]] = [
        ("POST", "/v1/runs", {"app_environment": app.pair["id"], "command": ["true"]}),
        ("POST", "/v1/cron-jobs", {"app_environment": app.pair["id"], **BODY}),
        ("PATCH", f"/v1/cron-jobs/{job['id']}", {"enabled": False}),
        ("DELETE", f"/v1/cron-jobs/{job['id']}", None),
        ("POST", f"/v1/cron-jobs/{job['id']}/actions/run-now", None),
    ]
    for method, path, body in asked:
        refused = await member.send(method, path, body)
        assert (refused.status_code, refused.json()["missing_permission"]) == (403, "environments:use_protected"), path
