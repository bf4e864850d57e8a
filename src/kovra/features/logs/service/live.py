"""What only the streamer can see, asked for with a fresh grant each time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from uuid import UUID

from kovra.adapters.cluster.lines import Dropped, Line
from kovra.features.logs import protocol
from kovra.features.logs.protocol import LogRequest
from kovra.features.logs.signing import Grant, GrantSigner, Verb
from kovra.foundation.errors import Unavailable
from kovra.foundation.outbound.client import OutboundFailed
from kovra.foundation.outbound.mutual import Mutual


class StreamerAway(Unavailable):
    """The streamer does not answer, or cannot reach the cluster; what is stored can still be read."""

    code = "live_unavailable"


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
