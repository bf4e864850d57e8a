"""Looking into what runs is dear: each organization may do so much of each kind at once in one process, and no more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from uuid import UUID

from kovra.foundation.errors import RateLimited


class TooManyReads(RateLimited):
    """The organization reads as much at once as it may."""

    code = "too_many_streams"


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnOptions:
    """How much at once, per organization and process."""

    pages: int = 8
    streams: int = 40
    shells: int = 10
    metrics: int = 8


class Turns:
    """Counts what is being read."""

    def __init__(self, options: TurnOptions | None = None) -> None:
        known = options or TurnOptions()
        self._most = asdict(known)
        self._taken: Counter[tuple[str, UUID]] = Counter()
        self.ending = False
        """The process ends: streams without an end of their own end now."""

    @contextmanager
    def taken(self, kind: str, org_id: UUID) -> Iterator[None]:
        """Hold a turn; raises TooManyReads when there is none."""
        key = (kind, org_id)
        if self._taken[key] >= self._most[kind]:
            raise TooManyReads(f"More than {self._most[kind]} {kind} at once.", retry_after_s=2)
        self._taken[key] += 1
        try:
            yield
        finally:
            self._taken[key] -= 1
            if not self._taken[key]:
                del self._taken[key]
