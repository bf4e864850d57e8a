"""Watches: what was, then what happens, told line by line until the time is over."""

from __future__ import annotations

import asyncio
import json
from typing import Final

from aiohttp import web

from kovra.adapters.cluster.simulator.faults import REPEATS
from kovra.adapters.cluster.simulator.kinds import ApiError, Kind
from kovra.adapters.cluster.simulator.requests import matches, number
from kovra.adapters.cluster.simulator.store import END, Change, Object, Store
from kovra.foundation import clock

BOOKMARK_S: Final = 30.0
LONGEST_S: Final = 1800


class Watch:
    """One watch of one kind, in one namespace or everywhere."""

    def __init__(self, store: Store, request: web.Request, kind: Kind, namespace: str) -> None:
        self._store = store
        self._request = request
        self._kind = kind
        self._namespace = namespace
        self._queue: asyncio.Queue[Change] = asyncio.Queue()
        self._response = web.StreamResponse(headers={"Content-Type": "application/json", "Kovra-Simulated": "true"})
        self._last = b""

    async def stream(self) -> web.StreamResponse:
        """Tell until the caller goes, the time is over, or the store ends it."""
        given = self._request.query.get("resourceVersion", "")
        if given and not given.isdecimal():
            message = f'resourceVersion: Invalid value: "{given}": strconv.ParseUint: parsing "{given}": invalid syntax'
            raise ApiError(500, "", message)
        since = int(given or "0")
        # Refused before the stream begins.
        ends_s = number(self._request, "timeoutSeconds") or LONGEST_S
        matches(self._kind, self._request, {"metadata": {}})
        await self._response.prepare(self._request)
        if since and since < self._store.oldest():
            expired = ApiError(410, "Expired", f"too old resource version: {since} ({self._store.version})")
            await self._tell("ERROR", expired.status())
            return self._response
        self._store.watchers.add(self._queue)
        try:
            await self._replay(since)
            await self._follow(clock.monotonic() + ends_s)
        except ConnectionResetError:
            pass
        finally:
            self._store.watchers.discard(self._queue)
        return self._response

    async def _replay(self, since: int) -> None:
        if not since:
            for item in self._store.list(self._kind.kind, self._namespace):
                if matches(self._kind, self._request, item):
                    await self._tell("ADDED", self._store.shown(item))
            return
        for change in [c for c in self._store.history if c.version > since]:
            await self._pass_on(change)

    async def _follow(self, ends: float) -> None:
        bookmarks = self._request.query.get("allowWatchBookmarks") in ("true", "1")
        while (left := ends - clock.monotonic()) > 0:
            try:
                async with asyncio.timeout(min(left, BOOKMARK_S)):
                    change = await self._queue.get()
            except TimeoutError:
                if bookmarks:
                    await self._bookmark()
                continue
            if change is END:
                return
            await self._pass_on(change)

    async def _bookmark(self) -> None:
        metadata = {"resourceVersion": str(self._store.version)}
        await self._tell(
            "BOOKMARK", {"kind": self._kind.kind, "apiVersion": self._kind.api_version, "metadata": metadata}
        )

    async def _pass_on(self, change: Change) -> None:
        item = change.object
        if change.kind.kind != self._kind.kind:
            return
        if self._namespace and item["metadata"].get("namespace") != self._namespace:
            return
        is_in = change.type != "DELETED" and matches(self._kind, self._request, item)
        was_in = change.before is not None and matches(self._kind, self._request, change.before)
        if is_in or was_in:
            event = "DELETED" if not is_in else "MODIFIED" if was_in else "ADDED"
            await self._tell(event, self._store.shown(item, change.managers))

    async def _tell(self, event: str, document: Object) -> None:
        line = json.dumps({"type": event, "object": document}).encode() + b"\n"
        await self._response.write(line)
        if REPEATS.get():  # a fault was asked for
            await self._response.write(line + self._last)
            self._last = line
