"""Members: roles and leaving. The organization's row is held while they change, so that it always has an owner."""

from __future__ import annotations

from uuid import UUID

from kovra.features.identity.service import tokens
from kovra.features.organizations import queries
from kovra.features.organizations.messages import MemberRemoved, MemberRoleChanged
from kovra.features.organizations.queries import MemberRow
from kovra.features.organizations.roles import RANK
from kovra.foundation.access import Permission, Role
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Conflict, Forbidden
from kovra.foundation.events import record
from kovra.foundation.ids import encode


async def hold(session: TenantSession, member_id: UUID) -> MemberRow:
    """The member, while nobody else changes members; the caller's own right is proven again under the lock.

    Without that, a role that was taken away while this request waited would still be used (ASVS 8.3.2).
    """
    await session.one(queries.LOCK_ORGANIZATION, org_id=session.org_id)
    await session.prove_again()
    return await session.one(queries.MEMBER, org_id=session.org_id, member_id=member_id)


async def set_role(session: TenantSession, member: MemberRow, role: Role) -> MemberRow:
    """Change a held member's role: never above one's own, never an owner by an admin, never the last owner."""
    await _outrank(session, member, role)
    if member.role == role:
        return member
    if member.role == Role.owner:
        await _another_owner(session)
    await session.execute(queries.SET_ROLE, org_id=session.org_id, member_id=member.id, role=role)
    user = encode("usr", member.user_id)
    record(session, MemberRoleChanged(subject_id=member.id, user_id=user, before=member.role, after=role))
    return await session.one(queries.MEMBER, org_id=session.org_id, member_id=member.id)


async def remove(session: TenantSession, member: MemberRow) -> None:
    """Remove a held member, or leave; their credentials here end at their next request, tokens they made do not."""
    if member.user_id != session.user_id:
        await _outrank(session, member, Role(member.role))
    if member.role == Role.owner:
        await _another_owner(session)
    await session.execute(queries.REMOVE_MEMBER, org_id=session.org_id, member_id=member.id)
    record(session, MemberRemoved(subject_id=member.id, user_id=encode("usr", member.user_id), role=member.role))
    await tokens.tell_creator_left(session, member.user_id)


async def _outrank(session: TenantSession, member: MemberRow, role: Role) -> None:
    """Raise Forbidden unless the caller may change what the member is into what it becomes."""
    access = await session.access()
    access.require(Permission.members_manage)
    if Role.owner in (member.role, role):
        access.require(Permission.members_manage_owners, granted_by=Role.owner)
    elif access.role is not None and RANK[role] > RANK[access.role]:
        raise Forbidden("Nobody grants a role above their own.", code="role_above_own", facts={"role": access.role})


async def _another_owner(session: TenantSession) -> None:
    counted = await session.one(queries.COUNT_OWNERS, org_id=session.org_id)
    if counted.n < 2:
        raise Conflict("This is the last owner.", code="last_owner", hint="Make somebody else an owner first.")
