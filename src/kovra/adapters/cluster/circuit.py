"""A circuit breaker: a server that fails again and again is left alone for a while, then asked by one call alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kovra.adapters.cluster.errors import ClusterUnreachable
from kovra.foundation import clock

FIRST_S: Final = 5.0
"""How long the first pause is; each failed probe doubles it."""
LONGEST_S: Final = 60.0


class Broken(ClusterUnreachable):
    """The circuit is open: nothing was sent."""


@dataclass(slots=True)
class Circuit:
    """Closed: calls go through. Open: none does. Half open: one does, and decides for all."""

    failures_allowed: int = 3
    """So many in a row open it."""
    first_s: float = FIRST_S
    longest_s: float = LONGEST_S
    _failures: int = 0
    _pause_s: float = 0.0
    _open_until: float | None = None
    _probing: bool = False

    @property
    def is_open(self) -> bool:
        """Whether calls are refused, but for a probe."""
        return self._open_until is not None

    def check(self) -> None:
        """Raises Broken while it is open; probes nothing."""
        if self._open_until is not None:
            wait_s = max(1.0, self._open_until - clock.monotonic())
            raise Broken("The cluster has not answered lately; it is asked again soon.", retry_after_s=wait_s)

    def admit(self) -> None:
        """Before a call, which is then followed by ``answered`` or ``failed``; raises Broken."""
        if self._open_until is None:
            return
        if self._probing or clock.monotonic() < self._open_until:
            self.check()
        self._probing = True

    def answered(self) -> None:
        """The server is there, whatever it said."""
        self._failures, self._pause_s, self._open_until, self._probing = 0, 0.0, None, False

    def failed(self) -> None:
        """It did not answer, or not in time; or it says itself that it fails."""
        self._failures += 1
        if self._probing or self._failures >= self.failures_allowed:
            self._pause_s = min(self._pause_s * 2 or self.first_s, self.longest_s)
            self._open_until = clock.monotonic() + self._pause_s
        self._probing = False
