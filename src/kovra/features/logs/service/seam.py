"""Where stored lines fill a hole in the live ones: a line that was left out live and comes from the store all the same is
told once, as a line.

The streamer leaves out the oldest of what a slow reader has not taken: of each pod one run of lines, up to the mark that
it says. So what comes from the store beyond a pod's last live line is the beginning of that run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from kovra.adapters.cluster.lines import START, Dropped, Line, Mark
from kovra.features.logs.protocol import Place


@dataclass(slots=True)
class _Ahead:
    """Lines of one pod that came from the store and not live, at least not yet."""

    count: int = 0
    newest: Mark = START


class Seam:
    """For one reader; its lines pass here before they are taken at its place."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._ahead: dict[str, _Ahead] = {}

    def connected(self) -> None:
        """Live lines begin anew from the place: what lies before it does not come again."""
        self._ahead = {pod: ahead for pod, ahead in self._ahead.items() if ahead.newest > self._place.mark_of(pod)}

    def stored(self, lines: Iterable[Line]) -> None:
        """These come from the store."""
        for line in lines:
            if line.mark > self._place.mark_of(line.pod):
                ahead = self._ahead.setdefault(line.pod, _Ahead())
                ahead.count, ahead.newest = ahead.count + 1, line.mark

    def live(self, items: Iterable[Line | Dropped]) -> Iterator[list[Line | Dropped]]:
        """What came live, in parts: each is to be taken before the next is asked for."""
        part: list[Line | Dropped] = []
        for item in items:
            if isinstance(item, Line):
                self._met(item)
                part.append(item)
                continue
            yield part
            missed = self._missed(item)
            # What was left out is over: it must not come from the store after it was said.
            self._place.pass_over(item.pod, item.to)
            part = [replace(item, count=missed)] if missed else []
        yield part

    def _met(self, line: Line) -> None:
        ahead = self._ahead.get(line.pod)
        if ahead is not None:
            ahead.count -= 1
            if line.mark >= ahead.newest:
                del self._ahead[line.pod]

    def _missed(self, dropped: Dropped) -> int:
        """How many of these lines have not come from the store."""
        ahead = self._ahead.get(dropped.pod)
        if ahead is None:
            return dropped.count
        if ahead.newest > dropped.to:
            ahead.count -= dropped.count
            return 0
        del self._ahead[dropped.pod]
        return max(0, dropped.count - ahead.count)
