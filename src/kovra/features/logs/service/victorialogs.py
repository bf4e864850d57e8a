"""Stored lines in VictoriaLogs, where the cluster's agent puts them; the tenant is forced into every question.

It must give each line the fields below. VictoriaLogs numbers no lines: those of one pod and one nanosecond are numbered in
the order of their text here, so of such lines alone one may be shown twice, or not, where live lines take over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from kovra.adapters.cluster.lines import Line, parse, shown
from kovra.adapters.victorialogs import Asked, LogsAway, VictoriaLogs
from kovra.features.logs.protocol import MOST_PODS, Place, nanoseconds, pod_key
from kovra.features.logs.service.store import Backward, Edge, Forward, OpenSession, Wanted
from kovra.foundation import clock
from kovra.foundation.ids import encode

FIELDS: Final = (
    "_time",
    "_msg",
    "pod",
    "kovra_organization",
    "kovra_app_environment",
    "kovra_process",
    "kovra_release",
)
BATCH: Final = 2000
STEPS: Final = 8
_RECENT_NS: Final = 3600 * 10**9
_LAST: Final = (1 << 31) - 1


class VictoriaLogStore:
    """See ``LogStore`` for what its methods answer. The caller's right to the app environment is proven before."""

    def __init__(self, client: VictoriaLogs, *, keeping_ns: int) -> None:
        self._client, self._keeping_ns = client, keeping_ns

    async def after(self, opens: OpenSession, wanted: Wanted, place: Place, limit: int) -> Forward:
        """From a place on. A page ends with a whole nanosecond, so it may hold a few lines more than the limit."""
        place, size, more = place.copy(), BATCH, True
        found: list[Line] = []
        end = self._end(wanted, None)
        latest = await self._latest(wanted, max(place.base + 1, wanted.since_ns or 0, self._oldest()), end)
        for _ in range(STEPS):
            # Only pods that have more: the others' lines since their marks, however many, are not read again.
            behind = {pod: place.mark_of(pod)[0] for pod, last in latest.items() if last > place.mark_of(pod)[0]}
            if not behind:
                return Forward(lines=found, place=place, more=False)
            start = max(min(behind.values()) + 1, wanted.since_ns or 0, self._oldest())
            rows = await self._rows(wanted, start, end, size, newest_first=False, pods=tuple(sorted(behind)))
            more = len(rows) == size
            lines = _whole(rows) if more else _numbered(rows)
            new = 0
            for line in lines:
                if len(found) >= limit and line.time_ns > found[-1].time_ns:
                    return Forward(lines=found, place=place, more=True)
                if place.take(line):
                    new += 1
                    found += [line] if wanted.matches(line) else []
            if not more:
                break
            size = size if new else 2 * size
        return Forward(lines=found, place=place, more=more)

    async def _latest(self, wanted: Wanted, start: int, end: int) -> dict[str, int]:
        """Pod → the time of its last line that the reader wants."""
        rows = await self._rows(wanted, start, end, MOST_PODS, newest_first=True, latest=True)
        return {row.pod: row.time_ns for row in rows}

    async def before(self, opens: OpenSession, wanted: Wanted, edge: Edge | None, limit: int) -> Backward:
        """Before an edge, or from the newest line back."""
        found: list[Line] = []
        start = max(wanted.since_ns or 0, self._oldest())
        end = self._end(wanted, edge)
        size = BATCH
        for _ in range(STEPS):
            rows = (await self._rows(wanted, start, end, size, newest_first=True))[::-1]
            more = len(rows) == size
            lines = _whole(rows, oldest=True) if more else _numbered(rows)
            end, size = (rows[0].time_ns + 1, size) if lines and more else (end, 2 * size)
            for line in reversed(lines):
                if edge is not None and line.order >= edge:
                    continue
                edge = line.order
                if wanted.matches(line):
                    found.append(line)
                    if len(found) >= limit:
                        return Backward(lines=found, edge=edge)
            if not more:
                return Backward(lines=found, edge=None)
        return Backward(lines=found, edge=edge)

    async def stored(self, opens: OpenSession, wanted: Wanted) -> Place:
        """How far each pod's lines of the last hour are stored."""
        now = nanoseconds(clock.now())
        base = max(0, (wanted.since_ns or 1) - 1)
        latest = await self._latest(Wanted(target=wanted.target), max(base + 1, now - _RECENT_NS), now + _RECENT_NS)
        marks = {pod_key(pod): (time_ns, _LAST) for pod, time_ns in latest.items()}
        return Place(base, marks, max(latest.values(), default=base))

    def _oldest(self) -> int:
        return nanoseconds(clock.now()) - self._keeping_ns

    def _end(self, wanted: Wanted, edge: Edge | None) -> int:
        latest = nanoseconds(clock.now()) + _RECENT_NS
        return min(latest, wanted.until_ns or latest, edge[0] + 1 if edge else latest)

    async def _rows(
        self,
        wanted: Wanted,
        start: int,
        end: int,
        limit: int,
        *,
        newest_first: bool,
        pods: tuple[str, ...] | None = None,
        latest: bool = False,
    ) -> list[Line]:
        """Lines by time and pod, not numbered yet."""
        if start >= end:
            return []
        forced = {
            "kovra_organization": encode("org", wanted.target.org_id)[4:],
            "kovra_app_environment": encode("aev", wanted.target.app_environment_id)[4:],
        }
        if wanted.target.process is not None:
            forced["kovra_process"] = wanted.target.process
        asked = Asked(
            forced=forced,
            fields=FIELDS,
            start_ns=start,
            end_ns=end,
            limit=limit,
            newest_first=newest_first,
            contains=wanted.contains,
            pods=pods,
            latest=latest,
        )
        lines = [_line(row) for row in await self._client.ask(asked)]
        return [line for line in lines if start <= line.time_ns < end]


def _line(row: Mapping[str, str]) -> Line:
    parsed = parse(row.get("_time", "").encode() + b" ")
    if parsed is None:
        raise LogsAway("The log store's answer cannot be read.")
    release = row.get("kovra_release", "")
    return Line(
        parsed[0],
        0,
        row.get("pod", ""),
        row.get("kovra_process", ""),
        int(release) if release.isdecimal() and len(release) < 10 else None,
        shown(row.get("_msg", "").encode("utf-8", "replace")),
    )


def _numbered(lines: Iterable[Line]) -> list[Line]:
    """Rising lines, each pod's of one nanosecond counted."""
    found: list[Line] = []
    seen: dict[str, tuple[int, int]] = {}
    for line in lines:
        time_ns, number = seen.get(line.pod, (-1, 0))
        number = number + 1 if time_ns == line.time_ns else 0
        seen[line.pod] = (line.time_ns, number)
        found.append(Line(line.time_ns, number, line.pod, line.process, line.release, line.text))
    return found


def _whole(rows: list[Line], *, oldest: bool = False) -> list[Line]:
    """Of a full batch, in order: its last (or its oldest) nanosecond may be cut off, and is left for the next."""
    cut = (rows[0] if oldest else rows[-1]).time_ns
    return _numbered(row for row in rows if row.time_ns != cut)
