"""Past lines: what a log store answers, whichever it is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from kovra.adapters.cluster.lines import Line
from kovra.features.logs.protocol import Place
from kovra.features.logs.service.live import Target
from kovra.foundation.db.session import TenantSession

OpenSession = Callable[[], AbstractAsyncContextManager[TenantSession]]
"""Opens a short transaction as the caller."""
Edge = tuple[int, str, int]
"""(time, pod, number): a place among all pods' lines, for going back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which lines a reader wants."""

    target: Target
    contains: str | None = None
    """Text that a line must hold, whatever the case of its letters."""
    since_ns: int | None = None
    until_ns: int | None = None

    def matches(self, line: Line) -> bool:
        """Whether the reader wants this line."""
        if self.contains is not None and self.contains.casefold() not in line.text.casefold():
            return False
        if self.target.process not in (None, line.process):
            return False
        return (self.since_ns is None or line.time_ns >= self.since_ns) and (
            self.until_ns is None or line.time_ns < self.until_ns
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """Lines from a place on, oldest first."""

    lines: list[Line]
    place: Place
    """How far was looked, also where nothing matched."""
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Backward:
    """Lines before an edge, newest first."""

    lines: list[Line]
    edge: Edge | None
    """How far back was looked; None: to the beginning."""


class LogStore(Protocol):
    """Keeps lines after their pods are gone. Answers are bounded in lines and in work: ``more`` says to ask again."""

    async def after(self, opens: OpenSession, wanted: Wanted, place: Place, limit: int) -> Forward:
        """From a place on."""
        ...

    async def before(self, opens: OpenSession, wanted: Wanted, edge: Edge | None, limit: int) -> Backward:
        """Before an edge, or from the newest line back."""
        ...

    async def stored(self, opens: OpenSession, wanted: Wanted) -> Place:
        """How far each pod's lines are stored: what is beyond is still to be read from the cluster."""
        ...
