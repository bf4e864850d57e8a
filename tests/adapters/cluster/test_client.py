"""The client against a cluster that misbehaves: what is tried again, what is not, and that nothing foreign escapes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kovra.adapters.cluster import client as module
from kovra.adapters.cluster.bounds import Bounds
from kovra.adapters.cluster.client import ClusterClient, to_remove
from kovra.adapters.cluster.connect import from_kubeconfig
from kovra.adapters.cluster.errors import (
    ClusterConflict,
    ClusterDenied,
    ClusterRefused,
    ClusterUnreachable,
    WatchExpired,
)
from kovra.adapters.cluster.simulator import Fault, Simulator, SimulatorOptions
from kovra.adapters.cluster.workload import ObjectRef
from kovra.foundation.errors import KovraError

NAMESPACE: dict[str, Any] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}
REF = ObjectRef.of(NAMESPACE)


@pytest.fixture
async def simulator(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    monkeypatch.setattr(module, "_pause", lambda wait_s: waited.append(wait_s) or 0.0)
    waited.clear()
    simulated = Simulator(SimulatorOptions(speed=20))
    await simulated.start()
    yield simulated
    await simulated.stop()


waited: list[float] = []


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[ClusterClient]:
    made = await from_kubeconfig(simulator.kubeconfig())
    yield made
    await made.close()


async def test_conflicts_are_tried_again_and_end(simulator: Simulator, client: ClusterClient) -> None:
    """T218."""
    passing = simulator.faults.add(Fault(method="PATCH", times=5, status=409))
    assert (await client.apply(NAMESPACE))["metadata"]["name"] == "n"
    assert passing.met == 5
    lasting = simulator.faults.add(Fault(method="PATCH", times=100, status=409))
    with pytest.raises(ClusterConflict):
        await client.apply(NAMESPACE)
    assert lasting.met == 6


async def test_an_overloaded_server_is_given_the_time_it_asks_for(simulator: Simulator, client: ClusterClient) -> None:
    """T219."""
    simulator.faults.add(Fault(times=2, status=429, retry_after_s=3))
    await client.list("v1", "Namespace")
    assert min(waited) >= 3
    simulator.faults.add(Fault(status=429, retry_after_s=300))
    with pytest.raises(ClusterUnreachable) as away:
        await client.list("v1", "Namespace")
    assert away.value.retry_after_s == 300
    always = simulator.faults.add(Fault(times=1000, status=429, retry_after_s=1))
    with pytest.raises(ClusterUnreachable):
        await client.list("v1", "Namespace")
    assert always.met <= 6


@pytest.mark.parametrize("code", [401, 403])
async def test_refused_credentials_are_tried_once_more_at_most(
    simulator: Simulator, client: ClusterClient, code: int
) -> None:
    """T222."""
    fault = simulator.faults.add(Fault(path="^/api/", times=9, status=code, message="cannot get resource"))
    with pytest.raises(ClusterDenied):
        await client.get(REF)
    assert fault.met == 2


@pytest.mark.parametrize(("code", "unready"), [(403, 403), (403, 500), (401, 500)])
async def test_an_api_server_that_starts_denies_nobody(
    simulator: Simulator, client: ClusterClient, code: int, unready: int
) -> None:
    """T219, T222: until its rules are read it refuses everybody; found by killing a real one in the middle of deployments."""
    await client.apply(NAMESPACE)
    simulator.faults.add(Fault(path="^/readyz$", times=2, status=unready))
    starting = simulator.faults.add(Fault(path="^/api/", times=3, status=code, message="cannot get resource"))
    assert (await client.get(REF))["metadata"]["name"] == "n"
    assert starting.met == 3


@pytest.mark.parametrize(
    ("message", "error", "kind"),
    [
        ('pods "p" is forbidden: exceeded quota: q, requested: pods=1', ClusterRefused, "quota_exceeded"),
        ('pods "p" is forbidden: maximum cpu usage per Container is 2', ClusterRefused, "quota_exceeded"),
        ('pods "p" is forbidden: violates PodSecurity "restricted:v1.35": x', ClusterRefused, "admission_refused"),
        ("unable to create new content because it is being terminated", ClusterUnreachable, ""),
        ('error looking up service account n/app: serviceaccount "app" not found', ClusterUnreachable, ""),
        ("status unknown for quota: q, resources: pods", ClusterUnreachable, ""),
        (
            'policies.admissionregistration.k8s.io is forbidden: User "u" cannot list resource "policies" in API group '
            '"admissionregistration.k8s.io" at the cluster scope', ClusterDenied, "",
        ),
    ],
)  # fmt: skip
async def test_a_403_says_what_refused(
    simulator: Simulator, client: ClusterClient, message: str, error: type[KovraError], kind: str
) -> None:
    """T223."""
    simulator.faults.add(Fault(path="^/api/", times=9, status=403, message=message))
    with pytest.raises(error) as refused:
        await client.apply({**NAMESPACE, "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}})
    assert getattr(refused.value, "kind", "") == kind


FAULTS = [
    Fault(times=99, body=b"not json"),
    Fault(times=99, body=b"[1]"),
    Fault(times=99, body=b'{"metadata": 1}'),
    Fault(times=99, status=500, body=b"<html>"),
    Fault(times=99, status=404, body=b"[]"),
    *(Fault(times=99, status=code) for code in (400, 401, 403, 404, 405, 409, 410, 418, 422, 500, 503, 504)),
    Fault(times=99, connection="before"),
    Fault(times=99, connection="half"),
    Fault(times=99, connection="stall"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=[f"{f.status}-{f.connection}-{f.body!r}" for f in FAULTS])
async def test_no_foreign_exception_escapes(simulator: Simulator, fault: Fault) -> None:
    client = await from_kubeconfig(simulator.kubeconfig())
    client._bounds = Bounds(timeout_s=0.05)
    calls = [
        client.get(REF),
        client.find(REF),
        client.list("v1", "Namespace"),
        client.apply(NAMESPACE),
        client.delete(REF),
        client.remove(REF),
        client.logs("n", "p"),
    ]
    simulator.faults.add(fault)
    for call in calls:
        with contextlib.suppress(KovraError):
            await call
    await client.close()


async def test_answers_are_of_bounded_size(simulator: Simulator, client: ClusterClient) -> None:
    client._bounds = Bounds(largest_bytes=1000)
    simulator.faults.add(Fault(times=9, body=b'{"a": "' + b"x" * 5000 + b'"}'))
    with pytest.raises(ClusterUnreachable, match="too large"):
        await client.get(REF)


async def test_an_answer_that_was_lost_is_asked_for_again(simulator: Simulator, client: ClusterClient) -> None:
    simulator.faults.add(Fault(method="PATCH", connection="after"))
    assert (await client.apply(NAMESPACE))["metadata"]["uid"]


async def test_a_call_whose_caller_has_no_time_left_is_not_tried_again(
    simulator: Simulator, client: ClusterClient
) -> None:
    """T203: after a pause of the process the caller's time and the call's are over in the same instant."""
    client._bounds = Bounds(timeout_s=0.2)
    stalled = simulator.faults.add(Fault(method="PATCH", times=9, connection="stall"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.25):
            asyncio.get_running_loop().call_later(0.1, time.sleep, 0.3)
            await client.apply(NAMESPACE)
    assert stalled.met == 1


async def test_only_so_many_calls_run_at_once(simulator: Simulator, client: ClusterClient) -> None:
    client._at_once = asyncio.Semaphore(2)
    running, most = 0, 0
    opened = client._open

    async def counted(*args: Any) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return await opened(*args)
        finally:
            running -= 1

    client._open = counted  # type: ignore[method-assign]
    await asyncio.gather(*(client.list("v1", "Namespace") for _ in range(8)))
    assert most == 2


async def test_a_watch_from_what_is_forgotten_is_expired(simulator: Simulator, client: ClusterClient) -> None:
    """T221."""
    await client.apply(NAMESPACE)
    simulator.store.forget_history()
    with pytest.raises(WatchExpired):
        async for _ in client.watch("v1", "Namespace", labels="", resource_version="1", timeout_s=2):
            pass


async def test_a_watch_that_tells_nothing_is_dead_after_a_while(
    simulator: Simulator, client: ClusterClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T220: a half-open connection looks like a quiet cluster, but for the bookmarks that do not come."""
    monkeypatch.setattr(module, "QUIET_S", 0.2)
    stalled = simulator.faults.add(Fault(watch=True, connection="stall"))
    with pytest.raises(ClusterUnreachable):
        async with asyncio.timeout(60):
            async for _ in client.watch("v1", "Namespace", labels="", resource_version="", timeout_s=60):
                pass
    assert stalled.met == 1


@pytest.mark.parametrize(
    "line",
    [
        b"[1]",
        b"1",
        b"not json",
        b'{"type": "ADDED"}',
        b'{"type": "ADDED", "object": []}',
        b'{"type": "ADDED", "object": {"metadata": 1}}',
        b'{"type": "ADDED", "object": {"metadata": {}}}',
        b'{"object": {"metadata": {"resourceVersion": "1"}}}',
        b'{"type": "ERROR", "object": []}',
        b'{"type": "ERROR", "object": {"code": 500, "message": "etcd is away"}}',
    ],
)
async def test_what_is_no_event_breaks_the_watch_and_not_its_reader(
    simulator: Simulator, client: ClusterClient, line: bytes
) -> None:
    simulator.faults.add(Fault(watch=True, body=line + b"\n"))
    with pytest.raises(ClusterUnreachable):
        async for _ in client.watch("v1", "Namespace", labels="", resource_version="", timeout_s=5):
            pass


def test_routes_go_first_and_what_pods_read_last() -> None:
    """What is taken away in another order answers errors to visitors, or keeps pods from ending well."""
    kinds = ("Secret", "Deployment", "PodDisruptionBudget", "Service", "HTTPRoute", "Job", "Ingress", "Namespace")
    refs = [ObjectRef(api_version="v1", kind=kind, namespace="n", name=name) for kind in kinds for name in ("b", "a")]
    order = [ref.kind for ref in to_remove(refs, [r for r in refs if r.name == "b"])]
    assert (order[:3], order[6:]) == (["HTTPRoute", "Ingress", "Service"], ["Secret", "Namespace"])
    assert set(order[3:6]) == {"Deployment", "Job", "PodDisruptionBudget"}
