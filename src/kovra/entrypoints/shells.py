"""Shells in the streamer: a command in a pod the grant names, its bytes passed on, bounded in time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import WSMsgType, web

from kovra.adapters.cluster import shells
from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.lines import container_state
from kovra.adapters.cluster.shells import Ended, Output, Shell
from kovra.features.logs.rules.shells import MAX_BYTES, PROTOCOL, Resize, control, exited, started
from kovra.features.logs.signing import Grant
from kovra.foundation import clock
from kovra.foundation.errors import Conflict, KovraError, Malformed
from kovra.foundation.observability import logger

_PIECE: Final = MAX_BYTES - 1


class NoRunningPod(Conflict):
    """No pod of this process runs at present."""

    code = "no_running_pod"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellLimits:
    """How long a shell may last."""

    idle_s: float = 900.0
    """Without a byte in either direction."""
    total_s: float = 4 * 3600.0


def chosen(pods: list[Mapping[str, Any]]) -> str:
    """The pod to run in: one that runs and is not on its way out, the newest; raises NoRunningPod."""
    fit = [pod for pod in pods if container_state(pod).running and "deletionTimestamp" not in pod["metadata"]]
    if not fit:
        raise NoRunningPod("No instance of this process runs at present.")
    newest = max(fit, key=lambda pod: (str(pod["metadata"].get("creationTimestamp")), pod["metadata"]["name"]))
    return str(newest["metadata"]["name"])


async def serve(
    request: web.Request, client: ClusterClient, grant: Grant, pod: str, limits: ShellLimits
) -> web.WebSocketResponse:
    """Run the granted command; what refuses it is raised before the handshake is answered."""
    async with shells.opened(client, grant.namespace, pod, grant.command, tty=grant.tty) as shell:
        socket = web.WebSocketResponse(protocols=(PROTOCOL,), max_msg_size=MAX_BYTES, heartbeat=20.0, compress=False)
        await socket.prepare(request)
        await socket.send_str(started(pod))
        await _Relay(socket, shell, limits).run()
        return socket


class _Relay:
    """Bytes both ways until the command ends, the caller goes, or it has lasted too long."""

    def __init__(self, socket: web.WebSocketResponse, shell: Shell, limits: ShellLimits) -> None:
        self._socket, self._shell, self._limits = socket, shell, limits
        self._active = clock.monotonic()

    async def run(self) -> None:
        tasks = [asyncio.create_task(part()) for part in (self._input, self._output, self._watch)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except KovraError as broken:
            logger.info("shell_broke", code=broken.error_code)
            await self._close(1011, broken.error_code)
        except (ConnectionError, RuntimeError):  # the caller is gone, maybe in the middle of a message
            pass
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._close(1000, "")

    async def _input(self) -> None:
        async for message in self._socket:
            self._active = clock.monotonic()
            if message.type is WSMsgType.BINARY:
                await self._shell.write(message.data)
            elif message.type is WSMsgType.TEXT:
                await self._control(message.data)
            else:
                return

    async def _control(self, text: str) -> None:
        try:
            asked = control(text)
        except Malformed as wrong:
            await self._close(1008, wrong.error_code)
            return
        if isinstance(asked, Resize):
            await self._shell.resize(asked.columns, asked.rows)
        else:
            await self._shell.end_input()

    async def _output(self) -> None:
        async for part in self._shell.output():
            self._active = clock.monotonic()
            match part:
                case Output():
                    for at in range(0, len(part.data), _PIECE):
                        await self._socket.send_bytes(bytes([part.channel]) + part.data[at : at + _PIECE])
                case Ended():
                    await self._socket.send_str(exited(part.code, part.message))

    async def _watch(self) -> None:
        began = clock.monotonic()
        while True:
            now = clock.monotonic()
            left = min(began + self._limits.total_s, self._active + self._limits.idle_s) - now
            if left <= 0:
                await self._close(1008, "shell_idle" if now - self._active >= self._limits.idle_s else "shell_too_long")
                return
            await asyncio.sleep(min(left, 5.0))

    async def _close(self, code: int, reason: str) -> None:
        if not self._socket.closed:
            async with asyncio.timeout(5.0):
                await self._socket.close(code=code, message=reason.encode())
