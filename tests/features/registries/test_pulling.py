"""Images of registries that want to know who asks: through the worker, to pods on the simulated cluster."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from kovra.adapters.cluster.simulator import Simulator
from kovra.features.runs.messages import TidyRun
from tests.features.runs.test_running import nudge
from tests.support.product import App, Caller, Product

IMAGE = "registry.test/private/ok:1"
RIGHT = {"username": "acme", "password": "acme-may-pull"}
OTHER = {"username": "globex", "password": "globex-may-pull"}


async def credential(caller: Caller, login: dict[str, str] = RIGHT) -> str:
    made = await caller.registry_credential("registry.test", **login)
    return f"/v1/registry-credentials/{made['id']}"


def pull_secrets(running: Product, app: App) -> dict[str, Any]:
    """Name → what the app's pull Secrets hold."""
    assert running.simulator is not None
    found = running.simulator.store.list("Secret", "kv-" + app.environment["id"][4:])
    typed = [s for s in found if s.get("type") == "kubernetes.io/dockerconfigjson"]
    assert all(s["immutable"] for s in typed)
    return {s["metadata"]["name"]: json.loads(base64.b64decode(s["data"][".dockerconfigjson"]))["auths"] for s in typed}


async def pruned_to(running: Product, app: App, *wanted: dict[str, Any]) -> dict[str, Any]:
    """Pruning follows the verdict."""
    for _ in range(3000):
        found = pull_secrets(running, app)
        if list(found.values()) == list(wanted):
            break
        await asyncio.sleep(0.02)
    assert list(found.values()) == list(wanted)
    return found


def auth(login: dict[str, str]) -> dict[str, Any]:
    pair = f"{login['username']}:{login['password']}".encode()
    return {"registry.test": {"auth": base64.b64encode(pair).decode()}}


@pytest.mark.parametrize("image", [IMAGE, "registry.test/private/basic:1"])
async def test_a_private_image_goes_live_with_the_credential_alone(running: Product, image: str) -> None:
    ada = await running.sign_up()
    app = await ada.app(image)
    denied = await app.deploy()
    assert (denied["outcome"], denied["reason"]["code"]) == ("failed", "image_pull_denied")
    assert "The organization has no credential for registry.test." in denied["reason"]["evidence"]
    assert "kovra registries set" in denied["reason"]["hint"]
    path = await credential(ada)
    live = await app.deploy()
    assert live["outcome"] == "live"
    assert list(pull_secrets(running, app).values()) == [auth(RIGHT)]
    opened = await ada.events("registry_credential.opened")
    assert {(e["subject"], e["payload"]["deployment_id"]) for e in opened} == {(path.rsplit("/")[-1], live["id"])}


async def test_a_wrong_password_is_told_apart_from_none(running: Product) -> None:
    ada = await running.sign_up()
    app = await ada.app(IMAGE)
    path = await credential(ada, {**RIGHT, "password": "canary-wrong-password"})
    denied = await app.deploy()
    assert (denied["outcome"], denied["reason"]["code"]) == ("failed", "image_pull_denied")
    used = f"Asked with the organization's credential {path.rsplit('/')[-1]} for registry.test."
    assert used in denied["reason"]["evidence"]
    assert "canary-wrong-password" not in json.dumps(denied)
    assert pull_secrets(running, app) == {}


async def test_a_changed_credential_counts_from_the_next_deployment_or_restart(running: Product) -> None:
    ada = await running.sign_up()
    app = await ada.app(IMAGE)
    path = await credential(ada)
    await app.deploy()
    before = pull_secrets(running, app)
    await ada.patch(path, OTHER)
    assert pull_secrets(running, app) == before
    restarted = await app.finished(await ada.post(f"{app.path}/actions/restart"))
    assert (restarted["outcome"], restarted["release"]["number"]) == ("live", 1)
    after = await pruned_to(running, app, auth(OTHER))
    assert after.keys() != before.keys()


async def test_without_the_credential_what_runs_goes_on_and_the_next_deployment_says_so(running: Product) -> None:
    ada = await running.sign_up()
    app = await ada.app(IMAGE)
    path = await credential(ada)
    live = await app.deploy()
    await ada.ok("DELETE", path)
    denied = await app.deploy(image="registry.test/private/ok:2")
    assert denied["reason"]["code"] == "image_pull_denied"
    assert (await app.now())["current_release"]["id"] == live["release"]["id"]
    assert list(pull_secrets(running, app).values()) == [auth(RIGHT)]
    assert (await app.deploy(image="registry.test/kovra/ok:1"))["outcome"] == "live"
    await pruned_to(running, app)


async def test_two_organizations_have_each_their_own_for_one_registry(running: Product) -> None:
    """T001: the one that has none gets nothing by the other's."""
    ada, bob, eve = [await running.sign_up() for _ in range(3)]
    await credential(ada)
    await credential(bob, OTHER)
    apps = [await caller.app(IMAGE) for caller in (ada, bob, eve)]
    outcomes = [(await app.deploy())["outcome"] for app in apps]
    assert outcomes == ["live", "live", "failed"]
    found = [list(pull_secrets(running, app).values()) for app in apps]
    assert found == [[auth(RIGHT)], [auth(OTHER)], []]


async def test_release_commands_pull_as_the_organization_too(running: Product) -> None:
    ada = await running.sign_up()
    app = await ada.app(IMAGE, release_command=["true"])
    await credential(ada)
    assert (await app.deploy())["outcome"] == "live"


async def test_no_password_stands_anywhere_else(running: Product, simulator: Simulator) -> None:
    """T182: not in pods, jobs of the queue, the ledger or the log."""
    import os

    ada = await running.sign_up()
    app = await ada.app(IMAGE)
    await credential(ada)
    assert (await app.deploy())["outcome"] == "live"
    tables = ("procrastinate_jobs", "events", "deployments", "releases", "idempotency_keys", "registry_credentials")
    told = "".join([str(await running.sql(f"select t::text from {t} t")) for t in tables])
    objects = [o for kind in ("Pod", "Deployment", "Job", "Event") for o in simulator.store.list(kind, "")]
    log = Path(os.environ["KOVRA_TEST_LOG"]).read_text()
    for form in (RIGHT["password"], base64.b64encode(b"acme:acme-may-pull").decode(), RIGHT["password"].encode().hex()):
        assert form not in told + json.dumps(objects, default=str) + log


async def test_a_password_that_does_not_open_ends_the_deployment(running: Product) -> None:
    ada = await running.sign_up()
    app = await ada.app(IMAGE)
    path = await credential(ada)
    await running.sql(
        "update registry_credentials set password = set_byte(password, 45, get_byte(password, 45) # 1) where registry = "
        "'registry.test' and org_id = (select org_id from apps where id = $1)",
        _id(app),
    )
    assert (await app.deploy())["reason"]["code"] == "value_unreadable"
    await ada.patch(path, RIGHT)
    assert (await app.deploy())["outcome"] == "live"


async def test_a_turned_key_seals_the_passwords_anew(running: Product) -> None:
    ada = await running.sign_up()
    app = await ada.app(IMAGE)
    await credential(ada)
    await ada.post("/v1/organization/encryption/actions/rotate", {"purpose": "secret"})
    for _ in range(200):
        keys = (await ada.get("/v1/organization/encryption"))["keys"]
        counted = {k["version"]: k["values"] for k in keys if k["purpose"] == "secret"}
        if counted == {1: 0, 2: 1}:
            break
    assert counted == {1: 0, 2: 1}
    assert (await app.deploy())["outcome"] == "live"


def _id(app: App) -> Any:
    from kovra.foundation.ids import decode

    return decode("app", app.app["id"])


async def test_a_run_pulls_with_a_secret_of_its_own_which_goes_with_it(running: Product) -> None:
    """The credential that serves the release may be another by then, and its Secret is pruned."""
    ada = await running.sign_up()
    app = await ada.app(IMAGE)
    path = await credential(ada)
    await app.deploy()
    released = pull_secrets(running, app)
    await ada.patch(path, OTHER)
    started = await ada.post("/v1/runs", {"app_environment": app.pair["id"], "command": ["true"]})
    ended = await ada.get(f"/v1/runs/{started['id']}?wait=40&until=terminal")
    assert ended["outcome"] == "succeeded", ended
    opened = {e["payload"]["run_id"] for e in await ada.events("registry_credential.opened")}
    assert started["id"] in opened
    assert list(pull_secrets(running, app).values()) == [auth(RIGHT), auth(OTHER)]
    await nudge(running, app, TidyRun, started)
    await pruned_to(running, app, *released.values())
