"""Many clients watch deployments while the api and the database are killed: nothing is lost, and the order holds."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.support.installation import Installation, installation

WATCHERS, APPS, ROUNDS = 30, 5, 2


class Person:
    """Somebody over real HTTP, who comes back when the API is away."""

    def __init__(self, product: Installation) -> None:
        self.product = product
        self.client = httpx.AsyncClient(base_url=product.url, trust_env=False, timeout=10)
        self.token = ""

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if method == "POST" and path != "/v1/ws-tickets":  # a ticket whose answer was cut off is asked for anew
            headers["Idempotency-Key"] = secrets.token_hex(8)
        for _ in range(200):
            with contextlib.suppress(httpx.HTTPError):
                answer = await self.client.request(method, path, json=body, headers=headers)
                if answer.status_code < 300:
                    return answer.json()
                # A key whose request was cut off before its answer: it is in flight until that connection is noticed.
                assert answer.status_code in (503, 409), answer.text
            await asyncio.sleep(0.1)
        raise AssertionError(f"{method} {path} never answered")


class Watcher:
    """Follows its organization over a socket; after any break it resumes by its last sequence."""

    def __init__(self, person: Person, organization: str, start: int) -> None:
        self.person, self.organization, self.after = person, organization, start
        self.seen: list[int] = []
        self.subscribed = asyncio.Event()
        self.breaks = 0

    async def follow(self, until: asyncio.Event) -> None:
        while not until.is_set():
            try:
                ticket = (await self.person.call("POST", "/v1/ws-tickets"))["ticket"]
                await self._listen(ticket)
            except (WebSocketException, OSError, TimeoutError):
                self.breaks += 1
                await asyncio.sleep(0.05)

    async def _listen(self, ticket: str) -> None:
        address = f"ws://127.0.0.1:{self.person.product.port}/v1/ws"
        protocols: list[Any] = ["kovra.v1", f"ticket.{ticket}"]
        async with connect(address, subprotocols=protocols, compression=None, proxy=None) as socket:
            await socket.send(
                json.dumps({"type": "subscribe", "id": "o", "topic": self.organization, "after": self.after})
            )
            async for text in socket:
                frame = json.loads(text)
                assert frame["type"] != "dropped", frame
                if frame["type"] == "subscribed":
                    self.subscribed.set()
                if frame["type"] == "event":
                    self.after = frame["event"]["seq"]
                    self.seen.append(self.after)


@pytest.fixture
async def product(keyrings: Path, tmp_path: Path) -> AsyncIterator[Installation]:
    data = Path(tempfile.mkdtemp(prefix="kovra-watching-"))
    data.chmod(0o711)
    try:
        async with installation(tmp_path, data / "postgres", keyrings, KOVRA_UNLIMITED="true") as found:
            yield found
    finally:
        shutil.rmtree(data, ignore_errors=True)


async def _world(person: Person) -> tuple[str, list[str]]:
    body = {"email": "w@example.test", "password": "watch out for me", "name": "W", "organization": {"name": "W"}}
    made = await person.call("POST", "/v1/auth/signup", body)
    person.token = made["access_token"]
    await person.call("POST", "/v1/projects", {"name": "P", "slug": "p"})
    apps = [await person.call("POST", "/v1/apps", {"project": "p", "name": f"App {n}"}) for n in range(APPS)]
    return made["organization"]["id"], [app["id"] for app in apps]


async def _deploy(person: Person, app: str, number: int) -> str:
    body = {"environment": "production", "image": f"registry.test/kovra/ok:{number % 2 + 1}"}
    found = await person.call("POST", f"/v1/apps/{app}/deployments", body)
    for _ in range(100):
        now = await person.call("GET", f"/v1/deployments/{found['id']}?wait=5&until=terminal")
        if now["outcome"]:
            return str(now["outcome"] if now["outcome"] == "live" else now["reason"])
    raise AssertionError(now)


@pytest.mark.timeout(180)
async def test_nothing_is_lost_when_the_api_and_the_database_are_killed(product: Installation) -> None:
    """T207, T217."""
    person = Person(product)
    organization, apps = await _world(person)
    start = (await person.call("GET", "/v1/events?limit=200"))["data"][-1]["seq"]
    watchers = [Watcher(person, organization, start) for _ in range(WATCHERS)]
    over = asyncio.Event()
    following = [asyncio.create_task(w.follow(over)) for w in watchers]
    async with asyncio.timeout(30):
        await asyncio.gather(*(w.subscribed.wait() for w in watchers))
    outcomes: list[str] = []
    for number in range(ROUNDS):
        deploying = [asyncio.create_task(_deploy(person, app, number)) for app in apps]
        await asyncio.sleep(0.3)
        if number == 0:
            await product.api.kill()
            await product.api.start()
        else:
            await asyncio.to_thread(product.postgres.restart, immediate=True)
        outcomes += await asyncio.gather(*deploying)
    assert set(outcomes) == {"live"}
    written = await sequences(person, start)
    for _ in range(1200):
        if all(w.seen and w.seen[-1] >= written[-1] for w in watchers):
            break
        await asyncio.sleep(0.05)
    over.set()
    for task in following:
        task.cancel()
    ends = await asyncio.gather(*following, return_exceptions=True)
    assert not [e for e in ends if isinstance(e, Exception)]
    written = await sequences(person, start)
    for watcher in watchers:
        assert watcher.seen == written[: len(watcher.seen)]
        assert len(watcher.seen) >= len(written) - 2, "what came last may have been under way"
        assert watcher.breaks >= 1
    await person.client.aclose()


async def sequences(person: Person, after: int) -> list[int]:
    found: list[int] = []
    while True:
        page = await person.call("GET", f"/v1/events?limit=200&after={found[-1] if found else after}")
        found += [event["seq"] for event in page["data"]]
        if not page["has_more"]:
            return found
