"""A mirror in the registry of a real node: copied in parts, gone on with after a stop, and run by real pods."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.connect import from_kubeconfig
from kovra.adapters.cluster.manifests.labels import bare
from kovra.adapters.cluster.workload import ObjectRef
from kovra.adapters.oci.client import Endpoint, Registries
from kovra.adapters.oci.copying import Bounds, Copier, Copy
from kovra.adapters.oci.pushing import MirrorRefused, Target
from kovra.adapters.oci.reference import parse
from kovra.entrypoints.api import create_app
from kovra.entrypoints.worker import working
from kovra.foundation import clock
from kovra.foundation.ids import new_id
from kovra.foundation.outbound import Outbound
from tests.conftest import settings_for
from tests.support.postgres import TestDatabase
from tests.support.product import Product

pytestmark = [pytest.mark.node, pytest.mark.timeout(300)]
OK = "registry.test/kovra/ok:1"
MIRROR = {"registry": "registry.test", "prefix": "mirror", "open": ["kovra"]}


@dataclass
class OnNode(Product):
    """The product with a mirror, and the administrator's eyes on the cluster."""

    admin: ClusterClient | None = None


@pytest.fixture(scope="module")
async def product(database: TestDatabase, keyrings: Path) -> AsyncIterator[OnNode]:
    kubeconfig = Path(os.environ["KOVRA_TEST_KUBECONFIG"])
    registry = {"endpoint": os.environ["KOVRA_TEST_REGISTRY"], "plain_http": True, "allow_private": True}
    mirror = {"images_mirror": "registry", "mirror": MIRROR, "registries": {"registry.test": registry}}
    async with AsyncExitStack() as stack:
        admin = await from_kubeconfig(kubeconfig)
        stack.push_async_callback(admin.close)
        settings = settings_for(database, keyrings / "api.json", **mirror)
        app = create_app(settings)
        await stack.enter_async_context(app.router.lifespan_context(app))
        worker = settings_for(
            database, keyrings / "worker.json", kubeconfig=kubeconfig, settling_s=1, progress_deadline_s=60, **mirror
        )
        await stack.enter_async_context(working(worker))
        made = OnNode(app=app, database=database, settings=settings, admin=admin)
        yield made
        for (org_id,) in await made.sql("select id from organizations"):
            found = await admin.list("v1", "Namespace", labels=f"kovra.io/organization={bare('org', org_id)}")
            for item in found["items"]:
                await admin.delete(ObjectRef.of({"apiVersion": "v1", "kind": "Namespace", **item}))


async def test_real_pods_run_the_copy(product: OnNode) -> None:
    ada = await product.sign_up()
    app = await ada.app(OK, processes={"web": {"port": 8080, "checks": {"readiness": {"path": "/healthz"}}}})
    done = await app.deploy()
    assert done["outcome"] == "live", done["reason"]
    release = await ada.get(f"/v1/releases/{done['release']['id']}")
    home = f"registry.test/mirror/{ada.organization['id'][4:]}/{app.app['id'][4:]}"
    assert release["runs_from"] == f"{home}@{release['digest']}"
    assert product.admin is not None
    pods = (await product.admin.list("v1", "Pod", "kv-" + app.environment["id"][4:]))["items"]
    assert {c["image"] for pod in pods for c in pod["spec"]["containers"]} == {release["runs_from"]}
    seen = {s["imageID"] for pod in pods for s in pod["status"]["containerStatuses"]}
    assert all(release["digest"] in image_id for image_id in seen), seen
    (told,) = await ada.events("deployment.image_copied")
    assert told["payload"]["size_bytes"] > 100_000


async def test_a_real_registry_takes_a_copy_that_stops_and_goes_on() -> None:
    endpoint = Endpoint(url=os.environ["KOVRA_TEST_REGISTRY"], plain_http=True, allow_private=True)
    outbound = Outbound()
    registries = Registries(outbound, {"registry.test": endpoint})
    source, home = parse(OK), f"registry.test/mirror/{new_id().hex}/web"
    digest, copy, attempts = (await registries.resolve(source)).variant, Copy(), 0
    target = Target(registries.repository(parse(home), None, pushes=True))

    async def heard(_copy: Copy) -> None:
        return None

    while not copy.done:
        attempts += 1
        # Another worker each time; each has time for one part of each blob.
        copier = Copier(Bounds(part_bytes=512 * 1024))
        until = clock.monotonic() + (0.001 if attempts < 4 else 60)
        asked = registries.repository(source, None)
        copy = await copier.copy(asked, target, digest, until=until, copy=Copy(uploads=dict(copy.uploads)), told=heard)
    assert attempts > 1
    found = await registries.resolve(parse(f"{home}@{digest}"))
    assert found.variant == digest
    try:
        assert await target.remove_all() == 1
        assert not await target.has_manifest(digest)
    except MirrorRefused:
        # A registry may be set up to let nobody remove.
        assert await target.has_manifest(digest)
    await outbound.close()
