"""Chunks: some lines of one pod, compressed (zlib). Each line is its distance in time from the one before, and its text.

Numbers within a nanosecond follow from the order. The first byte says the form, so that it may change.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from kovra.adapters.cluster.lines import Line, Mark

_FORM: Final = b"\x01"
_LARGEST: Final = 32 * 1024 * 1024
"""What a chunk may hold when opened; none is made larger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkHead:
    """What is known of a chunk without opening it."""

    pod: str
    process: str
    release: int | None
    first: Mark


def packed(lines: Sequence[Line]) -> bytes:
    """Lines of one pod, in order."""
    before = lines[0].time_ns
    parts = []
    for line in lines:
        parts.append(f"{line.time_ns - before} {line.text}")
        before = line.time_ns
    return _FORM + zlib.compress("\n".join(parts).encode("utf-8", "replace"), 6)


def opened(head: ChunkHead, data: bytes) -> list[Line]:
    """The lines of a chunk."""
    if data[:1] != _FORM:
        raise ValueError("a chunk of another form")
    inflater = zlib.decompressobj()
    raw = inflater.decompress(data[1:], _LARGEST)
    time_ns, number = head.first
    found: list[Line] = []
    for part in raw.decode().split("\n"):
        distance, _, text = part.partition(" ")
        if distance != "0":
            time_ns, number = time_ns + int(distance), 0
        elif found:
            number += 1
        found.append(Line(time_ns, number, head.pod, head.process, head.release, text))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A chunk as it is stored."""

    head: ChunkHead
    last: Mark
    lines: int
    data: bytes = field(repr=False)

    @classmethod
    def of(cls, lines: Sequence[Line]) -> Chunk:
        """Of lines of one pod, in order."""
        first = lines[0]
        head = ChunkHead(pod=first.pod, process=first.process, release=first.release, first=first.mark)
        return cls(head=head, last=lines[-1].mark, lines=len(lines), data=packed(lines))


def merged(chunks: Iterable[Sequence[Line]]) -> list[Line]:
    """The lines of several pods, in order of time."""
    return sorted((line for lines in chunks for line in lines), key=lambda line: line.order)
