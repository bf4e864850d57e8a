"""What a container wrote: bounded, numbered so that a follower misses and repeats nothing, cut as the API asks."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kovra.adapters.cluster.simulator.kinds import bad_request
from kovra.foundation import clock

LINES = 5000
"""A node keeps 10 MiB at least; this is what a follower may be behind before it misses any."""


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
    """By ``sinceTime``, ``sinceSeconds`` and ``tailLines``, checked already."""
    if since := query.get("sinceTime"):
        lines = [line for line in lines if line.at >= moment(since)]
    if seconds := query.get("sinceSeconds"):
        now = clock.now()
        lines = [line for line in lines if (now - line.at).total_seconds() <= int(seconds)]
    if "tailLines" in query:
        tail = int(query["tailLines"])
        lines = lines[-tail:] if tail else []
    return lines


def rendered(lines: list[Line], query: Mapping[str, str]) -> bytes:
    """Text, with ``timestamps``, at most ``limitBytes`` of it."""
    stamped = query.get("timestamps") == "true"
    text = "".join(f"{clock.rfc3339(line.at)} {line.text}\n" if stamped else f"{line.text}\n" for line in lines)
    raw = text.encode()
    return raw[: int(query["limitBytes"])] if "limitBytes" in query else raw


def moment(text: str) -> datetime:
    """A time with its zone; 400 when it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise bad_request(f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse "{text}" as "2006"')
    return found
