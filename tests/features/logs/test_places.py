"""Places: each line of each pod exactly once, however the lines of several pods are mixed and the reader comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kovra.adapters.cluster.lines import Dropped, Line
from kovra.features.logs import protocol
from kovra.features.logs.protocol import LATE_NS, MOST_PODS, LogRequest, Place, stamp
from kovra.foundation.errors import Malformed

NOW = 1_764_068_645 * 10**9


def line(pod: str, time: int, number: int = 0) -> Line:
    return Line(NOW + time, number, pod, "web", 1, "x")


@given(
    order=st.lists(st.sampled_from(["a", "b", "c"]), max_size=40),
    repeats=st.lists(st.integers(0, 40), max_size=5),
)
def test_lines_of_a_pod_are_taken_once_and_in_order_whatever_the_other_pods_do(
    order: list[str], repeats: list[int]
) -> None:
    """Pods lag behind each other at will; at any moment the reader may come back with the text of its place."""
    counts = {"a": 0, "b": 0, "c": 0}
    place = Place(NOW)
    taken = []
    for n, pod in enumerate(order):
        counts[pod] += 1
        here = line(pod, {"a": 1, "b": 1000, "c": 10**9}[pod] * counts[pod])
        if n in repeats:
            place = Place.read(place.text())
            for old in taken:
                assert not place.take(old)
        assert place.take(here)
        taken.append(here)
    assert not any(place.copy().take(old) for old in taken)


def test_lines_of_one_nanosecond_are_told_apart() -> None:
    place = Place(NOW)
    assert [place.take(line("a", 5, n)) for n in (0, 1, 1, 0, 2)] == [True, True, False, False, True]
    assert place.mark_of("a") == (NOW + 5, 2)
    assert Place.read(place.text()).mark_of("a") == (NOW + 5, 2)


def test_what_is_at_or_before_the_base_is_old_and_a_new_pods_lines_are_new() -> None:
    place = Place(NOW)
    assert not place.take(line("a", 0))
    assert place.take(line("a", 10))
    assert place.take(line("b", 1))


def test_pods_long_silent_are_forgotten_but_not_what_was_read_of_them() -> None:
    place = Place(NOW)
    place.take(line("old", 1))
    place.take(line("new", 3 * LATE_NS))
    assert len(place.pods) == 1
    assert not place.take(line("old", 1))
    assert not place.take(line("old", 2))
    assert place.take(line("old", 2 * LATE_NS + 1))


def test_a_place_stays_small_with_any_number_of_pods() -> None:
    place = Place(NOW)
    for n in range(1000):
        assert place.take(line(f"pod-{n}", n + 1))
    assert len(place.pods) <= MOST_PODS
    assert len(place.text()) < 8000
    assert not any(place.take(line(f"pod-{n}", n + 1)) for n in range(1000))


@pytest.mark.parametrize(
    "text", ["", "x", "-5", "5,", "5,zz", "5,aaaaaaaaaaaa", "5,aaaaaaaaaaaa1", "f" * 17, "1," * 300]
)
def test_noise_is_no_place(text: str) -> None:
    with pytest.raises(Malformed):
        Place.read(text)


def test_times_are_written_with_nanoseconds() -> None:
    assert stamp(NOW + 7) == "2025-11-25T11:04:05.000000007Z"


@given(
    text=st.text(max_size=50), pod=st.text(max_size=10), release=st.none() | st.integers(0, 99), count=st.integers(1, 9)
)
def test_what_is_written_is_read_and_no_line_can_pretend_to_be_two(
    text: str, pod: str, release: int | None, count: int
) -> None:
    """T189: a line is data, whatever it holds."""
    there = [Line(NOW, 3, pod, "web", release, text), Dropped(count, pod, (NOW, 2))]
    raw = protocol.written(there)
    assert raw.count(b"\n") == 2
    assert [protocol.read(one) for one in raw.split(b"\n")] == [*there, None]


def test_a_request_is_read_back_and_noise_is_refused() -> None:
    asked = LogRequest(place=Place(NOW, {"a" * 12: (NOW + 1, 2)}, NOW + 1), follow=True, until_ns=None, tail=5)
    assert LogRequest.read(asked.document()) == asked
    for raw in (b"", b"[]", b"{}", b'{"place": "x"}', b'{"place":"1","follow":1,"until":null,"tail":null}'):
        with pytest.raises(Malformed):
            LogRequest.read(raw)
    for tail in (0, -1, 5001, "9", 1.5):
        raw = asked.document().replace(b'"tail": 5', b'"tail": %s' % repr(tail).replace("'", '"').encode())
        with pytest.raises(Malformed):
            LogRequest.read(raw)
