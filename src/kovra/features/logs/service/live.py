"""What only the streamer can see, asked for with a fresh grant each time."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from websockets.asyncio.client import ClientConnection

from kovra.adapters.cluster.lines import Dropped, Line
from kovra.adapters.cluster.usage import PodUsage
from kovra.features.logs import protocol
from kovra.features.logs.protocol import LogRequest
from kovra.features.logs.rules import shells
from kovra.features.logs.signing import Grant, GrantSigner, Verb
from kovra.foundation.errors import Conflict, KovraError, Unavailable
from kovra.foundation.outbound.client import OutboundFailed
from kovra.foundation.outbound.mutual import Mutual, SocketRefused


class StreamerAway(Unavailable):
    """The streamer does not answer, or cannot reach the cluster; what is stored can still be read."""

    code = "live_unavailable"


class ShellRefused(Conflict):
    """The streamer opens no shell here: none runs, or shells are switched off."""

    code = "shell_refused"


_WHY: Final = {
    "no_running_pod": "No instance of this process runs at present.",
    "shells_off": "Shells are switched off in this installation.",
    "too_many_streams": "Too many shells and streams at once.",
}


def _shell_refused(refused: SocketRefused) -> KovraError:
    try:
        code = str(json.loads(refused.body)["code"])
    except (ValueError, KeyError, TypeError):
        code = ""
    if code in _WHY:
        return ShellRefused(_WHY[code], code=code)
    if refused.status in (404, 409):
        return ShellRefused("The cluster opens no shell there.")
    return StreamerAway("Shells cannot be opened right now.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which pods are meant: those of one app environment, perhaps of one process, perhaps one alone."""

    org_id: UUID
    app_environment_id: UUID
    namespace: str
    process: str | None = None
    pod: str | None = None

    def grant(self, verb: Verb, *, command: tuple[str, ...] = (), tty: bool = False) -> Grant:
        """What the streamer is to be allowed."""
        return Grant(
            verb=verb,
            org_id=self.org_id,
            app_environment_id=self.app_environment_id,
            namespace=self.namespace,
            process=self.process,
            pod=self.pod,
            command=command,
            tty=tty,
        )


class Streamer:
    """The streamer as the api sees it."""

    def __init__(self, link: Mutual, signer: GrantSigner) -> None:
        self._link, self._signer = link, signer

    async def close(self) -> None:
        """Close connections."""
        await self._link.close()

    def _headers(self, grant: Grant) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._signer.sign(grant)}"}

    async def usage(self, target: Target) -> list[PodUsage]:
        """What the target's pods use now; raises StreamerAway."""
        try:
            answer = await self._link.call("POST", "/v1/metrics", headers=self._headers(target.grant(Verb.metrics)))
            if answer.status == 200:
                return [PodUsage.of(pod) for pod in json.loads(answer.body)["pods"]]
        except (OutboundFailed, ValueError, KeyError, TypeError):
            pass
        raise StreamerAway("Metrics cannot be read right now.")

    @asynccontextmanager
    async def shell(self, target: Target, command: tuple[str, ...], *, tty: bool) -> AsyncIterator[ClientConnection]:
        """A command in a pod of the target; raises StreamerAway, ShellRefused."""
        headers = self._headers(target.grant(Verb.execute, command=command, tty=tty))
        # The protocol adds a byte in front of what the command writes.
        opening = self._link.websocket(
            "/v1/exec", headers=headers, subprotocol=shells.PROTOCOL, max_bytes=shells.MAX_BYTES + 1
        )
        try:
            connection = await opening.__aenter__()
        except SocketRefused as refused:
            raise _shell_refused(refused) from None
        except OutboundFailed:
            raise StreamerAway("Shells cannot be opened right now.") from None
        try:
            yield connection
        finally:
            await opening.__aexit__(None, None, None)

    async def lines(self, target: Target, asked: LogRequest) -> AsyncGenerator[list[Line | Dropped]]:
        """Lines beyond a place, an empty batch now and then while there are none; raises StreamerAway."""
        headers = self._headers(target.grant(Verb.logs))
        try:
            async with self._link.stream("POST", "/v1/logs", headers=headers, content=asked.document()) as answer:
                if answer.status != 200:
                    raise StreamerAway("Live logs cannot be read right now.")
                async for raw in answer.lines():
                    yield [item for item in map(protocol.read, raw) if item is not None]
        except OutboundFailed:
            raise StreamerAway("Live logs cannot be read right now.") from None
