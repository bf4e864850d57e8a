"""What comes from several pods is given on in order, and bounded."""

from __future__ import annotations

from kovra.adapters.cluster.lines import Dropped, Line
from kovra.adapters.cluster.tail import BATCH, Window


def line(time: int, pod: str = "a", text: str = "x") -> Line:
    return Line(time, 0, pod, "web", 1, text)


def test_lines_are_held_for_a_moment_and_given_in_order_of_time() -> None:
    window = Window()
    window.add([line(10), line(30)], 0.0)
    window.add([line(20, "b")], 0.1)
    assert window.ripe(0.12, hold_s=0.15) == []
    assert window.ripe(0.16, hold_s=0.15) == [line(10), line(20, "b"), line(30)]
    window.add([line(40)], 1.0)
    window.add([line(35, "b")], 5.0)
    # A line that came later goes with those it belongs before.
    assert window.ripe(5.0, hold_s=0.15) == [line(35, "b"), line(40)]
    assert len(window) == 0


def test_a_late_line_comes_all_the_same() -> None:
    window = Window()
    window.add([line(10)], 0.0)
    assert window.ripe(1.0) == [line(10)]
    window.add([line(5, "b")], 1.0)
    assert window.ripe(2.0) == [line(5, "b")]


def test_batches_are_bounded_and_nothing_is_left_behind() -> None:
    window = Window()
    window.add([line(n) for n in range(BATCH * 2 + 7)], 0.0)
    sizes = []
    while batch := window.ripe(1.0):
        sizes.append(len(batch))
    assert sizes == [BATCH, BATCH, 7]


def test_a_slow_reader_is_told_how_many_lines_of_which_pod_it_missed() -> None:
    """T158: the oldest go, memory is bounded, and what is given afterwards is whole."""
    window = Window(lines=10, size_bytes=1000)
    for n in range(5000):
        window.add([line(n, "ab"[n % 2])], n / 100)
        assert len(window) <= 10
        assert len(window._came) <= 256
    found = window.ripe(1000.0)
    assert {item.pod: item.count for item in found if isinstance(item, Dropped)} == {"a": 2495, "b": 2495}
    assert [item.time_ns for item in found if isinstance(item, Line)] == list(range(4990, 5000))
    window.add([line(6000, text="y" * 600), line(6001, text="y" * 600)], 1001.0)
    assert window.ripe(1002.0) == [Dropped(1, "a", (6000, 0)), line(6001, text="y" * 600)]
