"""Chunks hold exactly the lines that were put in, in bounded size."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kovra.adapters.cluster.lines import Line
from kovra.features.logs.queries import SPAN_NS
from kovra.features.logs.rules.chunks import Chunk, ChunkHead, opened, packed
from kovra.features.logs.service.collecting import CHUNK_BYTES, Growing, _split
from kovra.foundation.ids import new_id

NOW = 1_764_068_645 * 10**9


def lines_of(gaps: list[tuple[int, str]]) -> list[Line]:
    time, number, found = NOW, 0, []
    for gap, text in gaps:
        time, number = time + gap, number + 1 if gap == 0 and found else 0
        found.append(Line(time, number, "p", "web", 3, text))
    return found


texts = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=20)


@given(st.lists(st.tuples(st.sampled_from([0, 0, 1, 10**9]), texts), min_size=1, max_size=30))
def test_a_chunk_is_opened_to_the_lines_it_was_made_of(gaps: list[tuple[int, str]]) -> None:
    lines = lines_of(gaps)
    chunk = Chunk.of(lines)
    assert opened(chunk.head, chunk.data) == lines
    assert (chunk.lines, chunk.head.first, chunk.last) == (len(lines), lines[0].mark, lines[-1].mark)


def test_a_chunk_may_begin_in_the_middle_of_a_nanosecond() -> None:
    lines = lines_of([(0, "a"), (0, "b"), (0, "c"), (5, "d")])[1:]
    chunk = Chunk.of(lines)
    assert opened(chunk.head, chunk.data) == lines


def test_lines_compress_and_another_form_is_refused() -> None:
    lines = lines_of([(10**6, f"GET /orders/{n} 200 12ms") for n in range(1000)])
    assert len(packed(lines)) < sum(len(line.text) for line in lines) / 3
    head = ChunkHead(pod="p", process="web", release=1, first=(NOW, 0))
    with pytest.raises(ValueError, match="form"):
        opened(head, b"\x02" + zlib.compress(b"0 x"))


@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1, SPAN_NS // 2, SPAN_NS]), st.sampled_from([0, 10, 1000, 16_000])), max_size=60
    ),
    st.sampled_from([None, 0, CHUNK_BYTES // 2, CHUNK_BYTES]),
)
def test_lines_are_divided_in_order_so_that_no_chunk_is_too_large_or_too_long(
    sizes: list[tuple[int, int]], full: int | None
) -> None:
    lines = lines_of([(gap, "x" * size) for gap, size in sizes])
    growing = None
    if full is not None:
        growing = Growing(id=new_id(), chunk=Chunk.of([Line(NOW, 0, "p", "web", 3, "first")]), text_bytes=full)
    into, fresh = _split(lines, growing)
    assert [line for part in (into, *fresh) for line in part] == lines
    assert all(fresh)
    if growing is None:
        assert into == []
    for part, begin, room in [(into, NOW, CHUNK_BYTES - (full or 0)), *((p, p[0].time_ns, CHUNK_BYTES) for p in fresh)]:
        assert sum(len(line.text) + 24 for line in part) <= room
        assert all(line.time_ns - begin < SPAN_NS for line in part)
