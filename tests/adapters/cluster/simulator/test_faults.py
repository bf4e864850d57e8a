"""The fault switches do what they say, as often as they say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from kovra.adapters.cluster.simulator import Fault, Simulator, SimulatorOptions

NAMESPACES = "/api/v1/namespaces"


class Caller:
    """Bare HTTP with the simulator's token."""

    def __init__(self, simulator: Simulator, session: aiohttp.ClientSession) -> None:
        self._simulator, self._session = simulator, session
        self._headers = {"Authorization": f"Bearer {simulator.kubeconfig()['users'][0]['user']['token']}"}

    async def __call__(self, method: str = "GET", path: str = NAMESPACES, body: object = None) -> tuple[int, bytes]:
        url = self._simulator.url + path
        async with self._session.request(method, url, json=body, headers=self._headers) as answer:
            return answer.status, await answer.read()


@pytest.fixture
async def own() -> AsyncIterator[Simulator]:
    simulator = Simulator(SimulatorOptions(speed=20))
    await simulator.start()
    yield simulator
    await simulator.stop()


@pytest.fixture
async def call(own: Simulator) -> AsyncIterator[Caller]:
    async with aiohttp.ClientSession() as session:
        yield Caller(own, session)


def made(name: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


async def test_so_many_matching_requests_are_answered_otherwise(own: Simulator, call: Caller) -> None:
    fault = own.faults.add(Fault(times=2, path="/namespaces$", status=429, retry_after_s=3))
    assert (await call(path="/version"))[0] == 200
    status, body = await call()
    assert (status, json.loads(body)["details"]["retryAfterSeconds"]) == (429, 3)
    assert [(await call())[0] for _ in range(2)] == [429, 200]
    assert fault.met == 2


async def test_methods_bodies_and_an_end(own: Simulator, call: Caller) -> None:
    own.faults.add(Fault(method="POST", status=500))
    own.faults.add(Fault(times=100, body=b"not json"))
    assert (await call())[1] == b"not json"
    assert (await call("POST", body=made("a")))[0] == 500
    own.faults.clear()
    assert (await call("POST", body=made("a")))[0] == 201


@pytest.mark.parametrize(("connection", "took_effect"), [("before", False), ("after", True)])
async def test_a_dropped_connection_did_or_did_not_take_effect(
    own: Simulator, call: Caller, connection: str, took_effect: bool
) -> None:
    own.faults.add(Fault(method="POST", connection=connection))  # type: ignore[arg-type]
    with pytest.raises(aiohttp.ClientError):
        await call("POST", body=made("a"))
    assert ((await call(path=f"{NAMESPACES}/a"))[0] == 200) is took_effect


async def test_half_an_answer_and_no_answer(own: Simulator, call: Caller) -> None:
    own.faults.add(Fault(connection="half"))
    own.faults.add(Fault(connection="stall"))
    with pytest.raises(aiohttp.ClientError):
        await call()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call(), 0.1)
    assert (await call())[0] == 200


async def test_a_watch_can_be_silent_or_tell_twice(own: Simulator, call: Caller) -> None:
    own.faults.add(Fault(watch=True, connection="stall"))
    own.faults.add(Fault(watch=True, connection="repeat"))
    assert (await call())[0] == 200
    path = f"{NAMESPACES}?watch=true&timeoutSeconds=1&resourceVersion={own.store.version}"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call(path=path), 0.1)
    watching = asyncio.create_task(call(path=path))
    while not own.store.watchers:
        await asyncio.sleep(0.01)
    for name in ("a", "b"):
        await call("POST", body=made(name))
    lines = (await watching)[1].splitlines()
    added = [e["object"]["metadata"]["name"] for e in map(json.loads, lines) if e["type"] == "ADDED"]
    assert added == ["a", "a", "b", "b", "a"]


@pytest.mark.parametrize("lost", [False, True])
async def test_it_goes_away_and_comes_back_at_the_same_address(own: Simulator, call: Caller, lost: bool) -> None:
    await call("POST", body=made("a"))
    watching = asyncio.create_task(call(path=f"{NAMESPACES}?watch=true"))
    while not own.store.watchers:
        await asyncio.sleep(0.01)
    url = own.url
    await own.go_away()
    await asyncio.wait_for(asyncio.gather(watching, return_exceptions=True), 60)
    with pytest.raises(aiohttp.ClientError):
        await call()
    await own.come_back(lost=lost)
    assert own.url == url
    assert ((await call(path=f"{NAMESPACES}/a"))[0] == 404) is lost


def test_faults_are_bounded() -> None:
    for wrong in ({"times": 0}, {"times": 10**6}, {"delay_s": 1e9}):
        with pytest.raises(ValueError, match="a fault meets"):
            Fault(**wrong)  # type: ignore[arg-type]
