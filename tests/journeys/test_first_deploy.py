"""From sign-up to a live app, a failure that explains itself, and back."""

from __future__ import annotations

import httpx

from tests.support.product import Product


async def test_an_image_goes_live_fails_with_evidence_and_rolls_back(running: Product) -> None:
    ada = await running.sign_up()
    app = await ada.app()
    await ada.patch(f"{app.path}/config", {"vars": {"GREETING": "hello"}})
    await ada.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": "canary-5d1f-secret-value"}})

    live = await app.deploy()
    assert live["outcome"] == "live"
    assert live["release"]["number"] == 1
    assert live["release"]["digest"].startswith("sha256:")
    assert [p["name"] for p in live["phases"]] == ["queued", "preparing", "rolling_out", "verifying"]

    failed = await app.deploy(image="registry.test/kovra/crash:1")
    assert failed["outcome"] == "failed"
    assert failed["reason"]["code"] == "crash_loop"
    assert "exit code 3" in failed["reason"]["evidence"][0]
    assert "fatal: cannot reach the database: connection refused" in failed["reason"]["evidence"]
    assert failed["restored_release"] == live["release"]["id"]
    assert (await app.now())["current_release"]["number"] == 1

    second = await app.deploy(image="registry.test/kovra/ok:2")
    assert (second["outcome"], second["release"]["number"]) == ("live", 3)

    await ada.patch(f"{app.path}/config", {"vars": {"GREETING": "good bye"}})
    diff = await ada.post(f"{app.path}/actions/rollback", {"release": 1, "dry_run": True})
    assert diff["config"]["changed"] == ["GREETING"]
    back = await app.finished(await ada.post(f"{app.path}/actions/rollback", {"release": 1}))
    assert (back["outcome"], back["release"]["number"], back["trigger"]) == ("live", 4, "rollback")
    assert (await ada.get(f"{app.path}/config"))["vars"] == {"GREETING": "hello"}

    assert running.simulator is not None
    host = (await app.now())["url"].split("//")[1].split(":")[0]
    async with httpx.AsyncClient() as browser:
        page = await browser.get(
            f"http://127.0.0.1:{running.simulator.apps_port}/", headers={"Host": host, "Accept": "application/json"}
        )
    assert page.json()["release"] == "4"
    assert page.headers["kovra-simulated"] == "true"


async def test_another_organization_sees_none_of_it(running: Product) -> None:
    ada, eve = await running.sign_up("Ada"), await running.sign_up("Eve")
    app = await ada.app()
    deployment = await app.deploy()
    for path in (
        f"/v1/apps/{app.app['id']}",
        f"/v1/projects/{app.project['id']}",
        app.path,
        f"{app.path}/config",
        f"/v1/deployments/{deployment['id']}",
        f"/v1/releases/{deployment['release']['id']}",
    ):
        assert (await eve.send("GET", path)).status_code == 404, path
    for path in ("/v1/apps", "/v1/projects", "/v1/deployments", "/v1/releases", "/v1/app-environments"):
        assert (await eve.get(path))["data"] == [], path
    subjects = {event["subject"] for event in (await eve.get("/v1/events?limit=200"))["data"]}
    assert deployment["id"] not in subjects
