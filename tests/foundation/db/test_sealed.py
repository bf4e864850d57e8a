"""Every sealed column is registered, and the registry speaks of the places that values are really sealed to."""

from __future__ import annotations

import pytest
from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, Text, Uuid

from kovra.features.secrets.service import revisions
from kovra.features.secrets.service.keys import _WIRE
from kovra.foundation.db.sealed import counting, digest_column, keyed_columns, sealed_column
from kovra.foundation.ids import new_id
from kovra.foundation.keyring import Holder, HolderKeys, Purpose
from kovra.models import metadata


def test_no_column_with_a_key_version_is_left_out() -> None:
    """One that was would be lost with its key: re-sealing would pass it by, and destroying would not be refused."""
    versioned = {
        f"{table.name}.{column.name.removesuffix('_key_version')}"
        for table in metadata.tables.values()
        for column in table.columns
        if column.name.endswith("_key_version")
    }
    assert {f"{c.table}.{c.column}" for c in keyed_columns(metadata)} == versioned
    assert versioned == {
        "change_sets.content", "clusters.credentials",
        "config_revisions.vars", "registry_credentials.password", "secret_versions.value", "secret_versions.digest",
    }  # fmt: skip


def test_every_registered_table_has_ids_of_its_own_on_the_wire() -> None:
    assert {c.table for c in keyed_columns(metadata)} == set(_WIRE)


def test_the_registrys_places_are_those_of_the_services() -> None:
    """T078: a place that differed in one word would open nothing."""
    keys, row = HolderKeys(Holder("organization", new_id()), []), new_id()
    known = {f"{c.table}.{c.column}": c for c in keyed_columns(metadata)}
    assert known["config_revisions.vars"].place(keys.holder, row) == revisions.vars_place(keys, row)
    for column in ("value", "digest"):
        assert known[f"secret_versions.{column}"].place(keys.holder, row) == revisions.secret_place(keys, row)


def test_a_new_sealed_column_is_found_by_being_declared() -> None:
    other = MetaData()
    Table(
        "t", other, Column("id", Uuid, primary_key=True), Column("org_id", Uuid), Column("name", Text),
        *sealed_column("token", Purpose.oauth), *digest_column("hint", of="token", label="name"),
    )  # fmt: skip
    token, hint = keyed_columns(other)
    assert (token.key, token.value, token.is_digest) == (Purpose.oauth, Purpose.oauth, False)
    assert (hint.key, hint.value, hint.is_digest, hint.sealed) == (Purpose.digest, Purpose.oauth, True, "token")
    assert isinstance(other.tables["t"].c.token.type, LargeBinary)
    assert isinstance(other.tables["t"].c.token_key_version.type, Integer)
    assert "hint_key_version" in counting(other).sql


def test_a_digest_of_nothing_is_a_programming_error() -> None:
    other = MetaData()
    Table("t", other, Column("id", Uuid), Column("org_id", Uuid), *digest_column("hint", of="gone", label="id"))
    with pytest.raises(KeyError):
        keyed_columns(other)
