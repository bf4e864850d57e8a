"""Places in a log, and the form in which the streamer's lines travel to the api. Pure.

Over several pods a place is one mark per pod, so that lines which come late from one pod are not lost behind those of
another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from kovra.adapters.cluster.lines import Dropped, Line, Mark
from kovra.foundation.errors import Malformed

LATE_NS: Final = 60 * 10**9
"""How long after a later line of another pod a line may still come and be told apart by a place."""
_SLACK_NS: Final = 10 * 10**9
MOST_PODS: Final = 200
LARGEST_TAIL: Final = 5000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = 1 << 62
"""Beyond any number within one nanosecond."""


def stamp(time_ns: int) -> str:
    """RFC 3339 in UTC with nine digits, as the kubelet writes it."""
    seconds, rest = divmod(time_ns, 10**9)
    return f"{_second(seconds)}.{rest:09d}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


def nanoseconds(moment: datetime) -> int:
    """Since 1970; exact, as floats are not."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


@lru_cache(maxsize=4096)
def pod_key(pod: str) -> str:
    """A short name of a pod for places."""
    return hashlib.blake2b(pod.encode(), digest_size=6).hexdigest()


@dataclass(slots=True)
class Place:
    """How far a reader has come: everything up to ``base``, and of the pods named everything up to their marks."""

    base: int = 0
    pods: dict[str, Mark] = field(default_factory=dict)
    newest: int = 0

    def mark_of(self, pod: str) -> Mark:
        """Lines of the pod beyond this mark are new to the reader."""
        return self.pods.get(pod_key(pod), (self.base, _LAST))

    def take(self, line: Line) -> bool:
        """Go on to this line; False when the reader has been there."""
        return self.pass_over(line.pod, line.mark)

    def pass_over(self, pod: str, mark: Mark) -> bool:
        """Go on to this mark of a pod, whatever lies before it; False when the reader has been there."""
        key = pod_key(pod)
        if mark <= self.pods.get(key, (self.base, _LAST)):
            return False
        self.pods[key] = mark
        self.newest = max(self.newest, mark[0])
        if self.newest - self.base > LATE_NS + _SLACK_NS or len(self.pods) > MOST_PODS:
            self._forget()
        return True

    def _forget(self) -> None:
        """Pods that have been silent for long need no mark of their own, and beyond so many pods the latest go first."""
        self.base = max(self.base, self.newest - LATE_NS)
        self.pods = {key: mark for key, mark in self.pods.items() if mark[0] > self.base}
        if len(self.pods) > MOST_PODS:
            self.base = sorted(mark[0] for mark in self.pods.values())[MOST_PODS // 2]
            self.pods = {key: mark for key, mark in self.pods.items() if mark[0] > self.base}

    def copy(self) -> Place:
        """Another reader at the same place."""
        return Place(self.base, dict(self.pods), self.newest)

    def adopt(self, other: Place) -> None:
        """Go on to another place, which is further in everything."""
        self.base, self.pods, self.newest = other.base, dict(other.pods), other.newest

    def text(self) -> str:
        """For cursors and event ids."""
        marks = (f"{key}{time - self.base:x}.{number:x}" for key, (time, number) in self.pods.items())
        return ",".join((f"{self.base:x}", *marks))

    @classmethod
    def read(cls, text: str) -> Place:
        """The place in this text; raises Malformed for anything else."""
        try:
            first, *rest = text.split(",")
            base = int(first, 16)
            pods = {}
            for part in rest:
                time, _, number = part[12:].partition(".")
                pods[part[:12]] = (base + int(time, 16), int(number, 16))
        except ValueError:
            raise _no_place() from None
        if not 0 <= base < 1 << 63 or len(pods) > MOST_PODS:
            raise _no_place()
        return cls(base, pods, max((mark[0] for mark in pods.values()), default=base))


def _no_place() -> Malformed:
    return Malformed("This is no place in a log.", code="cursor_invalid")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRequest:
    """What the api asks the streamer for, besides the grant."""

    place: Place
    follow: bool = False
    until_ns: int | None = None
    tail: int | None = None
    """Only so many lines, the newest; None: all beyond the place."""

    def document(self) -> bytes:
        """As JSON."""
        known = {"place": self.place.text(), "follow": self.follow, "until": self.until_ns, "tail": self.tail}
        return json.dumps(known).encode()

    @classmethod
    def read(cls, raw: bytes) -> LogRequest:
        """From JSON; raises Malformed."""
        try:
            known = json.loads(raw)
            follow, until, tail = known["follow"], known["until"], known["tail"]
            place = Place.read(str(known["place"]))
        except (ValueError, KeyError, TypeError):
            raise Malformed("This is no request for logs.") from None
        fits = isinstance(follow, bool) and isinstance(until, int | None) and isinstance(tail, int | None)
        if not fits or (tail is not None and not 0 < tail <= LARGEST_TAIL):
            raise Malformed("This is no request for logs.")
        return cls(place=place, follow=follow, until_ns=until, tail=tail)


def written(items: Iterable[Line | Dropped]) -> bytes:
    """Newline-delimited JSON."""
    return b"".join(json.dumps(_document(item)).encode() + b"\n" for item in items)


def _document(item: Line | Dropped) -> dict[str, object]:
    if isinstance(item, Dropped):
        return {"dropped": item.count, "pod": item.pod, "to": item.to}
    return {
        "time": item.time_ns,
        "number": item.number,
        "pod": item.pod,
        "process": item.process,
        "release": item.release,
        "line": item.text,
    }


def read(raw: bytes) -> Line | Dropped | None:
    """One line of it; None for an empty one, which only keeps the connection alive; raises Malformed."""
    if not raw:
        return None
    try:
        known = json.loads(raw)
        if "dropped" in known:
            time, number = known["to"]
            return Dropped(int(known["dropped"]), str(known["pod"]), (int(time), int(number)))
        return Line(
            int(known["time"]),
            int(known["number"]),
            str(known["pod"]),
            str(known["process"]),
            None if known["release"] is None else int(known["release"]),
            str(known["line"]),
        )
    except (ValueError, KeyError, TypeError):
        raise Malformed("The streamer's answer cannot be read.") from None
