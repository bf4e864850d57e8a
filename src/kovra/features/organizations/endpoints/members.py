"""Members of the organization, and what their roles may do."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from kovra.features.organizations import queries
from kovra.features.organizations.queries import MemberRow
from kovra.features.organizations.roles import ROLES
from kovra.features.organizations.schemas import MemberOut, MemberPatch, RoleOut, UserOut
from kovra.features.organizations.service import members
from kovra.foundation.access import Permission, Principal, Role
from kovra.foundation.web.answers import refuses
from kovra.foundation.web.etags import ETags, version_of
from kovra.foundation.web.fields import path_id
from kovra.foundation.web.guard import requires
from kovra.foundation.web.lists import ListOf, Paging, pages_of
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import Session

router = APIRouter(route_class=KovraRoute, tags=["members"])


def _member(row: MemberRow) -> MemberOut:
    return MemberOut(
        id=row.id, user=UserOut(id=row.user_id, email=row.email, name=row.name), role=Role(row.role),
        created_at=row.created_at, updated_at=row.updated_at,
    )  # fmt: skip


@router.get("/v1/members", operation_id="listMembers", summary="List members")
async def list_members(
    who: Annotated[Principal, requires(Permission.members_read)],
    session: Session,
    pages: Annotated[Paging, pages_of(queries.MEMBERS)],
) -> ListOf[MemberOut]:
    """Who is in the organization."""
    return pages.answer(session.org_id, await pages.read(session, queries.MEMBERS), _member)


@router.get("/v1/members/{member_id}", operation_id="getMember", summary="One member")
async def get_member(
    member_id: str, who: Annotated[Principal, requires(Permission.members_read)], session: Session, etags: ETags
) -> MemberOut:
    """One member; the ETag is what a change of role may name in If-Match."""
    row = await session.one(queries.MEMBER, org_id=session.org_id, member_id=path_id("mem", member_id))
    etags.answer(version_of(row.updated_at))
    return _member(row)


@router.patch("/v1/members/{member_id}", operation_id="changeRole", summary="Give a member another role")
@refuses("403 role_above_own", "409 last_owner")
async def change_role(
    member_id: str,
    body: MemberPatch,
    who: Annotated[Principal, requires(Permission.members_manage)],
    session: Session,
    etags: ETags,
) -> MemberOut:
    """Give a member another role: at most one's own; owners are made and unmade by owners; the last one stays."""
    held = await members.hold(session, path_id("mem", member_id))
    etags.check(version_of(held.updated_at))
    row = await members.set_role(session, held, body.role)
    etags.answer(version_of(row.updated_at))
    return _member(row)


@router.delete("/v1/members/{member_id}", operation_id="removeMember", status_code=204, summary="Remove a member")
@refuses("403 role_above_own", "409 last_owner")
async def remove_member(
    member_id: str, who: Annotated[Principal, requires(Permission.members_read)], session: Session
) -> None:
    """Remove a member, or leave: leaving needs no further permission, removing others does."""
    await members.remove(session, await members.hold(session, path_id("mem", member_id)))


@router.get("/v1/roles", operation_id="listRoles", summary="What roles may do")
async def list_roles(who: Annotated[Principal, requires(Permission.members_read)], session: Session) -> ListOf[RoleOut]:
    """Every role, from the strongest, with all its permissions."""
    return ListOf(data=[RoleOut(name=r, permissions=sorted(p.value for p in held)) for r, held in ROLES.items()])
