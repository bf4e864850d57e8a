"""One timer per socket in place of one per wait: a timer made and dropped for each event costs as much as sending it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final

from kovra.foundation import clock
from kovra.foundation.web.eventstream import SEND_TIMEOUT_S

BEAT_S: Final = 5.0


class Pulse:
    """Wakes a quiet socket every few seconds, and ends what it waits for when a send has taken too long.

    Use as a context manager around everything the socket sends; raises TimeoutError there.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.sending_since: float | None = None
        """When the send under way began, by the monotonic clock."""
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._timeout = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Pulse:
        await self._timeout.__aenter__()
        self._timer = self._loop.call_later(BEAT_S, self._beat)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._timeout.__aexit__(kind, raised, trace)

    def _beat(self) -> None:
        if self.sending_since is not None and clock.monotonic() - self.sending_since > SEND_TIMEOUT_S:
            self._timeout.reschedule(self._loop.time())
            return
        self._wake()
        self._timer = self._loop.call_later(BEAT_S, self._beat)
