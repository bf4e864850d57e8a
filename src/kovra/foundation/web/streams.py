"""Server-sent events: an answer that goes on. It holds no session, and ends when its client does not read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from fastapi import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

SEND_TIMEOUT_S: Final = 20.0
"""A client that takes nothing for so long is gone, or wishes it were."""
STREAMING: Final = "kovra.streaming"
"""Set in the scope of an answer that goes on: it is no request in flight, and its length says nothing of speed."""


def wants_events(request: Request) -> bool:
    """Whether the caller accepts an event stream; names it, not just anything."""
    return any(
        part.split(";")[0].strip() == "text/event-stream" for part in request.headers.get("accept", "").split(",")
    )


class EventStream(Response):
    """Base of streaming answers; subclasses call ``run`` with the events they send."""

    media_type = "text/event-stream"

    def __init__(self) -> None:
        super().__init__(
            headers={
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
                "Content-Type": "text/event-stream; charset=utf-8",
            }
        )
        del self.headers["content-length"]

    async def run(self, scope: Scope, receive: Receive, send: Send, events: AsyncIterator[bytes]) -> None:
        """Send until the events or the client's connection end."""
        scope[STREAMING] = True
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        sending = asyncio.ensure_future(self._send(send, events))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send(self, send: Send, events: AsyncIterator[bytes]) -> None:
        async for data in events:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
