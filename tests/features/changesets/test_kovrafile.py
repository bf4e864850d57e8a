"""kovra.yaml as text has one meaning, is bounded, and tells what is wrong where it stands."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kovra.features.changesets.rules.kovrafile import FileWrong, Read, Spot, read, write

TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=40)
PLAIN = st.none() | st.booleans() | st.integers(-(10**12), 10**12) | TEXTS
DOCUMENTS = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4))


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(TEXTS, DOCUMENTS, max_size=6))
def test_what_is_written_is_read_back_the_same(document: dict[str, Any]) -> None:
    assert read(write(document)).document == document


@settings(deadline=None)
@given(st.text(max_size=200))
def test_no_text_is_a_defect(text: str) -> None:
    try:
        found = read(text)
    except FileWrong as wrong:
        assert wrong.wrong
        assert all(one.spot.line >= 1 and one.spot.column >= 1 and one.message for one in wrong.wrong)
    else:
        assert isinstance(found, Read)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"), ("yes", "yes"), ("No", "No"), ("off", "off"), ("true", True), ("null", None), ("", None), ("~", None),
        ("'true'", "true"), ('"010"', "010"), ("12", 12), ("-3", -3), ("1.5", 1.5), ("1e3", 1000.0), ("1:30", "1:30"),
        ("2026-11-25", "2026-11-25"), ("1_000", "1_000"), ("=", "="), ("1.2.3", "1.2.3"),
    ],
)  # fmt: skip
def test_plain_values_are_what_yaml_1_2_says(text: str, value: Any) -> None:
    """T121: on, yes and dates are texts; nothing is made of a value but what JSON has."""
    found = read(f"a: {text}").document["a"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "spot", "path", "words"),
    [
        ("a: 010\n", Spot(1, 4), "/a", "quotes"),
        ("a: 0o17\n", Spot(1, 4), "/a", "quotes"),
        ("a: .inf\n", Spot(1, 4), "/a", "quotes"),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", Spot(4, 3), "/b/c", "twice"),
        ("a: &x 1\nb: *x\n", Spot(1, 4), "/a", "anchors"),
        ("a: !!python/object:os.system x\n", Spot(1, 4), "/a", "tags"),
        ("<<: {a: 1}\na: *b\n", Spot(2, 4), "/a", "anchors"),
        ("? [a]\n: 1\n", Spot(1, 3), "", "plain texts"),
        ("---\na: 1\n---\nb: 1\n", Spot(3, 1), "", "One document"),
        ("", Spot(1, 1), "", "empty"),
        ("a: [1\nb: 2\n", Spot(2, 1), "", "not YAML"),
        ("a:\n\t- b\n", Spot(2, 1), "", "not YAML"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused_where_it_stands(
    text: str, spot: Spot, path: str, words: str
) -> None:
    with pytest.raises(FileWrong) as refused:
        read(text)
    first = refused.value.wrong[0]
    assert (first.path, words in first.message) == (path, True), first
    assert first.spot.line == spot.line, first


def test_several_things_are_told_at_once() -> None:
    with pytest.raises(FileWrong) as refused:
        read("a: 010\nb: 1\nb: !x 2\nc: &y 3\n")
    assert [one.spot.line for one in refused.value.wrong] == [1, 3, 3, 4]


def test_a_bomb_of_aliases_is_refused_before_it_grows() -> None:
    """T121."""
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    with pytest.raises(FileWrong):
        read("\n".join(lines))


@pytest.mark.parametrize(
    "text",
    ["a: " + "[" * 5000, "a: " + "{b: " * 500, "[" + "x," * 20_001, "a: " + "x" * 300_000],
    ids=["lists", "maps", "many", "large"],
)
def test_what_is_too_much_is_refused(text: str) -> None:
    with pytest.raises(FileWrong):
        read(text)


def test_a_field_that_is_not_there_stands_where_it_would_belong() -> None:
    found = read("apps:\n  web:\n    processes:\n      web: {}\n")
    assert found.spot("/apps/web/processes/web/port") == Spot(4, 7)
    assert found.spot("/nothing") == Spot(1, 1)
