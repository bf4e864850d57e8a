"""Reading config and secrets, and the organization's own keys. Routes that may also deploy live with deployments."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from kovra.features.projects.paths import CurrentAppEnvironment
from kovra.features.secrets import queries
from kovra.features.secrets.queries import SecretRow
from kovra.features.secrets.rules import NAME
from kovra.features.secrets.schemas import (
    ConfigOut,
    EncryptionOut,
    KeyVersionOut,
    RotateIn,
    RotationOut,
    SecretOut,
    SecretsOut,
)
from kovra.features.secrets.service import keys, revisions
from kovra.foundation.access import Permission, Principal
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import NotFound
from kovra.foundation.keyring import Purpose
from kovra.foundation.web.answers import refuses
from kovra.foundation.web.etags import ETags
from kovra.foundation.web.guard import requires
from kovra.foundation.web.lists import ListOf, Paging, pages_of
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import Session, wired

router = APIRouter(route_class=KovraRoute)

Keys = Annotated[HolderKeyStore, wired(HolderKeyStore)]


@router.get("/v1/app-environments/{app_environment_id}/config", tags=["config"], operation_id="getConfig")
@refuses("503 key_version_missing", "503 value_unreadable")
async def get_config(
    row: CurrentAppEnvironment,
    who: Annotated[Principal, requires(Permission.config_read)],
    session: Session,
    store: Keys,
    etags: ETags,
) -> ConfigOut:
    """The newest config revision."""
    config = await revisions.latest(session, store, row.id)
    etags.answer(str(config.number))
    return ConfigOut(app_environment_id=row.id, revision=config.number, vars=config.vars, secrets=config.secrets)


def secret_out(row: SecretRow, in_use: dict[str, int]) -> SecretOut:
    """A secret as it is shown."""
    return SecretOut(
        name=row.name,
        version=row.version,
        digest=row.digest.hex() if row.digest else None,
        digest_key_version=row.digest_key_version,
        in_use=in_use.get(row.name) == row.version,
        actor=row.actor,
        created_at=row.created_at,
    )


@router.get("/v1/app-environments/{app_environment_id}/secrets", tags=["secrets"], operation_id="listSecrets")
async def list_secrets(
    row: CurrentAppEnvironment,
    who: Annotated[Principal, requires(Permission.secrets_read)],
    session: Session,
    etags: ETags,
) -> SecretsOut:
    """Names, versions and keyed digests; never a value."""
    revision = await session.find(queries.LATEST, org_id=session.org_id, app_environment_id=row.id)
    named = revision.secrets if revision else {}
    found = await revisions.in_use(session, row.id, named)
    number = revision.number if revision else 0
    shown = SecretsOut(app_environment_id=row.id, revision=number, data=[secret_out(s, named) for s in found])
    etags.answer(str(number), shown)
    return shown


@router.get(
    "/v1/app-environments/{app_environment_id}/secrets/{name}/versions",
    tags=["secrets"],
    operation_id="listSecretVersions",
)
async def list_secret_versions(
    name: str,
    row: CurrentAppEnvironment,
    who: Annotated[Principal, requires(Permission.secrets_read)],
    session: Session,
    pages: Annotated[Paging, pages_of(queries.SECRET_VERSIONS)],
) -> ListOf[SecretOut]:
    """The versions of one secret, newest first unless `sort` says otherwise."""
    if NAME.fullmatch(name) is None:
        raise NotFound("Not found.")
    page = await pages.read(session, queries.SECRET_VERSIONS, app_environment_id=row.id, name=name)
    if not page.rows:
        raise NotFound("Not found.")
    revision = await session.find(queries.LATEST, org_id=session.org_id, app_environment_id=row.id)
    named = revision.secrets if revision else {}
    return pages.answer(session.org_id, page, lambda secret: secret_out(secret, named))


async def _encryption(session: TenantSession) -> EncryptionOut:
    # Rotations before counts: one that ends in between is told as running, never as finished with values left.
    rotations = await session.all(queries.ROTATIONS, org_id=session.org_id)
    counts = await keys.needed(session)
    versions = await session.all(queries.KEY_VERSIONS, org_id=session.org_id)
    return EncryptionOut(
        keys=[
            KeyVersionOut(
                purpose=row.purpose,
                version=row.version,
                state=row.state,
                values=counts.get((row.purpose, row.version), 0),
                created_at=row.created_at,
            )
            for row in versions
        ],
        rotations=[
            RotationOut(
                purpose=r.purpose,
                from_version=r.from_version,
                to_version=r.to_version,
                resealed=r.resealed,
                remaining=keys.remaining(counts, r),
                started_at=r.created_at,
                finished_at=r.finished_at,
            )
            for r in rotations
        ],
    )


@router.get("/v1/organization/encryption", tags=["organizations"], operation_id="getEncryption")
async def get_encryption(who: Annotated[Principal, requires(Permission.keys_read)], session: Session) -> EncryptionOut:
    """The organization's key versions, how many values need each, and how far re-sealing is."""
    return await _encryption(session)


@router.post(
    "/v1/organization/encryption/actions/rotate",
    tags=["organizations"],
    operation_id="rotateEncryption",
    status_code=202,
)
@refuses("409 rotation_running")
async def rotate_encryption(
    who: Annotated[Principal, requires(Permission.keys_rotate)],
    session: Session,
    store: Keys,
    body: RotateIn | None = None,
) -> EncryptionOut:
    """Turn the organization's key: new values use the new version at once, old ones are re-sealed in the background.

    While an earlier rotation of the same key is still being re-sealed: 409 `rotation_running`.
    """
    wanted = [Purpose(body.purpose)] if body and body.purpose else [Purpose.config, Purpose.secret]
    await keys.rotate(session, store, wanted)
    return await _encryption(session)
