"""Clients that watch a product whose parts are killed: they come back, resume by what they saw last, and remember it all."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException


class Person:
    """Somebody over real HTTP, who comes back when the API is away."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30, limits=httpx.Limits(max_connections=None)
        )
        self.token = ""
        self.organization = ""

    async def sign_up(self) -> None:
        """A new organization."""
        tag = secrets.token_hex(4)
        body = {
            "email": f"{tag}@example.test",
            "password": f"watch out {tag}",
            "name": "W",
            "organization": {"name": tag},
        }
        made = await self.call("POST", "/v1/auth/signup", body)
        self.token, self.organization = made["access_token"], made["organization"]["id"]

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer, once there is one."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if method == "POST" and path != "/v1/ws-tickets":  # a ticket whose answer was cut off is asked for anew
            headers["Idempotency-Key"] = secrets.token_hex(8)
        for _ in range(400):
            with contextlib.suppress(httpx.HTTPError):
                answer = await self.client.request(method, path, json=body, headers=headers)
                if answer.status_code < 300:
                    return answer.json()
                # A key whose request was cut off before its answer: it is in flight until that connection is noticed.
                # And 408: this process was too slow with a body.
                assert answer.status_code in (503, 409, 408), answer.text
            await asyncio.sleep(0.1)
        raise AssertionError(f"{method} {path} never answered")

    async def deploy(self, app: str, image: str) -> str:
        """A deployment's outcome; where it is not live, the reason."""
        body = {"environment": "production", "image": image}
        found = await self.call("POST", f"/v1/apps/{app}/deployments", body)
        for _ in range(100):
            now = await self.call("GET", f"/v1/deployments/{found['id']}?wait=5&until=terminal")
            if now["outcome"]:
                return str(now["outcome"] if now["outcome"] == "live" else now["reason"])
        raise AssertionError(now)

    async def sequences(self, after: int, topic: str = "") -> list[int]:
        """What the ledger holds after a sequence."""
        found: list[int] = []
        while True:
            query = f"limit=200&after={found[-1] if found else after}" + (f"&topic={topic}" if topic else "")
            page = await self.call("GET", f"/v1/events?{query}")
            found += [event["seq"] for event in page["data"]]
            if not page["has_more"]:
                return found


class Watcher:
    """Follows a topic over a socket; after any break it resumes by its last sequence."""

    def __init__(self, person: Person, topic: str, start: int) -> None:
        self.person, self.topic, self.after = person, topic, start
        self.seen: list[int] = []
        self.subscribed = asyncio.Event()
        self.breaks = 0

    async def follow(self) -> None:
        """Until it is canceled."""
        while True:
            with contextlib.suppress(WebSocketException, OSError, TimeoutError):
                await self._listen((await self.person.call("POST", "/v1/ws-tickets"))["ticket"])
            self.breaks += 1
            await asyncio.sleep(0.05)

    async def _listen(self, ticket: str) -> None:
        address = f"ws://127.0.0.1:{self.person.port}/v1/ws"
        protocols: list[Any] = ["kovra.v1", f"ticket.{ticket}"]
        async with connect(address, subprotocols=protocols, compression=None, proxy=None, open_timeout=30) as socket:
            await socket.send(json.dumps({"type": "subscribe", "id": "w", "topic": self.topic, "after": self.after}))
            async for text in socket:
                frame = json.loads(text)
                if frame.get("code") == "database_unavailable":
                    return  # it was away when this was asked for: once more
                assert frame["type"] not in ("dropped", "error"), frame
                if frame["type"] == "subscribed":
                    self.subscribed.set()
                if frame["type"] == "event":
                    self.after = frame["event"]["seq"]
                    self.seen.append(self.after)


class LogFollower:
    """Follows an app's lines that hold a text; after any break it resumes by the last line's id."""

    def __init__(self, person: Person, app_environment: str, text: str) -> None:
        self.person = person
        self._path = f"/v1/app-environments/{app_environment}/logs?q={text}"
        self._last: str | None = None
        self.seen: dict[str, list[str]] = {}
        """The lines of each pod, in the order in which they came."""
        self.live = asyncio.Event()
        self.breaks = 0

    async def follow(self) -> None:
        """Until it is canceled."""
        while True:
            with contextlib.suppress(httpx.HTTPError):
                await self._listen()
            self.breaks += 1
            await asyncio.sleep(0.1)

    async def _listen(self) -> None:
        headers = {"Authorization": f"Bearer {self.person.token}", "Accept": "text/event-stream"}
        headers |= {"Last-Event-ID": self._last} if self._last else {}
        async with self.person.client.stream("GET", self._path, headers=headers) as answer:
            if answer.status_code != 200:
                return
            fields: dict[str, str] = {}
            async for line in answer.aiter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                    continue
                self._one(fields)
                fields = {}

    def _one(self, fields: dict[str, str]) -> None:
        data = json.loads(fields.get("data", "null"))
        match fields.get("event"):
            case "line":
                self._last = fields["id"]
                self.seen.setdefault(data["pod"], []).append(data["line"])
            case "live" if data["live"]:
                self.live.set()
            case "dropped":
                raise AssertionError(data)
