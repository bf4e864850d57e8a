"""Lines that are left out live and come from the store all the same: told once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kovra.adapters.cluster.lines import Dropped, Line
from kovra.features.logs.protocol import Place
from kovra.features.logs.service.seam import Seam

BEGIN = 1_764_068_645 * 10**9


class Told:
    """What a reader was told, as the stream tells it."""

    def __init__(self) -> None:
        self.place = Place(BEGIN)
        self.seam = Seam(self.place)
        self.seen: dict[str, list[int]] = {"a": [], "b": []}
        self.missed = {"a": 0, "b": 0}

    def stored(self, lines: list[Line]) -> None:
        self.seam.stored(lines)
        self._take(lines)

    def live(self, items: list[Line | Dropped]) -> None:
        for part in self.seam.live(items):
            self._take(part)

    def _take(self, items: list[Line] | list[Line | Dropped]) -> None:
        for item in items:
            if isinstance(item, Dropped):
                self.missed[item.pod] += item.count
            elif self.place.take(item):
                self.seen[item.pod].append(item.time_ns - BEGIN)


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[str, str, int]]:
    kinds = st.sampled_from(["give", "drop", "store", "connect"])
    return draw(st.lists(st.tuples(kinds, st.sampled_from("ab"), st.integers(1, 9)), max_size=40))


@given(steps())
def test_every_line_is_told_exactly_once_however_live_and_stored_ones_meet(steps: list[tuple[str, str, int]]) -> None:
    """T158: each pod writes without end; live lines are given or left out, and the store gives from the reader's place on."""
    told, live = Told(), {"a": 1, "b": 1}
    written: dict[str, int] = {"a": 0, "b": 0}
    for kind, pod, count in steps:
        lines = [Line(BEGIN + n, 0, pod, "web", 1, "x") for n in range(live[pod], live[pod] + count)]
        if kind in ("give", "drop"):
            live[pod] += count
            written[pod] = max(written[pod], live[pod] - 1)
            told.live([*lines] if kind == "give" else [Dropped(count, pod, lines[-1].mark)])
        elif kind == "store":
            place = max(0, told.place.mark_of(pod)[0] - BEGIN)
            told.stored([Line(BEGIN + n, 0, pod, "web", 1, "x") for n in range(place + 1, place + count + 1)])
            written[pod] = max(written[pod], place + count)
        else:  # the streamer begins again from where the reader is
            told.seam.connected()
            live = {name: max(0, told.place.mark_of(name)[0] - BEGIN) + 1 for name in "ab"}
    for pod in "ab":
        assert told.seen[pod] == sorted(set(told.seen[pod]))
        assert len(told.seen[pod]) + told.missed[pod] == written[pod]
