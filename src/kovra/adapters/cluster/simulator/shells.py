"""``pods/NAME/exec``: answers as a small shell would, over the WebSocket protocol of the real API server.

It knows ``true false exit echo env cat yes sleep stty`` and ``sh``, alone or with ``-c``; anything else is not found.
"""

from __future__ import annotations

import asyncio
import json
import shlex
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import WSMsgType, web

from kovra.adapters.cluster.simulator.kinds import Kind, bad_request
from kovra.adapters.cluster.simulator.kubelet import Kubelet
from kovra.adapters.cluster.simulator.store import Store

_PROTOCOLS: Final = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_LARGEST: Final = 1024 * 1024
_WAITING: Final = 64


class _Absent(Exception):
    """There is no such program."""


@dataclass
class _Session:
    """One command's channels."""

    socket: web.WebSocketResponse
    tty: bool
    environment: dict[str, str]
    size: tuple[int, int] = (0, 0)
    input: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(_WAITING))

    async def out(self, text: str, channel: int = 1) -> None:
        data = text.replace("\n", "\r\n") if self.tty else text
        await self.socket.send_bytes(bytes([1 if self.tty else channel]) + data.encode())

    async def receive(self) -> None:
        """Messages until the caller goes."""
        async for message in self.socket:
            if message.type is not WSMsgType.BINARY or not message.data:
                continue
            channel, data = message.data[0], message.data[1:]
            if channel == 0:
                await self.input.put(data)
            elif channel == 4:
                size = json.loads(data)
                self.size = (int(size["Width"]), int(size["Height"]))
            elif channel == 255 and data == b"\x00":
                await self.input.put(None)

    async def line(self) -> str | None:
        """A line of input, or what there is when it ends; None: nothing more."""
        buffer = b""
        while True:
            data = await self.input.get()
            if data is None or (self.tty and data == b"\x04"):
                self.input.put_nowait(None)
                return buffer.decode("utf-8", "replace") if buffer else None
            buffer += data
            if self.tty:
                await self.out(data.decode("utf-8", "replace").replace("\r", "\n"))
            if buffer.endswith((b"\n", b"\r")):
                return buffer.decode("utf-8", "replace").rstrip("\r\n")

    async def run(self, words: list[str]) -> int:
        """A program's exit code; raises _Absent."""
        match words:
            case ["true"] | []:
                return 0
            case ["false"]:
                return 1
            case ["exit", code] if code.isdecimal():
                return int(code) % 256
            case ["echo", ">&2", *rest]:
                await self.out(" ".join(rest) + "\n", 2)
            case ["echo", *rest]:
                await self.out(" ".join(rest) + "\n")
            case ["env"]:
                await self.out("".join(f"{name}={value}\n" for name, value in self.environment.items()))
            case ["stty", "size"]:
                await self.out(f"{self.size[1]} {self.size[0]}\n")
            case ["sleep", seconds] if seconds.isdecimal():
                await asyncio.sleep(int(seconds))
            case ["cat"]:
                while (data := await self.input.get()) is not None:
                    await self.socket.send_bytes(b"\x01" + data)
            case ["yes"]:
                while True:
                    await self.out("y\n" * 2000)
            case ["sh"]:
                return await self._interactive()
            case ["sh", "-c", script]:
                return await self._script(script)
            case _:
                raise _Absent(words[0])
        return 0

    async def _script(self, script: str) -> int:
        code = 0
        for part in script.replace("\n", ";").split(";"):
            words = shlex.split(part)
            if words[:1] == ["exit"]:
                return int(words[1]) % 256 if len(words) > 1 else code
            try:
                code = await self.run(words)
            except _Absent as absent:
                await self.out(f"sh: {absent}: not found\n", 2)
                code = 127
        return code

    async def _interactive(self) -> int:
        code = 0
        while True:
            if self.tty:
                await self.socket.send_bytes(b"\x01$ ")
            line = await self.line()
            if line is None:
                return code
            words = shlex.split(line)
            if words[:1] == ["exit"]:
                return int(words[1]) % 256 if len(words) > 1 else code
            code = await self._script(line)


class PodShells:
    """Answers ``pods/NAME/exec``."""

    def __init__(self, store: Store, kubelet: Kubelet) -> None:
        self._store, self._kubelet = store, kubelet

    async def answer(self, request: web.Request, kind: Kind, namespace: str, name: str) -> web.StreamResponse:
        """Run the command until it ends or its caller goes."""
        pod = self._store.get(kind, namespace, name)
        command = request.query.getall("command", [])
        if not command:
            raise bad_request("you must specify at least 1 command for the container")
        main = str(pod["spec"]["containers"][0]["name"])
        container = self._kubelet.container(pod, request.query.get("container", main))
        if container is None or container.state != "running":
            raise bad_request(f"container {main} is not running in pod {name}_{namespace}")
        socket = web.WebSocketResponse(protocols=_PROTOCOLS, max_msg_size=_LARGEST)
        if not socket.can_prepare(request).ok:
            raise bad_request("unable to upgrade: Upgrade request required")
        await socket.prepare(request)
        environment = {e["name"]: e.get("value", "") for e in container.spec.get("env") or []}
        session = _Session(socket, request.query.get("tty") == "true", dict(sorted(environment.items())))
        running, receiving = asyncio.create_task(self._status(session, command)), asyncio.create_task(session.receive())
        try:
            await asyncio.wait({running, receiving}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                await socket.send_bytes(b"\x03" + json.dumps(running.result()).encode())
        except ConnectionError:
            pass
        finally:
            for task in (running, receiving):
                task.cancel()
            await asyncio.gather(running, receiving, return_exceptions=True)
            await socket.close()
        return socket

    async def _status(self, session: _Session, command: list[str]) -> dict[str, Any]:
        """The ``Status`` object a real API server ends with."""
        status: dict[str, Any] = {"metadata": {}, "status": "Success"}
        try:
            code = await session.run(command)
        except _Absent as absent:
            message = (
                f'error executing command in container: exec: "{absent}": executable file not found in $PATH: unknown'
            )
            return status | {"status": "Failure", "message": message, "reason": "InternalError", "code": 500}
        if not code:
            return status
        causes = [{"reason": "ExitCode", "message": str(code)}]
        message = f"command terminated with non-zero exit code: exit status {code}"
        return status | {
            "status": "Failure", "message": message, "reason": "NonZeroExitCode", "details": {"causes": causes},
        }  # fmt: skip
