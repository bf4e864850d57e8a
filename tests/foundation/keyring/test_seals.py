"""Seals open in their place with their key, and nowhere else."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kovra.foundation.ids import new_id
from kovra.foundation.keyring import (
    Holder,
    HolderKeys,
    Keyring,
    KeyVersionMissing,
    MasterKeys,
    MasterSet,
    Place,
    Purpose,
    SealBroken,
    SecretValue,
)
from kovra.foundation.keyring.documents import from_document, to_document
from kovra.foundation.keyring.envelope import canonical
from kovra.foundation.keyring.masters import KeyState, generate

MASTERS = [generate(MasterSet.edge, 1), generate(MasterSet.core, 1)]
WORKER = Keyring(MasterKeys(MASTERS))
API = Keyring(MasterKeys(from_document(to_document(MASTERS, private=False))))
HOLDER = Holder("organization", new_id())
KEYS = HolderKeys(HOLDER, API.new_holder_keys(HOLDER))


def place(purpose: Purpose, **changes: object) -> Place:
    known = Place(holder=HOLDER, table="t", row=UUID(int=1), column="c", purpose=purpose)
    return replace(known, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("purpose", list(Purpose))
def test_what_is_sealed_opens_again(purpose: Purpose) -> None:
    sealed = API.seal(SecretValue("value"), place(purpose), KEYS)
    assert b"value" not in sealed.data
    assert WORKER.open(sealed.data, place(purpose), KEYS).reveal_text() == "value"


def test_the_api_cannot_open_what_it_seals_as_a_secret() -> None:
    sealed = API.seal(SecretValue("value"), place(Purpose.secret), KEYS)
    with pytest.raises(KeyVersionMissing):
        API.open(sealed.data, place(Purpose.secret), KEYS)
    assert API.open(API.seal(SecretValue("v"), place(Purpose.config), KEYS).data, place(Purpose.config), KEYS)


@pytest.mark.parametrize("purpose", [Purpose.config, Purpose.secret])
def test_a_seal_opens_in_its_place_alone(purpose: Purpose) -> None:
    """T078."""
    sealed = API.seal(SecretValue("value"), place(purpose), KEYS)
    other = Holder("organization", new_id())
    for wrong in ({"row": UUID(int=2)}, {"column": "d"}, {"table": "u"}, {"holder": other}):
        with pytest.raises(SealBroken):
            WORKER.open(sealed.data, place(purpose, **wrong), KEYS)


@pytest.mark.parametrize("purpose", [Purpose.config, Purpose.secret])
def test_every_flipped_byte_is_noticed(purpose: Purpose) -> None:
    """T079."""
    sealed = API.seal(SecretValue("value"), place(purpose), KEYS).data
    for index in range(len(sealed)):
        changed = bytearray(sealed)
        changed[index] ^= 0x01
        with pytest.raises((SealBroken, KeyVersionMissing)):
            WORKER.open(bytes(changed), place(purpose), KEYS)
    for length in range(0, len(sealed), 7):
        with pytest.raises((SealBroken, KeyVersionMissing)):
            WORKER.open(sealed[:length], place(purpose), KEYS)


def test_salts_and_nonces_do_not_repeat() -> None:
    """T081."""
    seals = {API.seal(SecretValue("same"), place(Purpose.config), KEYS).data[6:82] for _ in range(2000)}
    assert len(seals) == 2000


@given(st.lists(st.text(max_size=6), min_size=1, max_size=4), st.lists(st.text(max_size=6), min_size=1, max_size=4))
def test_places_with_other_parts_have_other_associated_data(a: list[str], b: list[str]) -> None:
    """T089."""
    assert (canonical(*a) == canonical(*b)) == (a == b)


def test_a_new_master_rewraps_holder_keys_and_touches_no_value() -> None:
    """T082."""
    sealed = {p: API.seal(SecretValue("value"), place(p), KEYS) for p in (Purpose.config, Purpose.secret)}
    newer = [
        *(replace(k, state=KeyState.enabled) for k in MASTERS), generate(MasterSet.edge, 2), generate(MasterSet.core, 2),
    ]  # fmt: skip
    both = Keyring(MasterKeys(newer))
    rewrapped = HolderKeys(HOLDER, [both.rewrap(HOLDER, key) for key in KEYS.all()])
    assert all(key.master_version == 2 for key in rewrapped.all())
    only_new = Keyring(MasterKeys([k for k in newer if k.version == 2]))
    for purpose, value in sealed.items():
        assert only_new.open(value.data, place(purpose), rewrapped).reveal_text() == "value"
        with pytest.raises(KeyVersionMissing):
            only_new.open(value.data, place(purpose), KEYS)


def test_an_organizations_new_version_seals_and_the_old_still_opens() -> None:
    old = API.seal(SecretValue("value"), place(Purpose.config), KEYS)
    kept = [replace(k, state=KeyState.enabled) if k.purpose is Purpose.config else k for k in KEYS.all()]
    turned = HolderKeys(HOLDER, [*kept, API.new_holder_key(HOLDER, Purpose.config, 2)])
    assert API.needs_reseal(old.data, Purpose.config, turned)
    again = API.reseal(old.data, place(Purpose.config), turned)
    assert again.key_version == 2
    assert API.open(again.data, place(Purpose.config), turned).reveal_text() == "value"
    gone = HolderKeys(HOLDER, [k for k in turned.all() if k.version == 2 or k.purpose is not Purpose.config])
    with pytest.raises(KeyVersionMissing):
        API.open(old.data, place(Purpose.config), gone)


def test_two_keys_of_one_version_have_other_check_values() -> None:
    """T087."""
    other = Keyring(MasterKeys([generate(MasterSet.edge, 1), generate(MasterSet.core, 1)]))
    assert WORKER.check_values() == API.check_values()
    assert all(other.check_values()[k] != v for k, v in WORKER.check_values().items())


def test_a_secret_value_shows_itself_nowhere() -> None:
    """T092."""
    value = SecretValue("canary-value")
    shown = f"{value} {value!r} {value!s} {[value]} {value:>10}"
    assert "canary" not in shown
    for leak in (lambda: json.dumps(value), lambda: pickle.dumps(value), lambda: hash(value)):
        with pytest.raises(TypeError):
            leak()
    assert value == SecretValue("canary-value")
