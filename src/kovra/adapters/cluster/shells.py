"""Commands in running containers, over the API server's WebSocket: channels of bytes, one of them about the end.

The protocol is Kubernetes' ``v5.channel.k8s.io``: the first byte of a message is its channel, and 255 closes one. With
``v4`` (before 1.30) the input cannot be ended.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.errors import ClusterUnreachable
from kovra.adapters.cluster.lines import CONTAINER

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
PROTOCOLS: Final = ("v5.channel.k8s.io", "v4.channel.k8s.io")
MAX_BYTES: Final = 1024 * 1024
NOT_FOUND: Final = 127
NOT_RUN: Final = 126
"""As shells have it: there is no such command; it could not be run."""


@dataclass(frozen=True, slots=True)
class Output:
    """Bytes the command wrote; ``channel`` 1: out, 2: err."""

    channel: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """The command's end."""

    code: int
    message: str = ""


class Shell:
    """One command that runs."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def write(self, data: bytes) -> None:
        """Input for the command; raises ClusterUnreachable when it can take none any more."""
        await self._send(bytes([STDIN]) + data)

    async def end_input(self) -> None:
        """No more input comes."""
        if self._socket.protocol == PROTOCOLS[0]:
            await self._send(bytes([CLOSE, STDIN]))

    async def resize(self, columns: int, rows: int) -> None:
        """The terminal has another size."""
        await self._send(bytes([RESIZE]) + json.dumps({"Width": columns, "Height": rows}).encode())

    async def _send(self, message: bytes) -> None:
        try:
            await self._socket.send_bytes(message)
        except (aiohttp.ClientError, OSError):
            raise ClusterUnreachable("The command's connection broke.") from None

    async def output(self) -> AsyncIterator[Output | Ended]:
        """What it writes, and last its end; raises ClusterUnreachable when the connection breaks before that."""
        async for message in self._socket:
            data = message.data
            if message.type is aiohttp.WSMsgType.TEXT:
                data = message.data.encode()
            elif message.type is not aiohttp.WSMsgType.BINARY:
                break
            if not data:
                continue
            match data[0]:
                case 1 | 2 if len(data) > 1:
                    yield Output(data[0], data[1:])
                case 3 if len(data) > 1:
                    yield _ended(data[1:])
                    return
        raise ClusterUnreachable("The command's connection broke.")


def _ended(raw: bytes) -> Ended:
    """The command's end out of the ``Status`` object on the error channel."""
    try:
        status: Mapping[str, Any] = json.loads(raw)
        if status.get("status") == "Success":
            return Ended(0)
        causes = (status.get("details") or {}).get("causes") or []
        code = next((c["message"] for c in causes if c.get("reason") == "ExitCode"), None)
        if code is not None:
            return Ended(int(code))
        message = str(status.get("message") or "")
    except (ValueError, TypeError, AttributeError, KeyError):
        message = ""
    absent = "not found" in message or "no such file" in message
    return Ended(NOT_FOUND if absent else NOT_RUN, "There is no such command." if absent else "It could not be run.")


@asynccontextmanager
async def opened(
    client: ClusterClient, namespace: str, pod: str, command: Sequence[str], *, tty: bool
) -> AsyncIterator[Shell]:
    """Run a command in the app's container; raises ClusterNotFound, ClusterRefused, ClusterDenied, ClusterUnreachable."""
    flag = "true" if tty else "false"
    query = [("container", CONTAINER), ("stdin", "true"), ("stdout", "true"), ("tty", flag)]
    # A terminal has one stream for both.
    query += [("stderr", "false" if tty else "true"), *(("command", word) for word in command)]
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/exec"
    async with client.websocket(path, query, protocols=PROTOCOLS, max_bytes=MAX_BYTES) as socket:
        yield Shell(socket)
