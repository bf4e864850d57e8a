"""uvicorn's WebSocket protocol with a door for frames that are whole already: bytes made once for many sockets.

A message that goes through ASGI costs a task's turn, three calls and a frame of its own for each socket; where hundreds
show the same thing, that is all the server does. Written through the door, it costs the kernel's call.
"""

from __future__ import annotations

import logging
from typing import Any, Final, Protocol

from fastapi import WebSocket
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame, Opcode

_EXTENSION: Final = "kovra.frames"
_LOGGER: Final = logging.getLogger("kovra.sockets")
_LOGGER.setLevel(logging.WARNING)
MOST_FRAGMENTS: Final = 64
"""Of one message. Its size is bounded as well, but empty pieces have none."""


class FrameDoor(Protocol):
    """Where whole frames go to one client."""

    def write_frames(self, data: bytes) -> bool:
        """Send them now; False, and nothing is sent, while the client does not take what it was sent before."""


class FrameProtocol(WebSocketsSansIOProtocol):
    """The door is in the socket's scope. Frames are not compressed: the server negotiates no extension.

    Two things that uvicorn does without end are bounded: pieces of one message, and answers that nobody reads. And what
    uvicorn and websockets tell of a handshake, its address with any query and its headers, is told to nobody.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = self.conn.logger = _LOGGER
        self.conn.debug = False

    def handle_cont(self, event: Frame) -> None:
        """A further piece of a message."""
        if len(self.frames) >= MOST_FRAGMENTS:
            self.conn.fail(CloseCode.POLICY_VIOLATION, "too_many_fragments")
            self.handle_parser_exception()
            return
        super().handle_cont(event)

    def handle_ping(self) -> None:
        """Answer, unless the client takes nothing: what it asks for would only pile up here."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.transport.abort()

    async def run_asgi(self) -> None:
        """Put it there."""
        extensions: dict[str, object] = self.scope["extensions"]  # type: ignore[assignment]  # typed by what ASGI knows
        extensions[_EXTENSION] = self
        await super().run_asgi()

    def write_frames(self, data: bytes) -> bool:
        """In order with what goes through ASGI: both end in the same transport."""
        if not self.writable.is_set() or not self.handshake_complete or self.close_sent or self.transport.is_closing():
            return False
        self.transport.write(data)
        return True


def door_of(socket: WebSocket) -> FrameDoor | None:
    """The door; None where another server runs the application."""
    found: FrameDoor | None = (socket.scope.get("extensions") or {}).get(_EXTENSION)
    return found


def text_frame(text: str) -> bytes:
    """A message as one frame (RFC 6455 §5.2), as a server sends it: not masked."""
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False)
