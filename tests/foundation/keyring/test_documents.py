"""Keyring files: what they hold, who may read them, and that none is ever lost by writing another."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kovra.foundation.keyring import KeyBroken, MasterSet
from kovra.foundation.keyring.documents import (
    FileSource,
    TextSource,
    create_file,
    from_document,
    to_document,
    write_file,
)
from kovra.foundation.keyring.masters import KeyState, generate, rotated

KEYS = rotated([generate(MasterSet.edge, 1), generate(MasterSet.core, 1)], MasterSet.core)


def test_a_written_file_is_private_and_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    write_file(path, KEYS)
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(map(repr, FileSource(path).load())) == sorted(map(repr, KEYS))
    assert list(tmp_path.iterdir()) == [path]


def test_the_apis_copy_holds_no_private_half(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    write_file(path, KEYS, private=False)
    private = [base64.b64encode(k.secret or b"").decode() for k in KEYS if k.set is MasterSet.core]
    assert not [text for text in private if text in path.read_text()]
    assert all((k.secret is None) == (k.set is MasterSet.core) for k in FileSource(path).load())


def test_a_left_over_draft_with_an_open_mode_does_not_lend_it(tmp_path: Path) -> None:
    draft = tmp_path / "keyring.json.new"
    draft.write_text("old")
    draft.chmod(0o666)
    write_file(tmp_path / "keyring.json", KEYS)
    assert (tmp_path / "keyring.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_file_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keyring.json"
    write_file(path, KEYS)
    path.chmod(mode)
    with pytest.raises(KeyBroken, match="0600"):
        FileSource(path).load()


def test_a_keyring_is_never_written_over_by_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    create_file(path, KEYS)
    before = path.read_bytes()
    with pytest.raises(KeyBroken, match="rotate"):
        create_file(path, KEYS)
    assert path.read_bytes() == before


def test_a_missing_or_binary_file_is_a_clear_refusal(tmp_path: Path) -> None:
    with pytest.raises(KeyBroken, match="cannot be read"):
        FileSource(tmp_path / "none.json").load()
    path = tmp_path / "keyring.json"
    path.write_bytes(b"\xff\xfe")
    path.chmod(0o600)
    with pytest.raises(KeyBroken):
        FileSource(path).load()


def test_a_destroyed_version_keeps_its_number_and_nothing_else() -> None:
    gone = replace(KEYS[0], version=9, state=KeyState.destroyed, secret=None)
    document = to_document([*KEYS, gone])
    assert document["edge"][-1] == {"version": 9, "state": "destroyed"}
    assert from_document(document)[1] == gone
    with pytest.raises(KeyBroken, match="destroyed"):
        replace(KEYS[0], state=KeyState.destroyed)


def _document(group: str, **changes: Any) -> dict[str, Any]:
    document = to_document(KEYS)
    document[group][0] = {k: v for k, v in {**document[group][0], **changes}.items() if v is not None}
    return document


@pytest.mark.parametrize(
    ("group", "changes"),
    [
        ("edge", {"key": None}),
        ("edge", {"key": "AAAA"}),
        ("edge", {"key": "no base64!"}),
        ("edge", {"key": 5}),
        ("edge", {"version": 0}),
        ("edge", {"version": 2**31}),
        ("edge", {"version": True}),
        ("edge", {"version": "1"}),
        ("edge", {"state": "lost"}),
        ("edge", {"state": ["primary"]}),
        ("edge", {"wrapped": "AAAA"}),
        ("core", {"public": None}),
        ("core", {"public": base64.b64encode(bytes(32)).decode()}),
        ("core", {"private": base64.b64encode(b"x" * 31).decode()}),
    ],
)
def test_a_wrong_entry_is_refused_without_showing_it(group: str, changes: dict[str, Any]) -> None:
    with pytest.raises(KeyBroken) as refused:
        from_document(_document(group, **changes))
    for key in KEYS:
        assert base64.b64encode(key.secret or b"").decode() not in refused.value.message


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["version", "state", "key"]), inner),
    max_leaves=8,
)


@given(edge=_JSON, core=_JSON)
def test_any_other_json_is_a_typed_refusal(edge: Any, core: Any) -> None:
    try:
        loaded = TextSource(json.dumps({"edge": edge, "core": core})).load()
    except KeyBroken:
        return
    assert loaded == []


@pytest.mark.parametrize("text", ["", "[]", "5", "{", "{}", "[" * 100_000])
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(KeyBroken):
        TextSource(text).load()
