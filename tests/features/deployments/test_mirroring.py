"""Images copied into the platform's mirror before a release is written: through the worker, to pods that run the copy."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kovra.adapters.cluster.simulator import Fault, Simulator
from kovra.adapters.cluster.simulator.pushes import ROOM_BYTES
from kovra.entrypoints.api import create_app
from kovra.entrypoints.worker import Worker, working
from kovra.features.deployments.service.mirroring import Images, Mirror
from kovra.features.projects.messages import PurgeApp, PurgeProject
from kovra.foundation.db.database import Database
from kovra.foundation.ids import decode
from kovra.foundation.jobs.messages import Job, enqueue
from kovra.settings import Settings
from tests.conftest import settings_for, simulated_registry
from tests.support.postgres import TestDatabase
from tests.support.product import App, Caller, Product

IMAGE, OTHER = "registry.test/layered/ok:1", "registry.test/layered/ok:2"
OPEN = ("kovra", "layered", "private")
MIRROR = {"images_mirror": "registry", "mirror": {"registry": "registry.test", "prefix": "mirror", "open": OPEN}}
LOGINS = {
    "mirror_username": "mirror", "mirror_password": "mirror-may-push",
    "mirror_pull_username": "nodes", "mirror_pull_password": "nodes-may-pull",
}  # fmt: skip


@pytest.fixture(scope="module")
async def product(database: TestDatabase, keyrings: Path) -> AsyncIterator[Product]:
    settings = settings_for(database, keyrings / "api.json", **MIRROR)
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield Product(app=app, database=database, settings=settings)


@pytest.fixture(scope="module")
def settings(
    product: Product, simulator: Simulator, keyrings: Path, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    kubeconfig = tmp_path_factory.mktemp("cluster") / "kubeconfig"
    kubeconfig.write_text(json.dumps(simulator.kubeconfig()))
    registries = {"registry.test": simulated_registry(simulator)}
    known = {"kubeconfig": kubeconfig, "registries": registries, **MIRROR, **LOGINS}
    return settings_for(product.database, keyrings / "worker.json", **known)


@pytest.fixture(scope="module")
async def worker(settings: Settings, product: Product, simulator: Simulator) -> AsyncIterator[Worker]:
    product.simulator = simulator
    async with working(settings) as started:
        yield started


@pytest.fixture(autouse=True)
def _nothing_stays(simulator: Simulator) -> Iterator[None]:
    yield
    simulator.faults.clear()
    simulator.pushes.room_bytes = ROOM_BYTES


def mirror_of(worker: Worker) -> Mirror:
    found = worker.registry.get(Images).mirror
    assert found is not None
    return found


def home(app: App) -> str:
    return f"mirror/{app.caller.organization['id'][4:]}/{app.app['id'][4:]}"


async def release_of(app: App, deployment: dict[str, Any]) -> Any:
    return await app.caller.get(f"/v1/releases/{deployment['release']['id']}")


def pulls(product: Product, app: App) -> list[Any]:
    """What the app's pull Secrets hold; they can be written to."""
    assert product.simulator is not None
    found = product.simulator.store.list("Secret", "kv-" + app.environment["id"][4:])
    typed = [s for s in found if s.get("type") == "kubernetes.io/dockerconfigjson"]
    assert not any("immutable" in s for s in typed)
    return [json.loads(base64.b64decode(s["data"][".dockerconfigjson"]))["auths"] for s in typed]


def images_of(product: Product, app: App, kind: str = "Pod") -> set[str]:
    assert product.simulator is not None
    found = product.simulator.store.list(kind, "kv-" + app.environment["id"][4:])
    specs = [o["spec"] if kind == "Pod" else o["spec"]["template"]["spec"] for o in found]
    return {c["image"] for spec in specs for c in spec["containers"]}


async def test_pods_run_the_copy_and_the_release_says_both(product: Product, worker: Worker) -> None:
    ada = await product.sign_up()
    app = await ada.app(IMAGE, release_command=["true"])
    done = await app.deploy()
    assert done["outcome"] == "live", done["reason"]
    release = await release_of(app, done)
    assert release["image"] == IMAGE
    assert release["runs_from"] == f"registry.test/{home(app)}@{release['digest']}"
    assert images_of(product, app) | images_of(product, app, "Job") == {release["runs_from"]}
    assert [list(auths) for auths in pulls(product, app)] == [["registry.test"]]
    (told,) = await ada.events("deployment.image_copied")
    assert (told["subject"], told["payload"]["runs_from"]) == (done["id"], release["runs_from"])
    assert told["payload"]["size_bytes"] > 600_000
    assert product.simulator is not None
    held = product.simulator.pushes.repositories[home(app)]
    assert (len(held.blobs), held.tags) == (4, {release["digest"][7:]: release["digest"]})


async def test_what_is_there_is_not_copied_twice_and_changes_nothing(product: Product, worker: Worker) -> None:
    ada = await product.sign_up()
    app = await ada.app(IMAGE)
    assert (await app.deploy())["outcome"] == "live"
    again = await app.deploy()
    assert (again["outcome"], again["reason"]["code"]) == ("skipped", "nothing_changed")
    assert (await app.deploy(image=OTHER))["outcome"] == "live"
    back = await app.deploy(image=IMAGE)
    assert (back["outcome"], back["release"]["number"]) == ("live", 3)
    assert len(await ada.events("deployment.image_copied")) == 2


async def test_a_private_image_is_fetched_as_the_tenant_and_pulled_as_the_platform(
    product: Product, worker: Worker
) -> None:
    ada = await product.sign_up()
    app = await ada.app("registry.test/private/ok:1")
    denied = await app.deploy()
    assert denied["reason"]["code"] == "image_pull_denied"
    await ada.registry_credential("registry.test", "acme", "acme-may-pull")
    assert (await app.deploy())["outcome"] == "live"
    text = json.dumps(pulls(product, app))
    assert "YWNtZTphY21l" not in text, "the tenant's own credential stays with the worker"
    assert "bm9kZXM6bm9kZXM" in text


async def test_every_other_way_to_run_it_takes_the_copy(product: Product, worker: Worker) -> None:
    """Rollback, new config, restart, runs, drift."""
    ada = await product.sign_up()
    app = await ada.app(IMAGE)
    first = await release_of(app, await app.deploy())
    second = await release_of(app, await app.deploy(image=OTHER))
    assert first["runs_from"] != second["runs_from"]
    back = await app.finished(await ada.post(f"{app.path}/actions/rollback", {"release": 1}))
    assert (await release_of(app, back))["runs_from"] == first["runs_from"]
    changed = await ada.send("PATCH", f"{app.path}/config?deploy=true", {"vars": {"A": "b"}})
    configured = await app.finished({"id": changed.headers["location"].rsplit("/", 1)[-1]})
    assert (await release_of(app, configured))["runs_from"] == first["runs_from"]
    assert (await app.finished(await ada.post(f"{app.path}/actions/restart")))["outcome"] == "live"
    started = await ada.post("/v1/runs", {"app_environment": app.pair["id"], "command": ["true"]})
    ended = await ada.get(f"/v1/runs/{started['id']}?wait=40&until=terminal")
    assert ended["outcome"] == "succeeded", ended
    assert images_of(product, app, "Job") == {first["runs_from"]}


async def test_two_organizations_have_each_their_own_copy(product: Product, worker: Worker) -> None:
    """T142: nothing of one is mounted into the other's."""
    ada, bob = await product.sign_up(), await product.sign_up()
    apps = [await caller.app(IMAGE) for caller in (ada, bob)]
    for app in apps:
        assert (await app.deploy())["outcome"] == "live"
    assert product.simulator is not None
    assert len({home(app).split("/")[1] for app in apps}) == 2
    mounted = product.simulator.pushes.mounted
    assert not [pair for pair in mounted if pair[0].split("/")[1] != pair[1].split("/")[1]]


async def test_a_sibling_shares_its_layers_without_sending_them(product: Product, worker: Worker) -> None:
    ada = await product.sign_up()
    apps = [await ada.app(IMAGE), await ada.app(IMAGE)]
    for app in apps:
        assert (await app.deploy())["outcome"] == "live"
    assert product.simulator is not None
    assert (home(apps[0]), home(apps[1])) in product.simulator.pushes.mounted


async def names_refused(caller: Caller, method: str, path: str, body: Any, pointer: str) -> None:
    refused = await caller.send(method, path, body)
    assert refused.status_code == 422, refused.text
    assert [(e["pointer"], e["code"]) for e in refused.json()["errors"]] == [(pointer, "registry_not_allowed")]


async def test_nobody_names_what_is_in_the_mirror(product: Product, worker: Worker) -> None:
    """T142: neither another organization's copy nor one's own, by tag or digest; nor is a credential kept for it."""
    ada, bob = await product.sign_up(), await product.sign_up()
    app, own = await ada.app(IMAGE), await bob.app(IMAGE)
    release = await release_of(app, await app.deploy())
    for image in (
        release["runs_from"],
        f"REGISTRY.test/{home(app)}:{release['digest'][7:]}",
        f"registry.test/{home(own)}:1",
    ):
        await names_refused(bob, "PATCH", f"/v1/apps/{own.app['id']}", {"image": image}, "/image")
        deploy = {"environment": "production", "image": image}
        await names_refused(bob, "POST", f"/v1/apps/{own.app['id']}/deployments", deploy, "/image")
        await names_refused(
            bob, "POST", "/v1/apps", {"project": own.project["slug"], "name": "X", "image": image}, "/image"
        )
    # One that was kept from before there was a mirror.
    await product.sql("update apps set image = $1 where id = $2", release["runs_from"], decode("app", own.app["id"]))
    refused = await bob.send("POST", f"/v1/apps/{own.app['id']}/deployments", {"environment": "production"})
    assert refused.status_code == 422, refused.text


@pytest.mark.parametrize("code", ["image_too_large", "image_vanished", "mirror_refused", "mirror_full"])
async def test_what_stands_in_the_way_has_its_reason(
    product: Product, worker: Worker, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    app = await (await product.sign_up()).app(IMAGE)
    match code:
        case "image_too_large":
            copier = mirror_of(worker).copier
            monkeypatch.setattr(copier, "bounds", replace(copier.bounds, total_bytes=500_000))
        case "image_vanished":
            sha = "/v2/layered/ok/blobs/"
            # The config was there when the image was looked at.
            simulator.faults.add(Fault(method="GET", path=sha))
            simulator.faults.add(Fault(method="GET", path=sha, status=404, times=9))
        case "mirror_refused":
            simulator.faults.add(Fault(method="POST", path="/uploads/", status=403, body=b"{}", times=9))
        case _:
            simulator.pushes.room_bytes = 100_000
    done = await app.deploy()
    assert (done["outcome"], done["reason"]["code"], done["reason"]["phase"]) == ("failed", code, "preparing")
    assert done["reason"]["evidence"][0].startswith("registry.test/layered/ok: The ")
    assert done["release"] is None
    simulator.faults.clear()
    simulator.pushes.room_bytes = ROOM_BYTES
    monkeypatch.undo()
    assert (await app.deploy())["outcome"] == "live"


async def test_a_mirror_that_stays_away_is_named_when_time_is_over(
    product: Product, worker: Worker, simulator: Simulator
) -> None:
    app = await (await product.sign_up()).app(IMAGE)
    simulator.faults.add(Fault(path=f"/v2/{home(app)}", status=503, body=b"{}", times=9999))
    started = await app.start()
    async with asyncio.timeout(60):
        while not (await app.caller.get(f"/v1/deployments/{started['id']}"))["waiting_for"]:
            await asyncio.sleep(0.05)
    await product.sql("update deployments set deadline_at = now() where id = $1", decode("dep", started["id"]))
    done = await app.finished(started)
    assert (done["outcome"], done["reason"]["code"]) == ("failed", "mirror_unavailable")


async def test_a_long_copy_goes_on_over_several_steps_and_says_how_far_it_is(
    product: Product, worker: Worker, simulator: Simulator, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tag that moves meanwhile does not matter: what it named first is copied."""
    from kovra.features.deployments.handlers.steps import Steps

    app = await (await product.sign_up()).app(IMAGE)
    copier = mirror_of(worker).copier
    monkeypatch.setattr(copier, "bounds", replace(copier.bounds, part_bytes=50_000))
    steps = worker.registry.get(Steps)
    monkeypatch.setattr("kovra.features.deployments.handlers.mirroring._SHARE", 0.005)
    assert steps.step_s == 30
    simulator.faults.add(Fault(method="PATCH", path=f"/v2/{home(app)}", delay_s=0.1, times=9999))
    started = await app.start()
    said = set()
    async with asyncio.timeout(60):
        while True:
            now = await app.caller.get(f"/v1/deployments/{started['id']}")
            said.add(now["waiting_for"])
            if now["phase"] not in ("queued", "waiting", "preparing"):
                break
            await asyncio.sleep(0.02)
    assert "its image to be copied: 0 of 1 MiB" in said, said
    simulator.faults.clear()
    assert (await app.finished(started))["outcome"] == "live"
    (fence,) = await product.sql("select fence from deployments where id = $1", decode("dep", started["id"]))
    assert fence["fence"] > 4, "one lease for each step"


async def test_what_ran_before_there_was_a_mirror_moves_there_when_it_is_deployed_again(
    product: Product, worker: Worker
) -> None:
    app = await (await product.sign_up()).app(IMAGE)
    images = worker.registry.get(Images)
    mirror = images.mirror
    object.__setattr__(images, "mirror", None)
    try:
        first = await release_of(app, await app.deploy())
        assert (await app.deploy(image=OTHER))["outcome"] == "live"
    finally:
        object.__setattr__(images, "mirror", mirror)
    assert first["runs_from"] == f"registry.test/layered/ok@{first['digest']}"
    restarted = await app.finished(await app.caller.post(f"{app.path}/actions/restart"))
    assert restarted["release"]["number"] == 2, "what serves stays where it is"
    back = await app.finished(await app.caller.post(f"{app.path}/actions/rollback", {"release": 1}))
    assert back["outcome"] == "live", back["reason"]
    moved = await release_of(app, back)
    assert (moved["image"], moved["digest"]) == (first["image"], first["digest"])
    assert moved["runs_from"].startswith(f"registry.test/{home(app)}@")
    # Old instances go on for some seconds after they were told to end.
    async with asyncio.timeout(60):
        while images_of(product, app) != {moved["runs_from"]}:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("what", ["app", "project"])
async def test_purging_takes_the_copies_away(product: Product, worker: Worker, simulator: Simulator, what: str) -> None:
    app = await (await product.sign_up()).app(IMAGE)
    assert (await app.deploy())["outcome"] == "live"
    assert simulator.pushes.repositories[home(app)].manifests
    thing = getattr(app, what)
    cascade = "" if what == "app" else f"?cascade={thing['slug']}"
    await app.caller.ok("DELETE", f"/v1/{what}s/{thing['id']}{cascade}")
    prefix, job = ("app", PurgeApp) if what == "app" else ("prj", PurgeProject)
    away = simulator.faults.add(Fault(method="GET", path=f"/v2/{home(app)}/tags", status=503, body=b"{}"))
    thing_id = decode(prefix, thing["id"])
    assert thing_id is not None
    await product.sql(f"update {what}s set purge_at = now() - interval '1 second' where id = $1", thing_id)
    await _ask(product, app, job(id=thing_id))
    async with asyncio.timeout(60):
        while await product.sql(f"select 1 from {what}s where id = $1", thing_id):
            await asyncio.sleep(0.05)
    assert away.met == 1
    assert simulator.pushes.repositories[home(app)].manifests == {}


async def _ask(product: Product, app: App, job: Job) -> None:
    org_id = decode("org", app.caller.organization["id"])
    assert org_id is not None
    async with product.app.state.registry.get(Database).organization(org_id) as session:
        enqueue(session, job)
