"""Bytes of the log API into lines, whatever the cuts; each line once, however often it is asked for."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from kovra.adapters.cluster.lines import (
    LONGEST_LINE,
    START,
    ContainerState,
    Line,
    PodInfo,
    Reader,
    Splitter,
    container_state,
    parse,
    seconds_before,
    shown,
)

POD = PodInfo(name="p", process="web", release=3)
SECOND = 10**9


def written(times: list[int]) -> list[bytes]:
    from kovra.features.logs.protocol import stamp

    return [f"{stamp(time)} line {n}".encode() for n, time in enumerate(times)]


def test_times_are_read_exactly_in_every_form_the_runtimes_write() -> None:
    whole = 1_764_068_645 * SECOND
    for text, expected in (
        (b"2025-11-25T11:04:05.123456789Z x", whole + 123_456_789),
        (b"2025-11-25T11:04:05.12Z x", whole + 120_000_000),
        (b"2025-11-25T11:04:05Z x", whole),
        (b"2025-11-25T12:04:05.5+01:00 x", whole + 500_000_000),
        (b"2025-11-25T03:04:05.000000001-08:00 x", whole + 1),
    ):
        assert parse(text) == (expected, b"x")
    assert parse(b"2025-11-25T11:04:05Z ") == (whole, b"")


def test_what_is_no_line_of_the_container_is_passed_over() -> None:
    for text in (
        b"",
        b"unable to retrieve container logs for containerd://abc",
        b"2025-13-45T99:99:99Z x",
        b"2025-11-25T11:04:05.abcZ x",
        b"2025-11-25T11:04:05Z",
        b"\xff\xfe x",
    ):
        assert parse(text) is None


@given(
    texts=st.lists(st.binary(max_size=40).filter(lambda b: b"\n" not in b), max_size=12),
    cuts=st.lists(st.integers(0, 600), max_size=12),
)
def test_lines_are_the_same_wherever_the_bytes_are_cut(texts: list[bytes], cuts: list[int]) -> None:
    raw = b"".join(text + b"\n" for text in texts)
    edges = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    splitter = Splitter()
    found = [line for begin, end in itertools.pairwise(edges) for line in splitter.feed(raw[begin:end])]
    assert found == texts
    assert splitter.rest() == []


def test_an_endless_line_is_cut_and_held_in_bounded_memory() -> None:
    splitter = Splitter()
    assert splitter.feed(b"2025-11-25T11:04:05Z " + b"a" * 10) == []
    for _ in range(100):
        assert splitter.feed(b"b" * 65536) == []
        assert len(splitter._rest) < LONGEST_LINE + 100
    first, second = splitter.feed(b"end\n2025-11-25T11:04:06Z next\n")
    parsed = parse(first)
    assert parsed is not None
    text = shown(parsed[1])
    assert len(text.encode()) == LONGEST_LINE
    assert text.startswith("aaaaaaaaaab") and text.endswith("b…")
    assert parse(second) == (1_764_068_646 * SECOND, b"next")


def test_a_long_line_is_never_cut_within_a_character() -> None:
    for shift in range(4):
        text = shown(b"x" * shift + "🦀".encode() * LONGEST_LINE)
        assert text.endswith("🦀…")
        assert len(text.encode()) <= LONGEST_LINE
    assert shown(b"\xff\x00ok") == "\ufffd\x00ok"


@given(
    gaps=st.lists(st.sampled_from([0, 0, 1, 1000, -500, SECOND // 2, 3 * SECOND]), min_size=1, max_size=30),
    stops=st.lists(st.integers(0, 30), max_size=4),
)
def test_each_line_is_read_once_through_any_reconnects(gaps: list[int], stops: list[int]) -> None:
    """A reconnect begins at the second before the last line, as ``sinceTime`` does; lines may be a little disordered."""
    times, now = [], 1_764_068_645 * SECOND
    for gap in gaps:
        now += gap
        times.append(now)
    raw = written(times)
    reader = Reader(POD, START)
    found: list[Line] = []
    for stop in [*sorted(stops), len(raw)]:
        since = max(0, reader.mark[0] // SECOND - 1) * SECOND
        reader.begin()
        visible = [line for line, time in zip(raw, times, strict=True) if time >= since]
        gone = len(raw) - len(visible)
        found += reader.read(visible[: max(0, stop - gone)])
    assert [line.text for line in found] == [f"line {n}" for n in range(len(raw))]
    assert [line.mark for line in found] == sorted({line.mark for line in found})


def test_two_readers_give_a_line_the_same_mark() -> None:
    raw = written([5 * SECOND, 5 * SECOND, 5 * SECOND + 1, 5 * SECOND, 7 * SECOND])
    all_of_it = Reader(POD, START).read(raw)
    assert [line.mark for line in all_of_it] == [
        (5 * SECOND, 0), (5 * SECOND, 1), (5 * SECOND + 1, 0), (5 * SECOND + 1, 1), (7 * SECOND, 0),
    ]  # fmt: skip
    for n, line in enumerate(all_of_it):
        assert Reader(POD, line.mark).read(raw) == all_of_it[n + 1 :]


def test_a_query_asks_for_the_second_before_the_mark() -> None:
    assert seconds_before((1_764_068_645 * SECOND + 5, 3)) == "2025-11-25T11:04:04Z"


def test_the_state_of_the_apps_container_is_read_from_the_pod() -> None:
    def pod(**status: object) -> dict[str, object]:
        return {"metadata": {"name": "p"}, "status": status}

    def statuses(**container: object) -> list[dict[str, object]]:
        return [{"name": "injected", "restartCount": 9}, {"name": "app", **container}]

    assert container_state(pod()) == ContainerState(restarts=0, started=False, running=False, ended=False)
    waiting = pod(phase="Pending", containerStatuses=statuses(state={"waiting": {}}, restartCount=0))
    assert not container_state(waiting).started
    crashed = statuses(state={"waiting": {}}, lastState={"terminated": {"exitCode": 3}}, restartCount=2)
    state = container_state(pod(phase="Running", containerStatuses=crashed))
    assert (state.restarts, state.started, state.running, state.ended) == (2, True, False, False)
    done = statuses(state={"terminated": {"exitCode": 0}})
    assert container_state(pod(phase="Succeeded", containerStatuses=done)).ended
