"""What a hostile client may send over a socket: it is closed, and holds no memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from socket import SO_RCVBUF, SO_SNDBUF, SOL_SOCKET

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from kovra.features.realtime.endpoints import pulse
from kovra.features.realtime.endpoints import socket as sockets
from kovra.foundation.web.frames import MOST_FRAGMENTS, FrameProtocol
from tests.support.product import Product
from tests.support.served import Served, serve

TEXT, MORE, PING = 0x01, 0x00, 0x89


@pytest.fixture(scope="module")
async def served(product: Product) -> AsyncIterator[Served]:
    async with serve(product) as found:
        yield found


def _raw(kind: int, payload: bytes = b"") -> bytes:
    """A client's frame of at most 125 bytes, masked with zeros."""
    return bytes([kind, 0x80 | len(payload)]) + b"\0\0\0\0" + payload


async def _code(socket: ClientConnection) -> int | None:
    async with asyncio.timeout(60):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed:
            return socket.close_code


def _mine(served: Served) -> FrameProtocol:
    (found,) = (c for c in served.server.server_state.connections if isinstance(c, FrameProtocol))
    return found


async def test_text_that_is_no_utf8_ends_the_socket(served: Served) -> None:
    """T157."""
    ada = await served.product.sign_up()
    async with served.socket(ada) as socket:
        socket.transport.write(_raw(0x80 | TEXT, b"\xff\xfe\xfd"))
        assert await _code(socket) == 1007


async def test_a_message_in_endless_pieces_ends_the_socket(served: Served) -> None:
    """T157: empty pieces count as well, though they add up to no size."""
    ada = await served.product.sign_up()
    async with served.socket(ada) as socket:
        socket.transport.write(_raw(TEXT) + _raw(MORE) * (MOST_FRAGMENTS + 10))
        assert await _code(socket) == 1008
    async with served.socket(ada) as socket:
        socket.transport.write(_raw(TEXT, b"x" * 125) + _raw(MORE, b"x" * 125) * 600)
        assert await _code(socket) in (1008, 1009)
    async with served.socket(ada) as socket:  # a message in a few pieces is one
        pieces = [b'{"type"', b": ", b'"ping"}']
        socket.transport.write(_raw(TEXT, pieces[0]) + _raw(MORE, pieces[1]) + _raw(0x80 | MORE, pieces[2]))
        async with asyncio.timeout(60):
            assert '"pong"' in str(await socket.recv())


async def test_pings_whose_answers_nobody_reads_are_not_answered_for_ever(served: Served) -> None:
    """T157: an answer waits in the server for its reader, and so many as this pay for nobody."""
    ada = await served.product.sign_up()
    async with served.socket(ada) as socket:
        mine = _mine(served)
        mine.transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_SNDBUF, 16 * 1024)
        socket.transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_RCVBUF, 16 * 1024)
        socket.transport.pause_reading()
        held = 0
        async with asyncio.timeout(60):
            while not mine.transport.is_closing():
                socket.transport.write(_raw(PING, b"x" * 125) * 400)
                await asyncio.sleep(0.01)
                held = max(held, mine.transport.get_write_buffer_size())
        assert held < 256 * 1024


async def test_a_quiet_socket_is_pinged_and_one_that_watches_nothing_is_closed(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T159: what is open must be of use."""
    monkeypatch.setattr(pulse, "BEAT_S", 0.05)
    monkeypatch.setattr(sockets, "_PING_S", 0.05)
    monkeypatch.setattr(sockets, "_IDLE_S", 0.5)
    ada = await served.product.sign_up()
    async with served.socket(ada) as idle, served.socket(ada) as watching:
        await watching.send(json.dumps({"type": "subscribe", "id": "a", "topic": ada.organization["id"]}))
        assert await _code(idle) == 4408
        async with asyncio.timeout(60):
            while json.loads(await watching.recv())["type"] != "ping":
                pass
        await watching.send(json.dumps({"type": "ping"}))
        async with asyncio.timeout(60):
            while json.loads(await watching.recv())["type"] != "pong":
                pass


async def test_no_compression_is_agreed_on(served: Served) -> None:
    """T157: without it there is no bomb to unpack."""
    ada = await served.product.sign_up()
    ticket = (await ada.post("/v1/ws-tickets"))["ticket"]
    async with connect(
        f"ws://127.0.0.1:{served.port}/v1/ws",
        subprotocols=["kovra.v1", f"ticket.{ticket}"],  # type: ignore[list-item]
        compression="deflate",
        proxy=None,
    ) as socket:
        assert socket.response is not None
        assert "Sec-WebSocket-Extensions" not in socket.response.headers
