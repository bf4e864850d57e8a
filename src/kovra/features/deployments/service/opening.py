"""A release with its values in the clear, for a step of the worker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from kovra.adapters.cluster.workload import PullCredential
from kovra.adapters.oci.reference import parse
from kovra.features.deployments import queries
from kovra.features.deployments.queries import ReleaseRow
from kovra.features.deployments.rules.masking import Mask
from kovra.features.deployments.rules.reasons import COPIED, asked_with
from kovra.features.deployments.service import progress
from kovra.features.deployments.service.mirroring import is_mirrored
from kovra.features.organizations import queries as organization_queries
from kovra.features.projects import queries as project_queries
from kovra.features.projects.queries import AppEnvironmentRow
from kovra.features.registries.service import OpenedCredential, RoleCredential, Roles, opened_for, usable
from kovra.features.secrets import queries as secret_queries
from kovra.features.secrets.service import revisions
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.keyring import SecretValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A release with its values in the clear; lives only within a step."""

    row: AppEnvironmentRow
    release: ReleaseRow
    plan: str
    """The organization's."""
    environment: Mapping[str, SecretValue] = field(repr=False)
    pull: PullCredential | None
    """The organization's present credential for the image's registry, if it has one, and the image is not a copy."""
    role: RoleCredential | None
    """The role by which such a credential is made: ``with_password`` does."""
    mask: Mask
    asked_with: str
    """The evidence of which credential its nodes were given."""


async def open_release(
    session: TenantSession,
    store: HolderKeyStore,
    app_environment_id: UUID,
    release_id: UUID,
    *,
    for_deployment: UUID | None = None,
    for_run: UUID | None = None,
) -> Opened:
    """Read a release and open its config, its secrets and the credential for its registry. Each opening of secrets and
    credentials is an event of the organization, which names the deployment or the run that it was for.
    """
    row = await session.one(
        project_queries.ANY_APP_ENVIRONMENT, org_id=session.org_id, app_environment_id=app_environment_id
    )
    plan = (await session.one(organization_queries.ORGANIZATION, org_id=session.org_id)).plan
    release = await session.one(queries.RELEASE, org_id=session.org_id, release_id=release_id)
    revision = await session.one(secret_queries.REVISION, org_id=session.org_id, revision_id=release.config_revision_id)
    sealed_ones = await revisions.sealed_secrets(session, row.id, revision.secrets)
    keys = await store.to_open(session, revision.vars, *(sealed.value for sealed in sealed_ones if sealed.value))
    opened = store.keyring.open(revision.vars, revisions.vars_place(keys, revision.id), keys)
    values = {name: SecretValue(text) for name, text in json.loads(opened.reveal()).items()}
    hidden: list[SecretValue] = []
    for sealed in sealed_ones:
        assert sealed.value is not None
        value = store.keyring.open(sealed.value, revisions.secret_place(keys, sealed.id), keys)
        values[sealed.name] = value
        hidden.append(value)
    progress.secrets_opened(session, row, revision.secrets, for_deployment=for_deployment, for_run=for_run)
    registry, credential = parse(release.pinned).registry, None
    if not is_mirrored(release):
        credential = await opened_for(session, store, registry, for_deployment=for_deployment, for_run=for_run)
    role, known = (credential, None) if isinstance(credential, RoleCredential) else (None, credential)
    return Opened(
        row=row,
        release=release,
        plan=plan,
        environment=values,
        pull=_pull(known) if known else None,
        role=role,
        # Config vars are masked as well: they are sealed too, and people without config:read see evidence.
        mask=Mask([*values.values(), *(_shapes_of(known) if known else ())]),
        asked_with=COPIED if is_mirrored(release) else asked_with(registry, credential.wire_id if credential else None),
    )


async def with_password(opened: Opened, roles: Roles) -> Opened:
    """The same, with the password that its role is given now; no session may be open. Raises RoleRefused or Unavailable."""
    credential = await usable(opened.role, roles.passwords)
    if credential is None:
        return opened
    return replace(opened, role=None, pull=_pull(credential), mask=opened.mask.and_of(_shapes_of(credential)))


def _pull(credential: OpenedCredential) -> PullCredential:
    return PullCredential(
        registry=credential.registry,
        username=credential.username,
        password=credential.password,
        version=credential.version,
        renewed=credential.renewed,
    )


def _shapes_of(credential: OpenedCredential) -> tuple[SecretValue, ...]:
    """As what a credential could be met in somebody's words: the password, and both parts as they are sent."""
    pair = credential.username.encode() + b":" + credential.password.reveal()
    return credential.password, SecretValue(pair)
