"""Ids, tokens, cursors, references: small pure parts, with properties."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from docker_image import reference as oracle
from hypothesis import given, settings
from hypothesis import strategies as st

from kovra.adapters.oci import reference
from kovra.foundation import tokens
from kovra.foundation.clock import rfc3339
from kovra.foundation.db.pages import Cursors, Position
from kovra.foundation.errors import Malformed
from kovra.foundation.ids import decode, encode, is_slug, new_id, slugify
from kovra.foundation.web.ratelimit import Bucket, RateLimiter


@given(st.uuids())
def test_ids_come_back_as_they_went(value: UUID) -> None:
    text = encode("app", value)
    assert len(text) == 30
    assert decode("app", text) == value
    assert decode("dep", text) is None


@given(st.text(max_size=40))
def test_nothing_else_is_an_id(text: str) -> None:
    value = decode("app", text)
    assert value is None or encode("app", value) == text


@given(
    st.integers(-62_000_000_000, 253_000_000_000),
    st.integers(0, 999_999),
    st.integers(-23, 23),
    st.booleans(),
)
def test_times_have_six_digits_and_are_utc(second: int, micro: int, hours: int, whole: bool) -> None:
    zone = timezone(timedelta(hours=hours))
    at = datetime.fromtimestamp(second, zone).replace(microsecond=0 if whole else micro)
    assert rfc3339(at) == at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def test_an_id_is_written_in_crockfords_order() -> None:
    assert encode("app", UUID(int=0)) == "app_" + "0" * 26
    assert encode("app", UUID(int=(1 << 128) - 1)) == "app_7" + "z" * 25
    assert encode("app", UUID("01936f2e-7c00-7abc-8def-0123456789ab")) == "app_01jdqjwz00fay8vvr14d2pf2db"


def test_new_ids_grow_and_are_version_7(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kovra.foundation.ids._last", 0)  # a test before may have lived in the future
    made = [new_id() for _ in range(2000)]
    assert made == sorted(made)
    assert len(set(made)) == 2000
    assert all(i.version == 7 for i in made)
    assert abs((made[0].int >> 80) / 1000 - time.time()) < 5


@given(st.text(max_size=60))
def test_a_slug_made_from_a_name_is_a_slug_or_nothing(name: str) -> None:
    made = slugify(name)
    assert made == "" or is_slug(made)


@pytest.mark.parametrize("kind", ["api", "rt", "inv", "rst", "tix", "dep"])
def test_tokens_parse_and_any_changed_character_is_noticed(kind: str) -> None:
    """T094."""
    org_id = new_id()
    text = tokens.new_token(kind, org_id)
    parsed = tokens.parse(text)
    assert parsed is not None
    assert parsed.org_id == (org_id if kind in ("api", "dep", "tix") else None)
    assert tokens.PATTERN.fullmatch(text)
    for index in range(len(text)):
        changed = text[:index] + ("A" if text[index] != "A" else "B") + text[index + 1 :]
        assert tokens.parse(changed) is None


def test_tokens_do_not_repeat_and_need_no_guessable_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """T094: with `random` and the clock standing still; 256 random bits each."""
    import random

    for name in ("random", "getrandbits", "randbytes", "choice"):
        monkeypatch.setattr(random, name, lambda *_: 4)
    monkeypatch.setattr(time, "time", lambda: 1.0)
    made = {tokens.new_token("rt") for _ in range(20_000)}
    assert len(made) == 20_000
    assert {len(text) for text in made} == {len(tokens.new_token("rt"))}
    assert tokens._RANDOM * 8 >= 128


def test_any_other_character_anywhere_is_noticed() -> None:
    """T094: every single-character edit of one token, with the whole alphabet."""
    text = tokens.new_token("rt")
    for index, was in enumerate(text):
        for other in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_":
            if other != was:
                assert tokens.parse(text[:index] + other + text[index + 1 :]) is None


@given(st.text(max_size=120))
def test_no_text_breaks_the_parser(text: str) -> None:
    assert tokens.parse(text) is None


def test_cursors_are_bound_to_organization_and_filters() -> None:
    cursors, org_id, position = Cursors(b"k" * 32), new_id(), Position(new_id(), "Ä: z")
    cursor = cursors.make(org_id, {"a": "1"}, position)
    assert cursors.read(org_id, {"a": "1"}, cursor) == position
    for other_org, filters in ((new_id(), {"a": "1"}), (org_id, {"a": "2"}), (org_id, {})):
        with pytest.raises(Malformed):
            cursors.read(other_org, filters, cursor)
    with pytest.raises(Malformed):
        Cursors(b"x" * 32).read(org_id, {"a": "1"}, cursor)


WORDS = st.from_regex(r"[a-z0-9A-Z._:@/-]{1,60}", fullmatch=True)


@settings(max_examples=400, deadline=None)
@given(WORDS)
def test_references_are_read_as_docker_reads_them(text: str) -> None:
    """T142, with Docker's own grammar as oracle."""
    try:
        known = oracle.Reference.parse_normalized_named(text)
    except Exception:
        known = None
    try:
        mine = reference.parse(text)
    except reference.ReferenceInvalid:
        mine = None
    if mine is not None and known is not None:
        hostname, path = known.split_hostname()
        assert (mine.registry, mine.repository) == (hostname.lower(), path)
    if mine is not None:
        assert known is not None


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("team/app:1", "docker.io/team/app:1"),
        ("localhost/app", "localhost/app:latest"),
        ("registry.test:5000/a/b:c", "registry.test:5000/a/b:c"),
        ("ghcr.io/a/b@sha256:" + "0" * 64, "ghcr.io/a/b@sha256:" + "0" * 64),
    ],
)
def test_references_are_completed(text: str, canonical: str) -> None:
    assert reference.parse(text).canonical() == canonical


def test_the_bucket_never_gives_more_than_it_holds() -> None:
    limiter, bucket = RateLimiter(capacity=10), Bucket(name="b", burst=3, window_s=3600)
    assert [limiter.take(bucket, b"a").allowed for _ in range(5)] == [True, True, True, False, False]
    assert limiter.take(bucket, b"other").allowed
