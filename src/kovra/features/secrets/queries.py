"""Every statement about config revisions and secret versions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Integer, Select, Text, bindparam, func, select, tuple_

from kovra.foundation.db.pages import Listing
from kovra.foundation.db.sealed import counting, keyed_columns
from kovra.foundation.db.statements import command, statement
from kovra.models import metadata
from kovra.models.foundation import holder_keys, key_rotations
from kovra.models.projects import app_environments
from kovra.models.secrets import config_revisions, secret_versions


@dataclass(frozen=True, slots=True)
class RevisionRow:
    """A config revision, sealed."""

    id: UUID
    number: int
    vars: bytes = field(repr=False)
    vars_key_version: int
    var_names: list[str]
    secrets: dict[str, int]
    message: str
    actor: str
    restored_from: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SecretRow:
    """A version of a secret without its value."""

    id: UUID
    name: str
    version: int
    digest: bytes | None
    digest_key_version: int | None
    size: int
    """Bytes of the sealed value: those of the value and about a hundred more."""
    actor: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A secret's newest version."""

    name: str
    version: int


@dataclass(frozen=True, slots=True)
class SealedSecretRow:
    """A version of a secret, sealed; for the worker."""

    id: UUID
    name: str
    version: int
    value: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Number:
    """A number."""

    n: int


@dataclass(frozen=True, slots=True)
class DigestRow:
    """The digest of a version of a secret."""

    name: str
    version: int
    digest: bytes | None
    digest_key_version: int | None


@dataclass(frozen=True, slots=True)
class KeyVersionRow:
    """A version of one of the organization's keys, without the key."""

    purpose: str
    version: int
    state: str
    created_at: datetime
    unneeded_since: datetime | None


@dataclass(frozen=True, slots=True)
class RotationRow:
    """A turn of a key and how far the re-sealing is."""

    id: UUID
    purpose: str
    from_version: int
    to_version: int
    resealed: int
    actor: str
    created_at: datetime
    finished_at: datetime | None
    settled_at: datetime | None


_c, _s, _x = config_revisions.c, secret_versions.c, app_environments.c
_k, _h = key_rotations.c, holder_keys.c
_MINE = _c.org_id == bindparam("org_id")
_HERE = _c.app_environment_id == bindparam("app_environment_id")

_REVISION = select(
    _c.id, _c.number, _c.vars, _c.vars_key_version, _c.var_names, _c.secrets, _c.message, _c.actor, _c.restored_from,
    _c.created_at,
).where(_MINE)  # fmt: skip
LATEST = statement(_REVISION.where(_HERE).order_by(_c.number.desc()).limit(1), RevisionRow)
REVISION = statement(_REVISION.where(_c.id == bindparam("revision_id")), RevisionRow)


def _revision(*conditions: ColumnElement[bool]) -> Select[Any]:
    """Number and write a config revision; nothing where the app environment does not meet the conditions."""
    numbered = (
        app_environments.update()
        .where(_x.org_id == bindparam("org_id"), _x.id == bindparam("app_environment_id"), *conditions)
        .values(last_config_number=_x.last_config_number + 1, updated_at=func.now())
        .returning(_x.last_config_number.label("n"))
        .cte("numbered")
    )
    names = (
        "id",
        "org_id",
        "app_environment_id",
        "vars",
        "vars_key_version",
        "var_names",
        "secrets",
        "message",
        "restored_from",
    )
    values = {
        **{name: bindparam(name, type_=_c[name].type) for name in names},
        "number": numbered.c.n,
        "actor": func.current_setting("kovra.actor"),
    }
    made = (
        config_revisions.insert()
        .from_select(list(values), select(*(v.label(n) for n, v in values.items())).select_from(numbered))
        .returning(_c.number)
        .cte("made")
    )
    return select(made.c.number.label("n"))


ADD_REVISION = statement(_revision(), Number)
ADD_FIRST_REVISION = statement(_revision(_x.last_config_number == 0), Number)

_SECRET_HERE = (_s.org_id == bindparam("org_id"), _s.app_environment_id == bindparam("app_environment_id"))
_SECRET = select(
    _s.id, _s.name, _s.version, _s.digest, _s.digest_key_version,
    func.coalesce(func.octet_length(_s.value), 0).label("size"), _s.actor, _s.created_at,
)  # fmt: skip
_NAMES = bindparam("names", type_=ARRAY(Text))
_pairs = (
    func.unnest(_NAMES, bindparam("versions", type_=ARRAY(Integer))).table_valued("name", "version").render_derived()
)
_IN_PAIRS = tuple_(_s.name, _s.version).in_(select(_pairs.c.name, _pairs.c.version))
"""The versions a revision names: ``names[i]`` at ``versions[i]``."""
SECRETS_IN_USE = statement(_SECRET.where(*_SECRET_HERE, _IN_PAIRS).order_by(_s.name), SecretRow)
NEWEST_VERSIONS = statement(
    select(_s.name, func.max(_s.version).label("version"))
    .where(*_SECRET_HERE, _s.name == func.any(_NAMES))
    .group_by(_s.name),
    VersionRow,
)
SECRET_VERSIONS = Listing(_SECRET.where(*_SECRET_HERE, _s.name == bindparam("name")), SecretRow, key=_s.id, by={})
SEALED_SECRETS = statement(
    select(_s.id, _s.name, _s.version, _s.value).where(*_SECRET_HERE, _IN_PAIRS),
    SealedSecretRow,
)
ADD_SECRET = command(
    secret_versions.insert().values(
        id=bindparam("id"), org_id=bindparam("org_id"), app_environment_id=bindparam("app_environment_id"),
        name=bindparam("name"), version=bindparam("version"), value=bindparam("value"),
        value_key_version=bindparam("value_key_version"), digest=bindparam("digest"),
        digest_key_version=bindparam("digest_key_version"), actor=bindparam("actor"),
    )
)  # fmt: skip

COLUMNS = keyed_columns(metadata)
"""Everything of an organization that is sealed, and the digests of it."""
VERSION_COUNTS = counting(metadata)
KEY_VERSIONS = statement(
    select(_h.purpose, _h.version, _h.state, _h.created_at, _h.unneeded_since)
    .where(_h.org_id == bindparam("org_id"))
    .order_by(_h.purpose, _h.version),
    KeyVersionRow,
)
SET_UNNEEDED = command(
    holder_keys.update()
    .where(_h.org_id == bindparam("org"), _h.purpose == bindparam("of"), _h.version == bindparam("number"))
    .values(unneeded_since=bindparam("since"))
)
DIGESTS = statement(
    select(_s.name, _s.version, _s.digest, _s.digest_key_version).where(*_SECRET_HERE, _IN_PAIRS),
    DigestRow,
)
_ROTATION = select(
    _k.id, _k.purpose, _k.from_version, _k.to_version, _k.resealed, _k.actor, _k.created_at, _k.finished_at,
    _k.settled_at,
).where(_k.org_id == bindparam("org_id"))  # fmt: skip
ROTATIONS = statement(_ROTATION.order_by(_k.id.desc()).limit(20), RotationRow)
ROTATION = statement(_ROTATION.where(_k.id == bindparam("rotation_id")), RotationRow)
RUNNING_ROTATION = statement(
    _ROTATION.where(_k.purpose == bindparam("purpose"), _k.finished_at.is_(None)).limit(1), RotationRow
)
ADD_ROTATION = command(
    key_rotations.insert().values(
        id=bindparam("id"), org_id=bindparam("org_id"), purpose=bindparam("purpose"),
        from_version=bindparam("from_version"), to_version=bindparam("to_version"), actor=bindparam("actor"),
    )
)  # fmt: skip
PROGRESS = command(
    key_rotations.update()
    .where(_k.org_id == bindparam("org"), _k.id == bindparam("rotation_id"))
    .values(
        resealed=_k.resealed + bindparam("done", type_=Integer), remaining=bindparam("left", type_=Integer),
        touched_at=bindparam("now"), finished_at=bindparam("finished"), settled_at=bindparam("settled"),
    )
)  # fmt: skip
