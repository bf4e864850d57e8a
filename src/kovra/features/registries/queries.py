"""Every statement about registry credentials."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, func, select

from kovra.foundation.db.pages import Listing
from kovra.foundation.db.statements import command, statement
from kovra.models.registries import registry_credentials


@dataclass(frozen=True, slots=True)
class CredentialRow:
    """A credential without its password."""

    id: UUID
    registry: str
    username: str
    kind: str
    role_arn: str | None
    actor: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class SealedCredentialRow:
    """A credential with its sealed password, or the role to assume; for the worker."""

    id: UUID
    registry: str
    username: str
    password: bytes | None = field(repr=False)
    role_arn: str | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Counted:
    """How many."""

    n: int


_r = registry_credentials.c
_MINE = _r.org_id == bindparam("org_id")
_THIS = _r.id == bindparam("credential_id")
_FOR_REGISTRY = _r.registry == bindparam("registry")
_CREDENTIAL = select(
    _r.id, _r.registry, _r.username, _r.kind, _r.role_arn, _r.actor, _r.created_at, _r.updated_at
).where(_MINE)
CREDENTIALS = Listing(_CREDENTIAL, CredentialRow, key=_r.id, by={"registry": _r.registry})
CREDENTIAL = statement(_CREDENTIAL.where(_THIS), CredentialRow)
CREDENTIAL_FOR_UPDATE = statement(_CREDENTIAL.where(_THIS).with_for_update(key_share=True), CredentialRow)
CREDENTIAL_FOR_REGISTRY = statement(_CREDENTIAL.where(_FOR_REGISTRY), CredentialRow)
SEALED = statement(
    select(_r.id, _r.registry, _r.username, _r.password, _r.role_arn, _r.updated_at).where(_MINE, _FOR_REGISTRY),
    SealedCredentialRow,
)
COUNT = statement(select(func.count().label("n")).select_from(registry_credentials).where(_MINE), Counted)
ADD = command(
    registry_credentials.insert().values(
        id=bindparam("id"), org_id=bindparam("org_id"), registry=bindparam("registry"), username=bindparam("username"),
        password=bindparam("password"), password_key_version=bindparam("password_key_version"),
        actor=func.current_setting("kovra.actor"),
    )
)  # fmt: skip
ADD_ROLE = command(
    registry_credentials.insert().values(
        id=bindparam("id"), org_id=bindparam("org_id"), registry=bindparam("registry"), username=bindparam("username"),
        kind="ecr", role_arn=bindparam("role_arn"), renew_at=bindparam("renew_at"),
        actor=func.current_setting("kovra.actor"),
    )
)  # fmt: skip
_CHANGE = registry_credentials.update().where(_r.org_id == bindparam("org"), _r.id == bindparam("this"))
_CHANGED = {"username": bindparam("name"), "actor": func.current_setting("kovra.actor"), "updated_at": func.now()}
SET_USERNAME = command(_CHANGE.values(_CHANGED))
SET_PASSWORD = command(
    _CHANGE.values({**_CHANGED, "password": bindparam("sealed"), "password_key_version": bindparam("key_version")})
)
SET_ROLE = command(
    _CHANGE.values(role_arn=bindparam("arn"), renew_at=func.now(), actor=_CHANGED["actor"], updated_at=func.now())
)
RENEWED = command(_CHANGE.values(renew_at=bindparam("again_at")))
REMOVE = command(registry_credentials.delete().where(_MINE, _THIS))
