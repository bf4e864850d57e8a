"""A product that is watched by many while its parts are killed, and what must hold then: also run large, by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.installation import Installation
from tests.support.watching import LogFollower, Person, Watcher

_EVERY_S = 0.05
_TALK = "told"
_TOGETHER = 10
"""Apps of one project: more would need more than the quota of an environment while they roll out."""


class Chaos:
    """One organization with apps to be deployed, watched by app and as a whole, and one app that writes logs all the time."""

    def __init__(self, product: Installation, *, apps: int, watchers: int, followers: int) -> None:
        self._product = product
        self.person = Person(product.port)
        self._counts = (apps, watchers, followers)
        self.apps: list[str] = []
        self.watchers: list[Watcher] = []
        self.followers: list[LogFollower] = []
        self._written: dict[str, list[str]] = {}
        self._start = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._talking: asyncio.Task[None]

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Chaos]:
        """Begin: everybody watches, and lines are written."""
        await self._made()
        try:
            self._tasks += [asyncio.create_task(one.follow()) for one in (*self.watchers, *self.followers)]
            async with asyncio.timeout(120):
                for watcher in self.watchers:
                    await self._met(watcher.subscribed)
                for follower in self.followers:
                    await self._met(follower.live)
            self._talking = asyncio.create_task(self._talk())
            self._tasks.append(self._talking)
            yield self
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self.person.client.aclose()

    async def _met(self, event: asyncio.Event) -> None:
        while not event.is_set():
            self._well()
            await asyncio.sleep(0.05)

    def _well(self) -> None:
        """A watcher that met what it must not says so at once."""
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()

    async def _made(self) -> None:
        apps, watchers, followers = self._counts
        person = self.person
        await person.sign_up()
        for number in range(0, apps + 1, _TOGETHER):
            await person.call("POST", "/v1/projects", {"name": "P", "slug": f"p{number // _TOGETHER}"})
        for number in range(apps):
            body = {"project": f"p{number // _TOGETHER}", "name": f"App {number}"}
            self.apps.append((await person.call("POST", "/v1/apps", body))["id"])
        body = {"project": "p0", "name": "T", "processes": {"web": {"port": 8080, "instances": 2}}}
        talker = await person.call("POST", "/v1/apps", body)
        assert await person.deploy(talker["id"], "registry.test/kovra/ok:1") == "live"
        (pair,) = (await person.call("GET", f"/v1/app-environments?app={talker['id']}"))["data"]
        self._pods = [
            pod
            for pod in self._product.simulator.store.list("Pod")
            if (pod["metadata"].get("labels") or {}).get("kovra.io/app-environment") == pair["id"].removeprefix("aev_")
        ]
        self._start = (await person.sequences(0))[-1]
        topics = [person.organization, *self.apps]
        self.watchers = [Watcher(person, topics[n % len(topics)], self._start) for n in range(watchers)]
        self.followers = [LogFollower(person, pair["id"], _TALK) for _ in range(followers)]

    async def _talk(self) -> None:
        number = 0
        while True:
            for pod in self._pods:
                line = f"{_TALK} {number}"
                self._product.simulator.kubelet.log(pod, line)
                self._written.setdefault(pod["metadata"]["name"], []).append(line)
            number += 1
            await asyncio.sleep(_EVERY_S)

    async def deploy(self, app: str, number: int) -> str:
        """Another image; the outcome."""
        return await self.person.deploy(app, f"registry.test/kovra/ok:{number % 2 + 1}")

    async def settled(self, within_s: float = 150) -> dict[str, Any]:
        """Wait until everybody has everything, and check that it is that, once, in order; how much it was."""
        self._talking.cancel()
        try:
            async with asyncio.timeout(within_s):
                while not await self._all_there():
                    self._well()
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise AssertionError(self._missing()) from None
        self._well()
        facts = 0
        for topic in {watcher.topic for watcher in self.watchers}:
            written = await self.person.sequences(self._start, topic)
            for watcher in self.watchers:
                if watcher.topic == topic:
                    # What came after the look at the ledger may be on its way or here.
                    assert watcher.seen[: len(written)] == written
                    assert watcher.seen == sorted(set(watcher.seen))
                    facts += len(watcher.seen)
        for follower in self.followers:
            assert follower.seen == self._written
        lines = sum(map(len, self._written.values()))
        return {"facts delivered": facts, "lines": lines, "breaks": [w.breaks for w in self.watchers]}

    def _missing(self) -> str:
        """Who is where, for a message."""
        written = {pod: len(lines) for pod, lines in self._written.items()}
        facts = [(w.topic[-4:], w.seen[-1:], w.breaks) for w in self.watchers]
        lines = [({pod: len(seen) for pod, seen in f.seen.items()}, f.breaks) for f in self.followers]
        return f"written {written}; lines {lines}; facts {facts}"

    async def _all_there(self) -> bool:
        for topic in {watcher.topic for watcher in self.watchers}:
            last = (await self.person.sequences(self._start, topic))[-1:]
            if any(w.topic == topic and w.seen[-1:] < last for w in self.watchers):
                return False
        return all(follower.seen == self._written for follower in self.followers)
