"""Server-sent events: an answer that goes on until its source ends or the caller has gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

from fastapi import Request
from fastapi.responses import Response
from pydantic_core import to_json
from starlette.types import Receive, Scope, Send

MEDIA_TYPE: Final = "text/event-stream"
COMMENT: Final = b": still here\n\n"
"""Keeps proxies from closing a quiet stream; no client sees it."""


SEND_TIMEOUT_S: Final = 20.0
"""A client that takes nothing for so long is gone, or wishes it were."""
STREAMING: Final = "kovra.streaming"
"""Set in the scope of an answer that goes on: it is no request in flight, and its length says nothing of speed."""


def wants_events(request: Request) -> bool:
    """Whether the caller asks for an event stream: it names the type."""
    return any(part.split(";")[0].strip() == MEDIA_TYPE for part in request.headers.get("accept", "").split(","))


def event(kind: str, data: Any, *, id: str | None = None) -> bytes:  # noqa: A002  # the field's name in the standard
    """One event; its data is JSON on one line, so nothing inside can end it or begin another."""
    return rendered_event(kind, to_json(data).decode(), id=id)


def rendered_event(kind: str, data: str, *, id: str | None = None) -> bytes:  # noqa: A002
    """One event whose JSON is there already, on one line."""
    head = f"id: {id}\n" if id is not None else ""
    return f"{head}event: {kind}\ndata: {data}\n\n".encode()


class EventStream(Response):
    """Sends what the generator gives. It is closed as soon as the caller has gone, and waits while the caller is slow.

    ``on_close`` is called once at the end, also when the generator never began.
    """

    media_type = MEDIA_TYPE

    def __init__(self, events: AsyncGenerator[bytes], *, on_close: Callable[[], None] = lambda: None) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._events, self._on_close = events, on_close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        tasks: list[asyncio.Task[None]] = []
        scope[STREAMING] = True
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            tasks += [asyncio.create_task(self._feed(send)), asyncio.create_task(_gone(receive))]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._events.aclose()
            self._on_close()

    async def _feed(self, send: Send) -> None:
        async for part in self._events:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
