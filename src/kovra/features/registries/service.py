"""Registry credentials: all writes, and the worker's opening."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from kovra.features.registries import queries
from kovra.features.registries.messages import (
    RegistryCredentialOpened,
    RegistryCredentialRemoved,
    RegistryCredentialSet,
)
from kovra.features.registries.queries import CredentialRow
from kovra.foundation import clock
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Conflict
from kovra.foundation.events import record
from kovra.foundation.ids import encode, new_id
from kovra.foundation.keyring import HolderKeys, Place, Purpose, Sealed, SecretValue

MAX_CREDENTIALS: Final = 100
"""Of one organization."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedCredential:
    """A credential in the clear; lives only within a step of the worker."""

    id: UUID
    registry: str
    username: str
    password: SecretValue
    version: str
    """Changes with every change of the credential, and says nothing of its content."""

    @property
    def wire_id(self) -> str:
        """As people are told of it."""
        return encode("reg", self.id)


def password_place(keys: HolderKeys, credential_id: UUID) -> Place:
    """Where a password is sealed to."""
    return Place(
        holder=keys.holder, table="registry_credentials", row=credential_id, column="password", purpose=Purpose.secret
    )


async def _sealed(session: TenantSession, store: HolderKeyStore, credential_id: UUID, password: SecretValue) -> Sealed:
    keys = await store.of_organization(session)
    return store.keyring.seal(password, password_place(keys, credential_id), keys)


async def create(
    session: TenantSession, store: HolderKeyStore, *, registry: str, username: str, password: SecretValue
) -> CredentialRow:
    """Store a credential; raises Conflict where the registry has one, or the organization too many."""
    there = await session.find(queries.CREDENTIAL_FOR_REGISTRY, org_id=session.org_id, registry=registry)
    if there is not None:
        raise Conflict(
            "There is a credential for this registry.",
            code="already_exists",
            hint=f"Change it: PATCH /v1/registry-credentials/{encode('reg', there.id)}.",
        )
    if (await session.one(queries.COUNT, org_id=session.org_id)).n >= MAX_CREDENTIALS:
        raise Conflict(
            f"The organization has {MAX_CREDENTIALS} registry credentials.",
            code="too_many_registry_credentials",
            hint="Remove some first.",
        )
    credential_id = new_id()
    sealed = await _sealed(session, store, credential_id, password)
    await session.execute(
        queries.ADD, id=credential_id, org_id=session.org_id, registry=registry, username=username,
        password=sealed.data, password_key_version=sealed.key_version,
    )  # fmt: skip
    record(session, RegistryCredentialSet(subject_id=credential_id, registry=registry, username=username))
    return await session.one(queries.CREDENTIAL, org_id=session.org_id, credential_id=credential_id)


async def change(
    session: TenantSession,
    store: HolderKeyStore,
    row: CredentialRow,
    *,
    username: str | None,
    password: SecretValue | None,
) -> CredentialRow:
    """Change what is given of a credential whose row is locked; what changes nothing is told to nobody."""
    name = username or row.username
    if password is None and name == row.username:
        return row
    if password is None:
        await session.execute(queries.SET_USERNAME, org=session.org_id, this=row.id, name=name)
    else:
        sealed = await _sealed(session, store, row.id, password)
        await session.execute(
            queries.SET_PASSWORD, org=session.org_id, this=row.id, name=name, sealed=sealed.data,
            key_version=sealed.key_version,
        )  # fmt: skip
    record(session, RegistryCredentialSet(subject_id=row.id, registry=row.registry, username=name))
    return await session.one(queries.CREDENTIAL, org_id=session.org_id, credential_id=row.id)


async def remove(session: TenantSession, credential_id: UUID) -> None:
    """Forget a credential; raises NotFound. What runs goes on running until its nodes must pull again."""
    row = await session.one(queries.CREDENTIAL_FOR_UPDATE, org_id=session.org_id, credential_id=credential_id)
    await session.execute(queries.REMOVE, org_id=session.org_id, credential_id=credential_id)
    record(session, RegistryCredentialRemoved(subject_id=row.id, registry=row.registry))


async def opened_for(
    session: TenantSession,
    store: HolderKeyStore,
    registry: str,
    *,
    for_deployment: UUID | None = None,
    for_run: UUID | None = None,
) -> OpenedCredential | None:
    """The organization's credential for a registry in the clear, which its ledger tells; None where it has none.

    Raises SealBroken or KeyVersionMissing where it does not open.
    """
    row = await session.find(queries.SEALED, org_id=session.org_id, registry=registry)
    if row is None:
        return None
    keys = await store.to_open(session, row.password)
    password = store.keyring.open(row.password, password_place(keys, row.id), keys)
    opened = RegistryCredentialOpened(
        subject_id=row.id,
        registry=row.registry,
        deployment_id=encode("dep", for_deployment) if for_deployment else None,
        run_id=encode("run", for_run) if for_run else None,
    )
    record(session, opened, actor="system", origin="worker")
    return OpenedCredential(
        id=row.id,
        registry=row.registry,
        username=row.username,
        password=password,
        version=f"{row.id.hex} {clock.rfc3339(row.updated_at)}",
    )
