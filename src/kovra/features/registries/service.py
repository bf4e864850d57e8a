"""Registry credentials: all writes, and the worker's opening."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol
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
from kovra.foundation.errors import Conflict, Forbidden
from kovra.foundation.events import record
from kovra.foundation.ids import encode, new_id
from kovra.foundation.keyring import HolderKeys, Place, Purpose, Sealed, SecretValue

MAX_CREDENTIALS: Final = 100
"""Of one organization."""
RENEWED_AFTER: Final = timedelta(hours=5)
"""A password of ECR's is good for twelve hours, and up to five hours old when a Secret is written with it."""
ECR_USER: Final = "AWS"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedCredential:
    """A credential in the clear; lives only within a step of the worker."""

    id: UUID
    registry: str
    username: str
    password: SecretValue
    version: str
    """Changes with every change of the credential, and says nothing of its content."""
    renewed: bool = False
    """Whether its password is another one from time to time, under the same version."""

    @property
    def wire_id(self) -> str:
        """As people are told of it."""
        return encode("reg", self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleCredential:
    """A role to assume, which makes a credential of itself once AWS was asked: ``usable``."""

    id: UUID
    registry: str
    role_arn: str
    external_id: str
    version: str

    @property
    def wire_id(self) -> str:
        """As people are told of it."""
        return encode("reg", self.id)


class RolePassword(Protocol):
    """What a role was given."""

    @property
    def username(self) -> str: ...
    @property
    def password(self) -> SecretValue: ...


class RolePasswords(Protocol):
    """Makes passwords of ECR registries as roles of customers; raises RoleRefused or Unavailable."""

    async def password(self, role_arn: str, *, external_id: str, registry: str) -> RolePassword:
        """One that may pull from the registry, and is good for some hours."""
        ...


class Roles:
    """Wired with whatever makes passwords of roles."""

    def __init__(self, passwords: RolePasswords) -> None:
        self.passwords = passwords


class RoleRefused(Forbidden):
    """AWS does not let us assume the role, or the role may not ask ECR for a password."""

    code = "registry_role_refused"


def external_id_of(org_id: UUID) -> str:
    """What the trust policy of an organization's role must demand: the organization's id, which is nobody else's.

    It need not be secret; that Kovra, and not the customer, says it is the whole point (AWS, "the confused deputy").
    """
    return encode("org", org_id)


async def usable(
    credential: OpenedCredential | RoleCredential | None, passwords: RolePasswords
) -> OpenedCredential | None:
    """The credential with a password. Asks AWS where it is a role: no session may be open. Raises RoleRefused."""
    if not isinstance(credential, RoleCredential):
        return credential
    made = await passwords.password(
        credential.role_arn, external_id=credential.external_id, registry=credential.registry
    )
    return OpenedCredential(
        id=credential.id,
        registry=credential.registry,
        username=made.username,
        password=made.password,
        version=credential.version,
        renewed=True,
    )


def password_place(keys: HolderKeys, credential_id: UUID) -> Place:
    """Where a password is sealed to."""
    return Place(
        holder=keys.holder, table="registry_credentials", row=credential_id, column="password", purpose=Purpose.secret
    )


async def _sealed(session: TenantSession, store: HolderKeyStore, credential_id: UUID, password: SecretValue) -> Sealed:
    keys = await store.of_organization(session)
    return store.keyring.seal(password, password_place(keys, credential_id), keys)


async def _require_room(session: TenantSession, registry: str) -> None:
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


async def create(
    session: TenantSession, store: HolderKeyStore, *, registry: str, username: str, password: SecretValue
) -> CredentialRow:
    """Store a credential; raises Conflict where the registry has one, or the organization too many."""
    await _require_room(session, registry)
    credential_id = new_id()
    sealed = await _sealed(session, store, credential_id, password)
    await session.execute(
        queries.ADD, id=credential_id, org_id=session.org_id, registry=registry, username=username,
        password=sealed.data, password_key_version=sealed.key_version,
    )  # fmt: skip
    record(session, RegistryCredentialSet(subject_id=credential_id, registry=registry, username=username))
    return await session.one(queries.CREDENTIAL, org_id=session.org_id, credential_id=credential_id)


async def create_role(session: TenantSession, *, registry: str, role_arn: str) -> CredentialRow:
    """Store a role to assume for an ECR registry; raises Conflict as ``create`` does."""
    await _require_room(session, registry)
    credential_id = new_id()
    await session.execute(
        queries.ADD_ROLE, id=credential_id, org_id=session.org_id, registry=registry, username=ECR_USER,
        role_arn=role_arn, renew_at=clock.now() + RENEWED_AFTER,
    )  # fmt: skip
    told = RegistryCredentialSet(subject_id=credential_id, registry=registry, username=ECR_USER, role_arn=role_arn)
    record(session, told)
    return await session.one(queries.CREDENTIAL, org_id=session.org_id, credential_id=credential_id)


async def change_role(session: TenantSession, row: CredentialRow, role_arn: str | None) -> CredentialRow:
    """Name another role in a credential whose row is locked; what runs pulls as that one soon."""
    if role_arn is None or role_arn == row.role_arn:
        return row
    await session.execute(queries.SET_ROLE, org=session.org_id, this=row.id, arn=role_arn)
    record(
        session, RegistryCredentialSet(subject_id=row.id, registry=row.registry, username=ECR_USER, role_arn=role_arn)
    )
    return await session.one(queries.CREDENTIAL, org_id=session.org_id, credential_id=row.id)


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
) -> OpenedCredential | RoleCredential | None:
    """The organization's credential for a registry in the clear, which its ledger tells; None where it has none.

    Raises SealBroken or KeyVersionMissing where it does not open.
    """
    row = await session.find(queries.SEALED, org_id=session.org_id, registry=registry)
    if row is None:
        return None
    opened = RegistryCredentialOpened(
        subject_id=row.id,
        registry=row.registry,
        deployment_id=encode("dep", for_deployment) if for_deployment else None,
        run_id=encode("run", for_run) if for_run else None,
    )
    record(session, opened, actor="system", origin="worker")
    if row.role_arn is not None:
        return RoleCredential(
            id=row.id,
            registry=row.registry,
            role_arn=row.role_arn,
            external_id=external_id_of(session.org_id),
            # Its Secret has one name for ever: what runs gets the next password, and that of another role, without a rollout.
            version=f"{row.id.hex} role",
        )
    assert row.password is not None
    keys = await store.to_open(session, row.password)
    password = store.keyring.open(row.password, password_place(keys, row.id), keys)
    version = f"{row.id.hex} {clock.rfc3339(row.updated_at)}"
    return OpenedCredential(id=row.id, registry=row.registry, username=row.username, password=password, version=version)
