"""uvicorn's HTTP protocol with the patience it has no option for: time for the head of a request, and bytes for it.

uvicorn keeps a connection that has sent half a head, or nothing, for ever, and buffers a head of any size. What reaches
the middleware is complete; what happens before can only be bounded here.
"""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic_core import to_json
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol


class OneWrite:
    """A transport whose writes of one moment leave together: the head of an answer with its body.

    uvicorn writes them one after the other, and each is a call of the kernel and a packet. A first write waits for the
    next one, or for the end of this turn of the loop when there is none, as before a stream's first event.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.plain = transport
        self._loop = loop
        self._held: bytes | None = None
        self.is_closing = transport.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)

    def write(self, data: bytes) -> None:
        """Hold the first, send it with the second."""
        if self._held is None:
            self._held = data
            self._loop.call_soon(self.flush)
        else:
            held, self._held = self._held, None
            self.plain.writelines((held, data))

    def flush(self) -> None:
        """Send what is held."""
        if self._held is not None:
            held, self._held = self._held, None
            self.plain.write(held)

    def close(self) -> None:
        """After what is held."""
        self.flush()
        self.plain.close()


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
        self._is_socket = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The clock runs from the first moment: a socket that says nothing is closed too."""
        super().connection_made(OneWrite(transport, self.loop))  # type: ignore[arg-type]  # it has all of its names
        self._arm()

    def handle_websocket_upgrade(self) -> None:
        """A socket's frames are writes of their own, and it has all the time it wants: its protocol takes over."""
        self._is_socket = True
        self.transport.flush()  # type: ignore[attr-defined]
        self.transport = self.transport.plain  # type: ignore[attr-defined]
        super().handle_websocket_upgrade()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing left to wait for."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head that is not complete yet."""
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._is_socket:
            return
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
