"""Whatever happens to the cluster in the middle, there is one verdict, the right one, and what must serve serves.

Each case has an app of its own, and all run at once; what disturbs everybody is in the other file.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import pytest

from kovra.adapters.cluster.simulator import Fault
from kovra.adapters.cluster.workload import ObjectRef
from kovra.foundation.ids import decode
from tests.features.deployments.disturbed.conftest import (
    LIMIT_S,
    Place,
    deployment_of,
    labels,
    namespace,
    until,
)
from tests.support.product import App

OK, OTHER = "registry.test/kovra/ok:1", "registry.test/kovra/ok:2"
NO_PODS: Final = b'{"kind": "PodList", "metadata": {}, "items": []}'
Case = Callable[[Place], Awaitable[None]]
CASES: Final[dict[str, Case]] = {}
AT_ONCE: Final = 4


def case(made: Case) -> Case:
    """One of the cases."""
    CASES[made.__name__.replace("_", " ")] = made
    return made


async def verdict(app: App, started: dict[str, Any]) -> dict[str, Any]:
    """How it ended, which the ledger must tell once."""

    async def ended() -> dict[str, Any] | None:
        now: dict[str, Any] = await app.caller.get(f"/v1/deployments/{started['id']}?wait=30&until=terminal")
        return now if now["outcome"] else None

    found: dict[str, Any] = await until(ended)
    told = await app.caller.events("deployment.finished", started["id"])
    assert [event["payload"]["outcome"] for event in told] == [found["outcome"]]
    return found


async def live(app: App, **body: Any) -> dict[str, Any]:
    """Deploy; the release that serves then."""
    found = await verdict(app, await app.start(**body))
    assert found["outcome"] == "live", found["reason"]
    return dict(found["release"])


async def in_phase(app: App, started: dict[str, Any], phase: str) -> None:
    async def there() -> bool:
        now = await app.caller.get(f"/v1/deployments/{started['id']}")
        assert now["outcome"] is None, now
        return bool(now["phase"] == phase)

    await until(there)


async def waits_for(app: App, started: dict[str, Any], words: str) -> None:
    async def said() -> bool:
        now = await app.caller.get(f"/v1/deployments/{started['id']}")
        assert now["outcome"] is None, now
        return words in (now["waiting_for"] or "")

    await until(said)


@case
async def two_deployments_at_once(place: Place) -> None:
    """The last one serves; the others went live before it, or made way."""
    app = await place.app()
    started = [await app.start(image=image) for image in (OK, OTHER, OK)]
    first, second, last = [await verdict(app, one) for one in started]
    assert last["outcome"] in ("live", "skipped"), last
    assert {first["outcome"], second["outcome"]} <= {"live", "superseded"}, (first, second)
    await place.serves(app, (await app.now())["current_release"] | {"digest": last["release"]["digest"]})


async def _changed_by_hand(place: Place, *operations: dict[str, Any]) -> None:
    app = await place.app()
    before = await live(app)
    async with place.failing(f"/namespaces/{namespace(app)}/pods$", method="GET", body=NO_PODS):
        started = await app.start(image=OTHER)
        await in_phase(app, started, "verifying")
        await place.by_hand(deployment_of(app), *operations)
    found = await verdict(app, started)
    assert found["outcome"] == "live", found["reason"]
    assert found["release"]["number"] == before["number"] + 1
    await place.serves(app, found["release"])


@case
async def instances_changed_by_hand_in_a_rollout(place: Place) -> None:
    await _changed_by_hand(place, {"op": "replace", "path": "/spec/replicas", "value": 3})


@case
async def the_image_changed_by_hand_in_a_rollout(place: Place) -> None:
    image = f"registry.test/kovra/drain@sha256:{'0' * 64}"
    await _changed_by_hand(
        place, {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image}
    )  # fmt: skip


@case
async def a_deployment_deleted_by_hand_in_a_rollout(place: Place) -> None:
    app = await place.app()
    await live(app)
    async with place.failing(f"/namespaces/{namespace(app)}/pods$", method="GET", body=NO_PODS):
        started = await app.start(image=OTHER)
        await in_phase(app, started, "verifying")
        await place.admin.delete(deployment_of(app))
    found = await verdict(app, started)
    assert found["outcome"] == "live", found["reason"]
    await place.serves(app, found["release"])


def _namespace(app: App) -> ObjectRef:
    return ObjectRef(api_version="v1", kind="Namespace", namespace="", name=namespace(app))


async def _hold(place: Place, app: App) -> ObjectRef:
    """Something in its namespace that does not go."""
    held = {"name": "held", "namespace": namespace(app), "finalizers": ["kovra.test/hold"]}
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": held}
    await place.admin.apply(document)
    return ObjectRef.of(document)


async def _let_go(place: Place, held: ObjectRef) -> None:
    await place.by_hand(held, {"op": "remove", "path": "/metadata/finalizers"})


@case
async def the_namespace_deleted_by_hand(place: Place) -> None:
    """What serves comes back by itself, though the worker's few rights there go with the namespace."""
    app = await place.app()
    release = await live(app)
    before = await place.admin.get(_namespace(app))
    await place.admin.delete(_namespace(app))

    async def anew() -> bool:
        found = await place.admin.find(_namespace(app))
        return found is not None and found["metadata"]["uid"] != before["metadata"]["uid"]

    await until(anew)
    await place.serves(app, release)


@case
async def the_namespace_deleted_by_hand_in_a_rollout(place: Place) -> None:
    app = await place.app()
    async with place.failing(f"/namespaces/{namespace(app)}/pods$", method="GET", body=NO_PODS):
        started = await app.start()
        await in_phase(app, started, "verifying")
        await place.admin.delete(_namespace(app))
    found = await verdict(app, started)
    assert found["outcome"] == "live", found["reason"]
    await place.serves(app, found["release"])


@case
async def a_namespace_stuck_in_its_deletion_before_a_deployment(place: Place) -> None:
    """T223: it says what it waits for."""
    app = await place.app()
    await live(app)
    held = await _hold(place, app)
    await place.admin.delete(_namespace(app))
    started = await app.start(image=OTHER)
    await waits_for(app, started, "still being deleted")
    await _let_go(place, held)
    found = await verdict(app, started)
    assert found["outcome"] == "live", found["reason"]
    await place.serves(app, found["release"])


@case
async def a_namespace_stuck_in_its_deletion_at_a_purge(place: Place) -> None:
    """The rows stay until it is gone."""
    app = await place.app()
    await live(app)
    held = await _hold(place, app)
    await app.caller.ok("DELETE", f"/v1/projects/{app.project['id']}?cascade={app.project['slug']}")
    project = decode("prj", app.project["id"])
    await place.product.sql("update projects set purge_at = now() - interval '1 second' where id = $1", project)

    async def going() -> bool:
        found = await place.admin.find(_namespace(app))
        return found is not None and "deletionTimestamp" in found["metadata"]

    async def is_left() -> bool:
        return bool(await place.product.sql("select 1 from projects where id = $1", project))

    await until(going)
    assert await is_left()
    await _let_go(place, held)

    async def purged() -> bool:
        return not await is_left()

    await until(purged)
    assert await place.admin.find(_namespace(app)) is None


@case
async def a_rollback_with_older_config(place: Place) -> None:
    app = await place.app()
    first: dict[str, Any] = {}
    for level, image in (("1", OK), ("2", OTHER)):
        await app.caller.patch(f"{app.path}/config", {"vars": {"LEVEL": level}})
        await app.caller.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": f"value-of-level-{level}"}})
        release = await live(app, image=image)
        first = first or release
    back = await verdict(app, await app.caller.post(f"{app.path}/actions/rollback", {"release": first["id"]}))
    assert back["outcome"] == "live", back["reason"]
    await place.serves(app, back["release"])
    (pod,) = await place.pods(app)
    (name,) = {source["secretRef"]["name"] for source in pod["spec"]["containers"][0]["envFrom"]}
    secret = await place.admin.get(ObjectRef(api_version="v1", kind="Secret", namespace=namespace(app), name=name))
    values = {name: base64.b64decode(value).decode() for name, value in secret["data"].items()}
    assert (values["LEVEL"], values["API_KEY"]) == ("1", "value-of-level-1")


@case
async def the_cluster_away_for_ten_minutes(place: Place) -> None:
    """T219: its deadline passes, by moving that and not by waiting; what served before serves when it is back."""
    app = await place.app()
    before = await live(app)
    async with place.failing(f"/namespaces/{namespace(app)}", connection="before"):
        started = await app.start(image=OTHER)
        await waits_for(app, started, "does not answer")
        ten = "update deployments set deadline_at = deadline_at - interval '16 minutes' where id = $1"
        await place.product.sql(ten, decode("dep", started["id"]))
        found = await verdict(app, started)
    assert (found["outcome"], found["reason"]["code"]) == ("failed", "cluster_unreachable"), found["reason"]
    assert "does not answer" in found["reason"]["evidence"][0]
    await place.serves(app, before)


CALLS: Final = {
    "namespace": ("PATCH", "/namespaces/{}$"),
    "policy": ("PATCH", "/namespaces/{}/networkpolicies/"),
    "quota": ("PATCH", "/namespaces/{}/resourcequotas/"),
    "account": ("GET", "/namespaces/{}/serviceaccounts/"),
    "secret": ("PATCH", "/namespaces/{}/secrets/"),
    "deployment": ("PATCH", "/namespaces/{}/deployments/"),
    "service": ("PATCH", "/namespaces/{}/services/"),
    "route": ("PATCH", "/namespaces/{}/httproutes/"),
    "job": ("PATCH", "/namespaces/{}/jobs/"),
    "job-status": ("GET", "/namespaces/{}/jobs/"),
    "status": ("GET", "/namespaces/{}/deployments$"),
    "pods": ("GET", "/namespaces/{}/pods$"),
    "prune": ("DELETE", "/namespaces/{}/secrets/"),
}
"""Every kind of call that a deployment makes."""
_ANSWERS: Final = [{"status": 429, "retry_after_s": 1}, {"status": 500}, {"status": 504}, {"connection": "half"}]
_OF_WRITES: Final = [{"status": 409}, {"connection": "after"}]


async def _wrong_answers(place: Place, method: str, path: str) -> None:
    """T218, T219: a deployment meets each of them at one kind of call, and the next try is good."""
    app = await place.app(release_command=["/testapp", "task"])
    if path.endswith("/secrets/"):
        await app.caller.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": "first"}})
    if method == "DELETE":
        await live(app)
        await app.caller.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": "second"}})
    wrong: list[dict[str, Any]] = [*_ANSWERS, *(_OF_WRITES if method == "PATCH" else [])]
    where = path.format(namespace(app))
    faults = [place.gate.faults.add(Fault(method=method, path=where, **how)) for how in wrong]
    release = await live(app)

    async def all_met() -> bool:
        return all(fault.met for fault in faults)

    await until(all_met)
    await place.serves(app, release)

    async def only_one_secret() -> bool:
        return len((await place.admin.list("v1", "Secret", namespace(app), labels=labels(app)))["items"]) == 1

    await until(only_one_secret)


for _name, (_method, _path) in CALLS.items():
    CASES[f"wrong answers to {_name}"] = lambda place, m=_method, p=_path: _wrong_answers(place, m, p)  # type: ignore[misc]


@pytest.fixture(scope="module")
async def running(place: Place, request: pytest.FixtureRequest) -> AsyncIterator[dict[str, asyncio.Task[None]]]:
    """Those that were asked for, several at once: most of a case is waiting."""
    asked = {item.callspec.params["name"] for item in request.session.items if hasattr(item, "callspec")
             and "name" in item.callspec.params}  # fmt: skip
    turns = asyncio.Semaphore(AT_ONCE)

    async def run(one: Case) -> None:
        async with turns, asyncio.timeout(2 * LIMIT_S):
            await one(place)

    tasks = {name: asyncio.create_task(run(one)) for name, one in CASES.items() if name in asked}  # type: ignore[arg-type]
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", CASES)
async def test_the_verdict_is_right_whatever_happens(running: dict[str, asyncio.Task[None]], name: str) -> None:
    """T198, T207, T218, T219, T223."""
    await running[name]
