"""Faults on demand, for tests: the next so many requests that match go wrong in one way.

``simulator.faults.add(Fault(method="PATCH", path="/deployments/", times=5, status=409))``; what is answered, delayed,
dropped or stalled is taken from the list when it has met its requests. Everything is bounded.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, Literal

from aiohttp import web

MOST: Final = 10_000
LONGEST_S: Final = 300.0
_REASONS: Final = {
    400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Expired",
    422: "Invalid", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout",
}  # fmt: skip
Break = Literal["", "before", "after", "half", "stall", "repeat"]
REPEATS: Final[ContextVar[bool]] = ContextVar("repeats", default=False)
"""Whether the watch of this request tells every event twice."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True, kw_only=True)
class Fault:
    """One way to go wrong, for the next ``times`` requests that match; first added, first met."""

    times: int = 1
    method: str = ""
    """Empty: any."""
    path: str = ""
    """A regular expression searched in the path; empty: any. ``^/v2/`` are the registry's."""
    watch: bool = False
    """Watches alone; else everything but watches."""
    status: int | None = None
    """Answered instead, as a ``Status`` object; None: the request is answered as ever, once the delay is over."""
    message: str = "a fault was asked for"
    retry_after_s: int | None = None
    body: bytes | None = None
    """Answered with ``status`` (or 200) as it is, in place of a ``Status``."""
    delay_s: float = 0.0
    """Before anything else happens."""
    connection: Break = ""
    """``before``: closed, nothing happened. ``after``: it took effect, the answer is lost. ``half``: half an answer.
    ``stall``: nothing comes until the caller gives up (a watch: its headers, then silence). ``repeat``: a watch tells
    every event twice, and the one before it once more."""
    met: int = 0
    """Requests it has met."""

    def __post_init__(self) -> None:
        if not 1 <= self.times <= MOST or not 0 <= self.delay_s <= LONGEST_S:
            raise ValueError(f"a fault meets 1 to {MOST} requests and delays up to {LONGEST_S:.0f} seconds")
        re.compile(self.path)

    def matches(self, request: web.Request) -> bool:
        """Whether it is meant for this request, and has not met enough of them."""
        return (
            self.met < self.times
            and self.watch == is_watch(request)
            and self.method in ("", request.method)
            and re.search(self.path, request.path) is not None
        )

    def answer(self) -> web.Response:
        """What is answered instead."""
        code = self.status or 200
        headers = {"Retry-After": str(self.retry_after_s)} if self.retry_after_s is not None else {}
        if self.body is not None:
            return web.Response(status=code, body=self.body, headers=headers, content_type="application/json")
        details = {} if self.retry_after_s is None else {"retryAfterSeconds": self.retry_after_s}
        status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": _REASONS.get(code, ""),
            "details": details,
            "code": code,
        }
        return web.Response(status=code, text=json.dumps(status), headers=headers, content_type="application/json")


class Faults:
    """What is to go wrong next."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Ask for a fault; the returned one counts the requests it met."""
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self._faults.clear()

    async def around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request, or let it go wrong."""
        fault = next((f for f in self._faults if f.matches(request)), None)
        if fault is None:
            return await handler(request)
        fault.met += 1
        if fault.met >= fault.times:
            self._faults.remove(fault)
        await asyncio.sleep(fault.delay_s)
        if fault.status is not None or fault.body is not None:
            return fault.answer()
        return await _broken(fault.connection, request, handler)


async def _broken(how: Break, request: web.Request, handler: Handler) -> web.StreamResponse:
    match how:
        case "before":
            _cut(request)
        case "after":
            await handler(request)
            _cut(request)
        case "half":
            answered = await handler(request)
            whole = answered.body if isinstance(answered, web.Response) else b""
            raw = bytes(whole) if isinstance(whole, bytes | bytearray) else b""
            response = web.StreamResponse(status=answered.status, headers={"Content-Type": "application/json"})
            response.content_length = len(raw)
            await response.prepare(request)
            await response.write(raw[: len(raw) // 2])
            _cut(request)
        case "stall":
            response = web.StreamResponse(headers={"Content-Type": "application/json"})
            if is_watch(request):
                await response.prepare(request)
            await asyncio.sleep(LONGEST_S)
        case "repeat":
            REPEATS.set(True)
            return await handler(request)
        case "":
            return await handler(request)
    return web.Response(status=500)  # nobody reads it


def is_watch(request: web.Request) -> bool:
    """Whether a request asks to be told of changes."""
    return request.query.get("watch") in ("true", "1")


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
