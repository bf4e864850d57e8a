"""Lines of pods: their form, and reading them out of the bytes of the log API. Pure.

A pod's lines are in order by (time, number): number counts its lines of one nanosecond. The runtime takes times before
it writes, so two streams of one container may come out of order by microseconds; such a line counts as of the time of
the one before it, which keeps every reader's marks the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

CONTAINER: Final = "app"
"""The one container of Kovra's pods."""
LONGEST_LINE: Final = 16 * 1024
"""Bytes of UTF-8; what is longer is cut and ends in an ellipsis."""
Mark = tuple[int, int]
"""(nanoseconds since 1970, number among the pod's lines of that time)."""
START: Final[Mark] = (-1, 0)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STAMP: Final = 64
"""No time is written with more characters."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of one pod."""

    time_ns: int
    number: int
    pod: str
    process: str
    release: int | None
    text: str

    @property
    def mark(self) -> Mark:
        """Its place within its pod."""
        return self.time_ns, self.number

    @property
    def order(self) -> tuple[int, str, int]:
        """Its place among all pods' lines."""
        return self.time_ns, self.pod, self.number


@dataclass(frozen=True, slots=True)
class Dropped:
    """So many lines of a pod were left out, because the reader was slower than the pods."""

    count: int
    pod: str
    to: Mark
    """The last of them: they are all there was between the line given before and this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodInfo:
    """What of a pod goes with its lines."""

    name: str
    process: str
    release: int | None


def pod_info(pod: Mapping[str, Any]) -> PodInfo:
    """From its labels, which Kovra alone writes."""
    labels = pod["metadata"].get("labels") or {}
    release = labels.get("kovra.io/release", "")
    return PodInfo(
        name=pod["metadata"]["name"],
        process=labels.get("kovra.io/process", ""),
        release=int(release) if release.isdecimal() else None,
    )


@dataclass(frozen=True, slots=True)
class ContainerState:
    """How far the app's container of a pod has come."""

    restarts: int
    started: bool
    """There is something to read."""
    running: bool
    ended: bool
    """It will never run again."""


def container_state(pod: Mapping[str, Any]) -> ContainerState:
    """From a pod's status."""
    status = pod.get("status") or {}
    found: Mapping[str, Any] = {}
    for container in status.get("containerStatuses") or []:
        if container.get("name") == CONTAINER:
            found = container
    state, last = found.get("state") or {}, found.get("lastState") or {}
    return ContainerState(
        restarts=int(found.get("restartCount") or 0),
        started="running" in state or "terminated" in state or "terminated" in last,
        running="running" in state,
        ended=status.get("phase") in ("Succeeded", "Failed"),
    )


def seconds_before(mark: Mark) -> str:
    """A ``sinceTime`` that surely includes the mark: the API cuts it to seconds, and lines may be a little disordered."""
    return (_EPOCH + timedelta(seconds=max(0, mark[0] // 10**9 - 1))).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(maxsize=256)
def _second(text: bytes) -> int:
    return (datetime.fromisoformat(text.decode("ascii")).replace(tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)


def parse(raw: bytes) -> tuple[int, bytes] | None:
    """(nanoseconds, text) of a line with its time in front; None for what the kubelet says itself."""
    written, space, text = raw.partition(b" ")
    if not space or not 20 <= len(written) <= 35 or written[10:11] != b"T":
        return None
    try:
        if not written.endswith(b"Z"):
            return _with_zone(written), text
        digits = written[20:-1]
        return _second(written[:19]) * 10**9 + (int(digits.ljust(9, b"0")[:9]) if digits else 0), text
    except ValueError:
        return None


def _with_zone(written: bytes) -> int:
    head, digits = written[:19], written[20:].partition(b"+")[0].partition(b"-")[0]
    zone = datetime.fromisoformat(head.decode("ascii") + written[-6:].decode("ascii"))
    nanoseconds = int(digits.ljust(9, b"0")[:9]) if digits else 0
    return (zone - _EPOCH) // timedelta(seconds=1) * 10**9 + nanoseconds


class Splitter:
    """Bytes into lines; what is beyond the longest line is thrown away as it comes, not gathered."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that are whole now."""
        if self._skipping:
            end = chunk.find(b"\n")
            if end < 0:
                return []
            chunk, self._skipping = chunk[end:], False
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > LONGEST_LINE + _STAMP:
            self._rest, self._skipping = self._rest[: LONGEST_LINE + _STAMP], True
        return whole

    def rest(self) -> list[bytes]:
        """What came without an end, when its container has ended and the rest of the line will not come."""
        found, self._rest = [self._rest] if self._rest else [], b""
        return found


def shown(text: bytes) -> str:
    """As text, cut to the longest line."""
    if len(text) <= LONGEST_LINE:
        return text.decode("utf-8", "replace")
    # "ignore" drops the half of a character at the cut, and what is no UTF-8 in a line this long.
    return text[: LONGEST_LINE - 3].decode("utf-8", "ignore") + "…"


class Reader:
    """Raw lines of one pod, in the order the API gives them, into those beyond a mark."""

    def __init__(self, pod: PodInfo, after: Mark) -> None:
        self._pod = pod
        self.mark = after
        """Everything up to here has been read."""
        self._time, self._number = START

    def begin(self) -> None:
        """The lines come from an earlier place again: what has been read is passed over."""
        self._time, self._number = START

    def read(self, raw_lines: list[bytes]) -> list[Line]:
        """The new ones among these lines."""
        found = []
        pod = self._pod
        for raw in raw_lines:
            parsed = parse(raw)
            if parsed is None:
                continue
            time_ns, text = parsed
            if time_ns > self._time:
                self._time, self._number = time_ns, 0
            else:
                self._number += 1
            mark = (self._time, self._number)
            if mark > self.mark:
                self.mark = mark
                found.append(Line(*mark, pod.name, pod.process, pod.release, shown(text)))
        return found
