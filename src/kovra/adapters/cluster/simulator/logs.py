"""What a container wrote: bounded, numbered so that a follower misses and repeats nothing, cut as the API asks."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from kovra.adapters.cluster.simulator.kinds import bad_request
from kovra.foundation import clock

LINES: Final = 1000


@dataclass(frozen=True, slots=True)
class Line:
    """One line; numbers go up and never repeat within a container's life."""

    number: int
    at: datetime
    text: str


@dataclass(slots=True)
class Log:
    """The newest lines of one container's life."""

    written: int = 0
    lines: deque[Line] = field(default_factory=lambda: deque(maxlen=LINES))

    def write(self, *texts: str) -> None:
        """The container writes these lines."""
        for text in texts:
            self.written += 1
            self.lines.append(Line(self.written, clock.now(), text))

    def after(self, number: int) -> list[Line]:
        """Lines a follower has not seen yet."""
        return [line for line in self.lines if line.number > number]


def selected(lines: list[Line], query: Mapping[str, str]) -> list[Line]:
    """By ``sinceTime``, ``sinceSeconds`` and ``tailLines``."""
    if since := query.get("sinceTime"):
        moment = _moment(since)
        lines = [line for line in lines if line.at >= moment]
    if seconds := query.get("sinceSeconds"):
        now = clock.now()
        lines = [line for line in lines if (now - line.at).total_seconds() <= _number(seconds)]
    if "tailLines" in query:
        tail = _number(query["tailLines"])
        lines = lines[-tail:] if tail else []
    return lines


def rendered(lines: list[Line], query: Mapping[str, str]) -> bytes:
    """Text, with ``timestamps``, at most ``limitBytes`` of it."""
    stamped = query.get("timestamps") == "true"
    text = "".join(f"{clock.rfc3339(line.at)} {line.text}\n" if stamped else f"{line.text}\n" for line in lines)
    raw = text.encode()
    return raw[: _number(query["limitBytes"])] if "limitBytes" in query else raw


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise bad_request("a log option is not a number")
    return int(text)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise bad_request("sinceTime is no RFC 3339 time") from None
    if moment.tzinfo is None:
        raise bad_request("sinceTime has no zone")
    return moment
