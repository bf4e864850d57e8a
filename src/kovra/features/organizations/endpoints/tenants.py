"""My organizations, and the one a credential opens."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from kovra.features.organizations import queries
from kovra.features.organizations.queries import MembershipDoorRow
from kovra.features.organizations.schemas import (
    OrganizationIn,
    OrganizationOut,
    OrganizationPatch,
    OrganizationRef,
    organization_out,
    reference_out,
)
from kovra.features.organizations.service import tenants
from kovra.foundation.access import Permission, Principal
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.pages import Position
from kovra.foundation.web.answers import refuses
from kovra.foundation.web.etags import ETags, version_of
from kovra.foundation.web.fields import changes_of
from kovra.foundation.web.guard import Account, Login, requires
from kovra.foundation.web.lists import ListOf, Paging, pages_of
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import Session, wired

router = APIRouter(route_class=KovraRoute, tags=["organizations"])

Keys = Annotated[HolderKeyStore, wired(HolderKeyStore)]


@router.get("/v1/organizations", operation_id="listOrganizations", summary="List my organizations")
async def list_organizations(
    who: Account, session: Session, pages: Annotated[Paging, pages_of(queries.ORGANIZATIONS)]
) -> ListOf[OrganizationRef]:
    """The organizations of the caller; an api token is in one, without a role."""
    if who.kind == "token":
        row = await session.one(queries.ORGANIZATION, org_id=session.org_id)
        return ListOf(data=[OrganizationRef(**dict(organization_out(row)), role=None)])
    mine = await tenants.memberships_of(session, who.user_id)

    async def rows(after: Position | None, limit: int) -> list[MembershipDoorRow]:
        return queries.ORGANIZATIONS.following(mine, pages.sort, after, limit)

    page = await pages.page(who.user_id, queries.ORGANIZATIONS, rows)
    return pages.answer(who.user_id, page, reference_out)


@router.post("/v1/organizations", operation_id="createOrganization", status_code=201, summary="Make an organization")
@refuses("409 slug_taken", "409 too_many_organizations")
async def create_organization(body: OrganizationIn, who: Login, session: Session, keys: Keys) -> OrganizationRef:
    """Make another organization, as its owner; switch to it to work in it."""
    return reference_out(await tenants.create(session, keys, name=body.name, slug=body.slug))


@router.get("/v1/organization", operation_id="getOrganization", summary="The organization of this credential")
async def get_organization(
    who: Annotated[Principal, requires(Permission.organizations_read)], session: Session, etags: ETags
) -> OrganizationOut:
    """The organization this credential opens."""
    row = await session.one(queries.ORGANIZATION, org_id=session.org_id)
    etags.answer(version_of(row.updated_at))
    return organization_out(row)


@router.patch("/v1/organization", operation_id="updateOrganization", summary="Rename the organization")
@refuses("409 slug_taken")
async def update_organization(
    body: OrganizationPatch,
    who: Annotated[Principal, requires(Permission.organizations_update)],
    session: Session,
    etags: ETags,
) -> OrganizationOut:
    """Give the organization another name or slug."""
    changes = changes_of(body)
    now = await tenants.hold(session)
    etags.check(version_of(now.updated_at))
    row = await tenants.rename(session, now, changes)
    etags.answer(version_of(row.updated_at))
    return organization_out(row)
