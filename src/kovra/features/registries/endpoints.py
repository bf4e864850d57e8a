"""Registry credentials over HTTP: written, listed by name, never read back."""

from __future__ import annotations

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from kovra.features.projects.rules import ImageRules
from kovra.features.registries import queries, service
from kovra.features.registries.queries import CredentialRow
from kovra.features.registries.rules import needed, refuse_fields, registry_named, role_for
from kovra.features.registries.schemas import RegistryCredentialIn, RegistryCredentialOut, RegistryCredentialPatch
from kovra.foundation.access import Permission, Principal
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.ids import encode
from kovra.foundation.keyring import SecretValue
from kovra.foundation.web.answers import refuses
from kovra.foundation.web.etags import ETags, version_of
from kovra.foundation.web.fields import changes_of, path_id
from kovra.foundation.web.guard import requires
from kovra.foundation.web.lists import ListOf, Paging, pages_of
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import Session, wired

router = APIRouter(route_class=KovraRoute, tags=["registries"])

Keys = Annotated[HolderKeyStore, wired(HolderKeyStore)]
Images = Annotated[ImageRules, wired(ImageRules)]
Reader = Annotated[Principal, requires(Permission.registries_read)]
Manager = Annotated[Principal, requires(Permission.registries_manage)]


def _out(row: CredentialRow, org_id: UUID) -> RegistryCredentialOut:
    is_role = row.kind == "ecr"
    return RegistryCredentialOut(
        id=row.id,
        registry=row.registry,
        kind="ecr" if is_role else "password",
        username=row.username,
        role_arn=row.role_arn,
        external_id=service.external_id_of(org_id) if is_role else None,
        actor=row.actor,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


@router.get("/v1/registry-credentials", operation_id="listRegistryCredentials")
async def list_registry_credentials(
    who: Reader, session: Session, pages: Annotated[Paging, pages_of(queries.CREDENTIALS)]
) -> ListOf[RegistryCredentialOut]:
    """For which private registries the organization has a credential; never a password."""
    return pages.answer(
        session.org_id, await pages.read(session, queries.CREDENTIALS), partial(_out, org_id=session.org_id)
    )


@router.post("/v1/registry-credentials", operation_id="createRegistryCredential", status_code=201)
@refuses("409 already_exists", "409 too_many_registry_credentials")
async def create_registry_credential(
    body: RegistryCredentialIn,
    who: Manager,
    session: Session,
    store: Keys,
    images: Images,
    etags: ETags,
    response: Response,
) -> RegistryCredentialOut:
    """Store a credential for a private registry. Deployments of images from there use it from now on."""
    registry = registry_named(body.registry, images)
    if body.kind == "ecr":
        refuse_fields("ecr", username=body.username, password=body.password)
        arn = role_for(registry, needed("role_arn", body.role_arn))
        row = await service.create_role(session, registry=registry, role_arn=arn)
    else:
        refuse_fields("password", role_arn=body.role_arn)
        username, password = needed("username", body.username), needed("password", body.password)
        row = await service.create(session, store, registry=registry, username=username, password=SecretValue(password))
    etags.answer(version_of(row.updated_at))
    response.headers["Location"] = f"/v1/registry-credentials/{encode('reg', row.id)}"
    return _out(row, session.org_id)


@router.get("/v1/registry-credentials/{credential_id}", operation_id="getRegistryCredential")
async def get_registry_credential(
    credential_id: str, who: Reader, session: Session, etags: ETags
) -> RegistryCredentialOut:
    """One credential, without its password."""
    row = await session.one(queries.CREDENTIAL, org_id=session.org_id, credential_id=path_id("reg", credential_id))
    etags.answer(version_of(row.updated_at))
    return _out(row, session.org_id)


@router.patch("/v1/registry-credentials/{credential_id}", operation_id="updateRegistryCredential")
async def update_registry_credential(
    body: RegistryCredentialPatch, credential_id: str, who: Manager, session: Session, store: Keys, etags: ETags
) -> RegistryCredentialOut:
    """Change user name or password, or the role. The next deployment or restart uses them; what runs is left alone, but
    for pull Secrets of a role, which get a password of the new one.
    """
    row = await session.one(
        queries.CREDENTIAL_FOR_UPDATE, org_id=session.org_id, credential_id=path_id("reg", credential_id)
    )
    etags.check(version_of(row.updated_at))
    given = changes_of(body)
    if row.kind == "ecr":
        refuse_fields("ecr", username=given.get("username"), password=given.get("password"))
        role = given.get("role_arn")
        after = await service.change_role(session, row, role_for(row.registry, role) if role else None)
        etags.answer(version_of(after.updated_at))
        return _out(after, session.org_id)
    refuse_fields("password", role_arn=given.get("role_arn"))
    password = given.get("password")
    after = await service.change(
        session,
        store,
        row,
        username=given.get("username"),
        password=SecretValue(password) if password is not None else None,
    )
    etags.answer(version_of(after.updated_at))
    return _out(after, session.org_id)


@router.delete("/v1/registry-credentials/{credential_id}", operation_id="removeRegistryCredential", status_code=204)
async def remove_registry_credential(credential_id: str, who: Manager, session: Session) -> None:
    """Forget a credential. What runs goes on running; the next deployment asks the registry without it."""
    await service.remove(session, path_id("reg", credential_id))
