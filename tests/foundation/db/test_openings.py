"""T093, T078: what is opened is counted, too much of it raises an alarm, and what does not open is said."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from kovra.foundation.db import openings
from kovra.foundation.db.openings import Openings
from kovra.foundation.ids import encode, new_id
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
from kovra.foundation.keyring.masters import generate
from kovra.foundation.observability import METRICS


class Log:
    """Lines written since it was made."""

    def __init__(self) -> None:
        self._file = Path(os.environ["KOVRA_TEST_LOG"])
        self._from = self._file.stat().st_size

    def said(self, message: str) -> list[dict[str, object]]:
        lines = self._file.read_bytes()[self._from :].decode().splitlines()
        return [line for line in map(json.loads, lines) if line["message"] == message]


@pytest.fixture
def log() -> Log:
    return Log()


MASTERS = MasterKeys([generate(MasterSet.edge, 1), generate(MasterSet.core, 1)])


def _made(per_minute: int) -> tuple[Keyring, HolderKeys, Place, bytes]:
    keyring = Keyring(MASTERS, observer=Openings(per_minute=per_minute))
    holder = Holder("organization", new_id())
    keys = HolderKeys(holder, keyring.new_holder_keys(holder))
    place = Place(holder=holder, table="t", row=UUID(int=7), column="c", purpose=Purpose.secret)
    return keyring, keys, place, keyring.seal(SecretValue("CANARY"), place, keys).data


def _metric(name: str, **labels: str) -> float:
    return METRICS.get_sample_value(name, labels) or 0.0


def test_openings_above_the_limit_raise_one_alarm_a_minute(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("kovra.foundation.clock.monotonic", lambda: now[0])
    keyring, keys, place, data = _made(5)
    counted, raised = _metric("kovra_secret_openings_total"), _metric("kovra_secret_openings_high_total")
    for _ in range(5):
        keyring.open(data, place, keys)
    assert log.said("secret_openings_high") == []
    for _ in range(20):
        keyring.open(data, place, keys)
    assert [(line["org_id"], line["level"]) for line in log.said("secret_openings_high")] == [
        (encode("org", place.holder.id), "error")
    ]
    now[0] += 60
    for _ in range(5):
        keyring.open(data, place, keys)
    assert len(log.said("secret_openings_high")) == 1
    keyring.open(data, place, keys)
    assert len(log.said("secret_openings_high")) == 2
    assert _metric("kovra_secret_openings_total") - counted == 31
    assert _metric("kovra_secret_openings_high_total") - raised == 2


def test_organizations_do_not_share_a_limit_and_config_has_none(log: Log) -> None:
    keyring, keys, place, data = _made(3)
    config = replace(place, purpose=Purpose.config)
    sealed = keyring.seal(SecretValue("v"), config, keys).data
    for _ in range(10):
        keyring.open(sealed, config, keys)
    for _ in range(3):
        keyring.open(data, place, keys)
        holder = Holder("organization", new_id())
        others = HolderKeys(holder, keyring.new_holder_keys(holder))
        there = replace(place, holder=holder)
        keyring.open(keyring.seal(SecretValue("v"), there, others).data, there, others)
    assert log.said("secret_openings_high") == []


def test_resealing_hands_nothing_out_and_raises_no_alarm(log: Log) -> None:
    keyring, keys, place, data = _made(1)
    for _ in range(5):
        keyring.reseal(data, place, keys)
        keyring.redigest(data, place, "A", keys)
    assert log.said("secret_openings_high") == []


def test_what_does_not_open_is_said_with_its_place_and_without_its_bytes(log: Log) -> None:
    """T078: the alert."""
    keyring, keys, place, data = _made(5)
    before = _metric("kovra_values_unreadable_total", code="value_unreadable")
    with pytest.raises(SealBroken):
        keyring.open(data, replace(place, row=UUID(int=8)), keys)
    with pytest.raises(KeyVersionMissing):
        keyring.reseal(data[:5] + b"\x09" + data[6:], place, keys)
    moved, missing = log.said("value_unreadable")
    assert (moved["code"], missing["code"]) == ("value_unreadable", "key_version_missing")
    assert (moved["place"], moved["row"]) == ("t.c", str(UUID(int=8)))
    assert moved["org_id"] == encode("org", place.holder.id)
    assert "CANARY" not in json.dumps([moved, missing])
    assert _metric("kovra_values_unreadable_total", code="value_unreadable") - before == 1


def test_the_memory_of_windows_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openings, "_HOLDERS", 3)
    watched = Openings(per_minute=5)
    for _ in range(10):
        holder = Holder("organization", new_id())
        watched.opened(Place(holder=holder, table="t", row=UUID(int=1), column="c", purpose=Purpose.secret))
    assert len(watched._windows) == 3
