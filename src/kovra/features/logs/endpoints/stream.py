"""One caller's stream of log events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final

from kovra.adapters.cluster.lines import Dropped, Line
from kovra.features.logs.endpoints.shapes import Marks, line_out, target_of
from kovra.features.logs.protocol import LATE_NS, Place, nanoseconds
from kovra.features.logs.schemas import DroppedOut, EndOut, LiveOut
from kovra.features.logs.service.reading import Batch, Live, LogReader
from kovra.features.logs.service.store import Wanted
from kovra.foundation import clock
from kovra.foundation.db.notices import Notices
from kovra.foundation.errors import KovraError
from kovra.foundation.web.eventstream import COMMENT, event
from kovra.foundation.web.sessions import SessionFactory

PROVEN_EVERY_S: Final = 3.0
"""A stream proves its caller's right again so often, so that one that has lost it is closed within 5 s."""
LONGEST_S: Final = 3600.0
"""A stream ends after so long; its client comes back with ``Last-Event-ID``."""
_QUIET_S: Final = 10.0
_COMPLETE: Final = EndOut(code="complete", message="That is all there is.")
_RESTARTING: Final = EndOut(code="restarting", message="Come back with Last-Event-ID.")
_TOO_LONG: Final = EndOut(code="stream_too_long", message="Come back with Last-Event-ID.")


class Stream:
    """Old lines, then new ones, until the caller has gone, may no longer read, or the longest time is over."""

    def __init__(
        self, reader: LogReader, sessions: SessionFactory, bell: Notices, wanted: Wanted, marks: Marks
    ) -> None:
        self._reader, self._sessions, self._bell = reader, sessions, bell
        self._wanted, self._marks = wanted, marks
        self._place = Place()

    async def events(
        self, begin: Place | None, *, newest: int, follow: bool, ending: Callable[[], bool]
    ) -> AsyncGenerator[bytes]:
        """From a place, or from ``since``, or after the newest so many lines; ``ending`` says that the process ends."""
        try:
            yield COMMENT
            if begin is None and self._wanted.since_ns is None:
                yield await self._newest(newest)
                parts = self._following(ending) if follow else None
            else:
                self._place = begin or Place((self._wanted.since_ns or 1) - 1)
                parts = self._following(ending) if follow else self._all()
            if parts is not None:
                async with aclosing(parts):
                    async for part in parts:
                        yield part
            yield event("end", _COMPLETE if not follow else _RESTARTING if ending() else _TOO_LONG)
        except KovraError as ended:
            yield event("end", EndOut(code=ended.error_code, message=ended.message))

    async def _newest(self, limit: int) -> bytes:
        page = await self._reader.newest(self._sessions, self._wanted, None, limit)
        if page.lines:
            self._place = Place(page.lines[0].time_ns - 1)
        elif self._wanted.contains is not None:
            self._place = Place(nanoseconds(clock.now()) - LATE_NS)
        return self._written(list(page.lines))

    async def _all(self) -> AsyncGenerator[bytes]:
        more = True
        while more:
            page = await self._reader.forward(self._sessions, self._wanted, self._place.copy(), 1000)
            yield self._written(list(page.lines))
            more = page.more and page.further is not None
            if page.further is not None:
                self._place.adopt(page.further)

    async def _following(self, ending: Callable[[], bool]) -> AsyncGenerator[bytes]:
        began = said = clock.monotonic()
        with self._bell.subscribed(self._wanted.target.org_id) as rung:
            proof = _Proof(self._sessions, self._wanted)
            async with aclosing(self._reader.follow(self._sessions, self._wanted, self._place)) as batches:
                async for batch in batches:
                    now = clock.monotonic()
                    if now - began >= LONGEST_S or ending():
                        return
                    # A role that is lost is a fact of the organization and rings; a session that has ended does not.
                    await proof.renewed(now, at_once=rung.is_set())
                    rung.clear()
                    part = self._written(batch)
                    if part or now - said >= _QUIET_S:
                        said = now
                        yield part or COMMENT

    def _written(self, batch: Batch) -> bytes:
        return b"".join(part for item in batch if (part := self._event(item)))

    def _event(self, item: Line | Dropped | Live) -> bytes | None:
        match item:
            case Line():
                if not self._place.take(item) or not self._wanted.matches(item):
                    return None
                return event("line", line_out(item), id=self._marks.forward(self._place))
            case Dropped():
                return event("dropped", DroppedOut(count=item.count, pod=item.pod))
            case Live():
                return event("live", LiveOut(live=item.live))


class _Proof:
    """That the caller still may: asked of the database again and again."""

    def __init__(self, sessions: SessionFactory, wanted: Wanted) -> None:
        self._sessions, self._id = sessions, wanted.target.app_environment_id
        self._at = clock.monotonic()

    async def renewed(self, now: float, *, at_once: bool) -> None:
        if at_once or now - self._at >= PROVEN_EVERY_S:
            await target_of(self._sessions, self._id)
            self._at = now
