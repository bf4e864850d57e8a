"""One pod's log through everything that happens to it, against the simulator's API."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from kovra.adapters.cluster import connect, podlogs
from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.lines import START, Line, Mark
from kovra.adapters.cluster.podlogs import PodLog
from kovra.adapters.cluster.simulator import Fault, Simulator
from kovra.adapters.cluster.workload import ObjectRef


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podlogs, "_SOON_S", 0.02)
    monkeypatch.setattr(podlogs, "_LATE_S", 0.05)


@pytest.fixture(scope="module")
async def client(simulator: Simulator) -> AsyncIterator[ClusterClient]:
    made = await connect.from_kubeconfig(simulator.kubeconfig())
    await made.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "logs"}})
    yield made
    await made.close()


async def pod(client: ClusterClient, image: str, **spec: Any) -> ObjectRef:
    """A pod whose container may be read."""
    name = f"p-{secrets.token_hex(4)}"
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "logs", "labels": {"kovra.io/process": "web", "kovra.io/release": "4"}},
        "spec": {
            "containers": [{"name": "app", "image": f"registry.test/{image}", "securityContext": security}],
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            **spec,
        },
    }
    await client.apply(document)
    return ObjectRef.of(document)


async def running(client: ClusterClient, ref: ObjectRef) -> Any:
    """The pod, when its container has said that it listens."""
    async with asyncio.timeout(60):
        while True:
            found = await client.get(ref)
            log = PodLog(client, found, after=START)
            if any(line.text.startswith("listening") for line in [x async for batch in log.read() for x in batch]):
                return found
            await asyncio.sleep(0.01)


async def some(log: PodLog, count: int) -> list[Line]:
    """So many lines of a follower."""
    found: list[Line] = []
    async with asyncio.timeout(60), aclosing(log.follow()) as batches:
        async for lines in batches:
            found += lines
            if len(found) >= count:
                return found
    return found


def write(simulator: Simulator, document: Any, *lines: str) -> None:
    for line in lines:
        simulator.kubelet.log(document, line)


async def test_a_container_that_crashes_is_read_through_its_restarts(client: ClusterClient) -> None:
    ref = await pod(client, "kovra/crash:1")
    log = PodLog(client, await client.get(ref), after=START)
    lines = await some(log, 9)
    cycle = ["starting", "reading configuration", "fatal: cannot reach the database: connection refused"]
    assert [line.text for line in lines[:9]] == cycle * 3
    assert (lines[0].pod, lines[0].process, lines[0].release) == (ref.name, "web", 4)
    await client.delete(ref, grace_s=0)


async def test_a_reader_that_comes_later_gets_the_container_before_as_well(client: ClusterClient) -> None:
    ref = await pod(client, "kovra/crash:1")
    async with asyncio.timeout(60):
        while ((await client.get(ref)).get("status") or {}).get("containerStatuses", [{}])[0].get(
            "restartCount", 0
        ) < 1:
            await asyncio.sleep(0.02)
    log = PodLog(client, await client.get(ref), after=START)
    lines = [line.text async for batch in log.read() for line in batch]
    assert lines[:3] == ["starting", "reading configuration", "fatal: cannot reach the database: connection refused"]
    await client.delete(ref, grace_s=0)


FAULTS = {
    "cut by its deadline": Fault(path="/log$", delay_s=0.001, times=1000),
    "refused": Fault(path="/log$", status=503, times=3),
    "closed at once": Fault(path="/log$", connection="before", times=3),
    "cut in the middle": Fault(path="/log$", connection="half", times=3),
}


@pytest.mark.parametrize("broken", FAULTS)
async def test_a_broken_connection_loses_and_repeats_nothing(
    client: ClusterClient, simulator: Simulator, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T208."""
    monkeypatch.setattr(podlogs, "_FOLLOW_S", 0.05)
    ref = await pod(client, "kovra/ok:1")
    document = await running(client, ref)
    log = PodLog(client, document, after=START)
    reading = asyncio.create_task(some(log, 200 + 1))
    for n in range(200):
        write(simulator, document, f"n{n}")
        if n == 60:
            simulator.faults.add(replace(FAULTS[broken]))
        await asyncio.sleep(0.002)
    lines = [line.text for line in await reading if line.text.startswith("n")]
    simulator.faults.clear()
    assert lines == [f"n{n}" for n in range(200)]
    await client.delete(ref, grace_s=0)


async def test_reading_begins_anywhere_and_a_pod_that_is_gone_ends_it(
    client: ClusterClient, simulator: Simulator
) -> None:
    ref = await pod(client, "kovra/ok:1")
    document = await running(client, ref)
    write(simulator, document, *(f"n{n}" for n in range(10)))
    everything = [line async for batch in PodLog(client, document, after=START).read() for line in batch]
    marks: list[Mark] = [line.mark for line in everything]
    for at in (0, 3, len(marks) - 1):
        log = PodLog(client, document, after=marks[at])
        assert [line async for batch in log.read() for line in batch] == everything[at + 1 :]
    newest = [line.text async for batch in PodLog(client, document, after=START).read(tail=2) for line in batch]
    assert newest == ["n8", "n9"]
    log = PodLog(client, document, after=marks[-1])
    reading = asyncio.create_task(some(log, 10**6))
    await asyncio.sleep(0.05)
    write(simulator, document, "last")
    await client.delete(ref, grace_s=0)
    assert [line.text for line in await reading] == ["last"]


async def test_a_task_is_read_to_its_end_also_when_it_ended_long_ago(client: ClusterClient) -> None:
    ref = await pod(client, "kovra/task:1", restartPolicy="Never")
    log = PodLog(client, await client.get(ref), after=START)
    assert [line.text for line in await some(log, 99)] == ["line 1 of 3", "line 2 of 3", "line 3 of 3"]
    again = PodLog(client, await client.get(ref), after=START)
    assert len(await some(again, 99)) == 3
    await client.delete(ref, grace_s=0)
