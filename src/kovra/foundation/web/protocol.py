"""uvicorn's HTTP protocol with the patience it has no option for: time for the head of a request, and bytes for it.

uvicorn keeps a connection that has sent half a head, or nothing, for ever, and buffers a head of any size. What reaches
the middleware is complete; what happens before can only be bounded here.
"""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic_core import to_json
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol


class PatientProtocol(HttpToolsProtocol):
    """Closes connections whose next request does not get to its body in time, and refuses what two readers may read differently."""

    head_timeout_s: float = 15.0
    """From the connection, or from the first byte of a later request, to the end of its head."""
    max_head_bytes: int = 64 * 1024
    """Twice what the middleware allows, so that it is the one that answers in all but hopeless cases."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The clock runs from the first moment: a socket that says nothing is closed too."""
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing left to wait for."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head that is not complete yet."""
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_timer is None and (self.cycle is None or self.cycle.response_complete):
            self._arm()  # empty lines before a request begin no message, yet stop uvicorn's own clock
        if self._in_head and self._head_bytes > self.max_head_bytes and not self.transport.is_closing():
            self._refuse(431, "headers_too_large", "Headers too large")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head = True
        if self._head_timer is None:
            self._arm()

    def on_headers_complete(self) -> None:
        """Its head is here. A target in absolute form names a second host (RFC 9112 §3.2.2): only a path is taken."""
        self._disarm()
        self._in_head, self._head_bytes = False, 0
        if self.transport.is_closing():
            return
        if not self.url.startswith(b"/"):
            self._refuse(400, "malformed", "The request cannot be read")
            raise ValueError("not a path")
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP."""
        if not self.transport.is_closing():
            self._refuse(400, "malformed", "The request cannot be read")

    def _arm(self) -> None:
        self._head_timer = self.loop.call_later(self.head_timeout_s, self._too_slow)

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.close()

    def _refuse(self, status: int, code: str, title: str) -> None:
        problem = {"type": f"/docs/problems/{code}", "title": title, "status": status, "code": code}
        body = to_json({**problem, "detail": f"{title}.", "retryable": False})
        head = b"content-type: application/problem+json\r\ncache-control: no-store\r\nconnection: close\r\n"
        length = b"content-length: %d\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[status] + head + length + body)
        self.transport.close()
