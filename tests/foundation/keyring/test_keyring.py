"""The keyring against rows that were moved, keys that are gone, and arbitrary bytes."""

from __future__ import annotations

import copy
import logging
import traceback
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kovra.foundation.ids import new_id
from kovra.foundation.keyring import (
    Holder,
    HolderKey,
    HolderKeys,
    Keyring,
    KeyVersionMissing,
    MasterKey,
    MasterKeys,
    MasterSet,
    Place,
    Purpose,
    SealBroken,
    SecretValue,
)
from kovra.foundation.keyring.masters import KeyState, generate, promoted, rotated

MASTERS = [generate(MasterSet.edge, 1), generate(MasterSet.core, 1)]
WORKER = Keyring(MasterKeys(MASTERS))
API = Keyring(MasterKeys([MASTERS[0], replace(MASTERS[1], secret=None)]))
HOLDER = Holder("organization", new_id())
KEYS = HolderKeys(HOLDER, WORKER.new_holder_keys(HOLDER))
CONFIG = Place(holder=HOLDER, table="t", row=UUID(int=1), column="c", purpose=Purpose.config)
SECRET = replace(CONFIG, purpose=Purpose.secret)
SEALED = {p: WORKER.seal(SecretValue("value"), p, KEYS).data for p in (CONFIG, SECRET)}


def key_of(purpose: Purpose) -> HolderKey:
    return KEYS.primary(purpose)


def with_key(changed: HolderKey) -> HolderKeys:
    return HolderKeys(HOLDER, [changed if k.purpose is changed.purpose else k for k in KEYS.all()])


def test_the_api_may_open_everything_but_secrets() -> None:
    assert [p for p in Purpose if not API.may_open(p)] == [Purpose.secret]
    assert all(WORKER.may_open(p) for p in Purpose)


def test_the_api_rewraps_nothing_it_cannot_open() -> None:
    with pytest.raises(KeyVersionMissing):
        API.rewrap(HOLDER, key_of(Purpose.secret))
    assert API.rewrap(HOLDER, key_of(Purpose.config)).wrapped != key_of(Purpose.config).wrapped


@pytest.mark.parametrize("place", [CONFIG, SECRET])
@given(data=st.binary(max_size=400))
@example(data=b"")
@example(data=b"\x01\x01\x00\x00\x00\x01")
@example(data=b"\x02\x07\x00\x00\x00\x01" + bytes(32))
def test_arbitrary_bytes_end_in_a_typed_refusal(place: Place, data: bytes) -> None:
    """T079."""
    with pytest.raises((SealBroken, KeyVersionMissing)):
        WORKER.open(data, place, KEYS)


@pytest.mark.parametrize("place", [CONFIG, SECRET])
@given(where=st.integers(min_value=0), flip=st.integers(min_value=1, max_value=255))
def test_any_change_of_a_seal_ends_in_a_typed_refusal(place: Place, where: int, flip: int) -> None:
    """T079."""
    changed = bytearray(SEALED[place])
    changed[where % len(changed)] ^= flip
    with pytest.raises((SealBroken, KeyVersionMissing)):
        WORKER.open(bytes(changed), place, KEYS)


def test_a_seal_of_one_purpose_or_version_opens_under_no_other() -> None:
    """T078."""
    with pytest.raises(SealBroken):
        WORKER.open(SEALED[CONFIG], replace(CONFIG, purpose=Purpose.oauth), KEYS)
    turned = HolderKeys(HOLDER, [*KEYS.all(), replace(WORKER.new_holder_key(HOLDER, Purpose.config, 2))])
    moved = SEALED[CONFIG][:2] + (2).to_bytes(4) + SEALED[CONFIG][6:]
    with pytest.raises(SealBroken):
        WORKER.open(moved, CONFIG, turned)


def test_a_wrapped_key_moved_to_another_row_is_refused_even_when_it_is_cached() -> None:
    """T078."""
    wrapped = key_of(Purpose.config).wrapped
    assert WORKER.open(SEALED[CONFIG], CONFIG, KEYS)  # cached now
    moved = with_key(replace(key_of(Purpose.oauth), wrapped=wrapped))
    with pytest.raises(SealBroken):
        WORKER.seal(SecretValue("x"), replace(CONFIG, purpose=Purpose.oauth), moved)
    renumbered = HolderKeys(HOLDER, [replace(key_of(Purpose.config), version=2)])
    with pytest.raises(SealBroken):
        WORKER.seal(SecretValue("x"), CONFIG, renumbered)
    other = Holder("user", HOLDER.id)
    with pytest.raises(SealBroken):
        WORKER.seal(SecretValue("x"), replace(CONFIG, holder=other), HolderKeys(other, [key_of(Purpose.config)]))


def test_a_key_that_claims_the_other_master_set_is_refused() -> None:
    """T078."""
    with pytest.raises(SealBroken):
        WORKER.open(SEALED[CONFIG], CONFIG, with_key(replace(key_of(Purpose.config), master_set="core")))


@pytest.mark.parametrize("state", [KeyState.disabled, KeyState.destroyed])
def test_a_disabled_or_destroyed_version_opens_and_seals_nothing(state: KeyState) -> None:
    keys = with_key(replace(key_of(Purpose.config), state=state))
    with pytest.raises(KeyVersionMissing) as refused:
        WORKER.open(SEALED[CONFIG], CONFIG, keys)
    assert refused.value.retry_after_s > 0
    with pytest.raises(KeyVersionMissing):
        WORKER.seal(SecretValue("x"), CONFIG, keys)
    assert WORKER.open(SEALED[SECRET], SECRET, keys).reveal_text() == "value"  # that value alone


@pytest.mark.parametrize("state", [KeyState.disabled, KeyState.destroyed])
def test_what_a_disabled_or_destroyed_master_wraps_stays_closed(state: KeyState) -> None:
    first = replace(MASTERS[0], state=state, secret=None if state is KeyState.destroyed else MASTERS[0].secret)
    later = Keyring(MasterKeys([first, generate(MasterSet.edge, 2), MASTERS[1]]))
    with pytest.raises(KeyVersionMissing):
        later.open(SEALED[CONFIG], CONFIG, KEYS)
    assert later.open(SEALED[SECRET], SECRET, KEYS).reveal_text() == "value"
    assert (("edge", 1) in later.check_values()) is (state is KeyState.disabled)


def test_other_bytes_under_the_same_master_version_open_nothing() -> None:
    """T087."""
    other = Keyring(MasterKeys([generate(MasterSet.edge, 1), generate(MasterSet.core, 1)]))
    for place in (CONFIG, SECRET):
        with pytest.raises(SealBroken):
            other.open(SEALED[place], place, KEYS)


def test_ten_thousand_seals_share_no_salt_and_no_nonce() -> None:
    """T081."""
    value = SecretValue("same")
    seals = [API.seal(value, CONFIG, KEYS).data for _ in range(10_000)]
    assert len({s[6:38] for s in seals}) == len({s[70:82] for s in seals}) == 10_000
    assert {len(s) for s in seals} == {6 + 32 + 32 + 12 + len(b"same") + 16}


@given(value=st.binary(max_size=300))
@example(value=b"")
def test_every_value_comes_back_as_it_was(value: bytes) -> None:
    for place in (CONFIG, SECRET):
        assert WORKER.open(WORKER.seal(SecretValue(value), place, KEYS).data, place, KEYS).reveal() == value


_TEXT = st.text(max_size=8)


@given(a=st.tuples(_TEXT, _TEXT, st.uuids()), b=st.tuples(_TEXT, _TEXT, st.uuids()))
@example(a=("t", "ab", UUID(int=1)), b=("ta", "b", UUID(int=1)))
@example(a=("é", "c", UUID(int=1)), b=("e\u0301", "c", UUID(int=1)))
def test_other_places_are_bound_to_other_data(a: tuple[str, str, UUID], b: tuple[str, str, UUID]) -> None:
    """T089."""
    one, two = (replace(CONFIG, table=t, column=c, row=r).associated(1) for t, c, r in (a, b))
    assert (one == two) == (a == b)
    assert CONFIG.associated(1) != CONFIG.associated(2)


def test_digests_differ_by_holder_name_and_version_and_agree_otherwise() -> None:
    value = SecretValue("value")
    known = API.digest(value, "A", KEYS)
    assert known == WORKER.digest(SecretValue("value"), "A", KEYS)
    other = Holder("organization", new_id())
    turned = HolderKeys(HOLDER, [WORKER.new_holder_key(HOLDER, Purpose.digest, 2)])
    others = [
        API.digest(value, "B", KEYS),
        API.digest(SecretValue("other"), "A", KEYS),
        API.digest(value, "A", HolderKeys(other, WORKER.new_holder_keys(other))),
        API.digest(value, "A", turned),
    ]
    assert len({known.value, *(d.value for d in others)}) == 5
    assert others[-1].key_version == 2


def test_the_cache_of_unwrapped_keys_is_bounded() -> None:
    small = Keyring(MasterKeys(MASTERS), capacity=3)
    for _ in range(10):
        holder = Holder("organization", new_id())
        keys = HolderKeys(holder, [small.new_holder_key(holder, Purpose.config, 1)])
        small.seal(SecretValue("x"), replace(CONFIG, holder=holder), keys)
    assert len(small._unwrapped) == 3


def test_a_rotation_may_be_staged_so_that_every_node_can_open_before_one_wraps() -> None:
    staged = rotated(MASTERS, MasterSet.edge, staged=True)
    assert MasterKeys(staged).primary(MasterSet.edge).version == 1
    ahead = Keyring(MasterKeys(promoted(staged, MasterSet.edge, 2)))
    behind = Keyring(MasterKeys(staged))
    keys = HolderKeys(HOLDER, ahead.new_holder_keys(HOLDER))
    assert keys.primary(Purpose.config).master_version == 2
    sealed = ahead.seal(SecretValue("v"), CONFIG, keys)
    assert behind.open(sealed.data, CONFIG, keys).reveal_text() == "v"


def test_a_plain_rotation_makes_the_new_version_primary_and_keeps_the_old() -> None:
    turned = MasterKeys(rotated(MASTERS, MasterSet.core))
    assert turned.primary(MasterSet.core).version == 2
    assert turned.usable(MasterSet.core, 1).state is KeyState.enabled
    with pytest.raises(KeyVersionMissing):
        promoted(MASTERS, MasterSet.edge, 7)


def _shown(value: SecretValue) -> list[str]:
    try:
        raise ValueError("failed with", value)
    except ValueError as error:
        trace = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    record = logging.LogRecord("n", logging.INFO, "p", 1, "opened %s %r", (value, value), None)
    percent = "%s %r" % (value, value)  # noqa: UP031
    return [trace, record.getMessage(), percent, f"{value!a}", str({"k": value}), ascii(value)]


def test_a_secret_value_stays_hidden_in_tracebacks_logs_and_copies() -> None:
    """T092."""
    value = SecretValue("CANARY-7")
    assert not [text for text in _shown(value) if "CANARY" in text]
    assert copy.copy(value) is value
    assert copy.deepcopy({"k": value})["k"] is value
    assert not hasattr(value, "__dict__")
    with pytest.raises(TypeError):
        value.__getstate__()
    with pytest.raises(TypeError):
        SecretValue(5)  # type: ignore[arg-type]


def test_keys_and_seals_show_no_bytes() -> None:
    """T092."""
    for shown in (repr(MASTERS), repr(KEYS.all()), repr(WORKER.seal(SecretValue("v"), CONFIG, KEYS))):
        assert "secret=" not in shown
        assert "wrapped=" not in shown
        assert "data=" not in shown


def test_a_set_needs_exactly_one_primary() -> None:
    from kovra.foundation.keyring import KeyBroken

    second = replace(generate(MasterSet.edge, 2))
    without = [replace(MASTERS[0], state=KeyState.disabled), MASTERS[1]]
    twice: list[MasterKey] = [*MASTERS, MASTERS[0]]
    for wrong in ([*MASTERS, second], without, twice):
        with pytest.raises(KeyBroken):
            MasterKeys(wrong)


@pytest.mark.parametrize("purpose", [Purpose.config, Purpose.secret])
def test_every_flipped_bit_of_a_wrapped_key_is_noticed(purpose: Purpose) -> None:
    """T079: nothing is opened under a key that was changed, and the cache holds no changed one."""
    place = SECRET if purpose is Purpose.secret else CONFIG
    key = key_of(purpose)
    for index in range(len(key.wrapped)):
        changed = bytearray(key.wrapped)
        changed[index] ^= 1 << index % 8
        with pytest.raises((SealBroken, KeyVersionMissing)):
            WORKER.open(SEALED[place], place, with_key(replace(key, wrapped=bytes(changed))))
    assert WORKER.open(SEALED[place], place, KEYS).reveal_text() == "value"


def test_an_unwrapped_key_is_held_for_minutes_and_then_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """T091: what is cached has an end; a master that was taken away meanwhile is missed."""
    now = [1000.0]
    monkeypatch.setattr("kovra.foundation.clock.monotonic", lambda: now[0])
    masters = MasterKeys(MASTERS)
    keyring = Keyring(masters)
    assert keyring.open(SEALED[CONFIG], CONFIG, KEYS)
    masters._keys[MasterSet.edge, 1] = replace(MASTERS[0], state=KeyState.disabled)
    now[0] += 299
    assert keyring.open(SEALED[CONFIG], CONFIG, KEYS)
    now[0] += 2
    with pytest.raises(KeyVersionMissing):
        keyring.open(SEALED[CONFIG], CONFIG, KEYS)


def test_digests_of_one_version_are_compared_and_of_two_are_not() -> None:
    one, same, other = (API.digest(SecretValue(v), "A", KEYS) for v in ("a", "a", "b"))
    turned = HolderKeys(HOLDER, [WORKER.new_holder_key(HOLDER, Purpose.digest, 2)])
    assert (one.compared(same), one.compared(other)) == ("same", "changed")
    assert one.compared(API.digest(SecretValue("a"), "A", turned)) == "unknown"


@pytest.mark.parametrize("state", [KeyState.enabled, KeyState.disabled, KeyState.destroyed])
def test_a_master_version_moves_as_the_table_of_states_says(state: KeyState) -> None:
    from kovra.foundation.keyring import KeyBroken
    from kovra.foundation.keyring.masters import restated

    known = rotated(MASTERS, MasterSet.core)
    moved = MasterKeys(restated(known, MasterSet.core, 1, state)).all()
    (first,) = [k for k in moved if (k.set, k.version) == (MasterSet.core, 1)]
    assert first.state is state
    assert (first.secret is None and first.public is None) is (state is KeyState.destroyed)
    for version, wanted in ((2, state), (7, state), (1, KeyState.primary)):
        with pytest.raises(KeyBroken):
            restated(known, MasterSet.core, version, wanted)
    if state is KeyState.destroyed:
        with pytest.raises(KeyBroken, match="destroyed"):
            restated(moved, MasterSet.core, 1, KeyState.enabled)
