"""Sign-up, login, switching, members: the rules and all writes."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from kovra.features.identity import queries as identity_queries
from kovra.features.identity import service as identity
from kovra.features.identity.credentials import Passwords, check_password
from kovra.features.identity.service import Device, Login
from kovra.features.organizations import queries
from kovra.features.organizations.messages import (
    MemberJoined,
    MemberRemoved,
    MemberRoleChanged,
    OrganizationCreated,
    OrganizationRenamed,
)
from kovra.features.organizations.queries import MemberRow, MembershipDoorRow, OrganizationRow
from kovra.features.organizations.roles import RANK
from kovra.foundation.access import Permission, Role
from kovra.foundation.db.database import Database
from kovra.foundation.db.failures import Duplicate
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from kovra.foundation.events import record
from kovra.foundation.ids import decode, encode, new_id, slugify

GENESIS = b"\x00" * 32
"""What the first event of a ledger chains to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Founder:
    """Who signs up, and how the first organization is called."""

    email: str
    password: str
    name: str
    organization: str
    slug: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A login together with the organization it opens (none for a person who has left the last one)."""

    login: Login
    organization: MembershipDoorRow | None


async def sign_up(
    database: Database, passwords: Passwords, keys: HolderKeyStore, founder: Founder, device: Device
) -> Opened:
    """A person, their organization with its keys and ledger, and a first login: all or nothing."""
    check_password(founder.password, pointer="/password", email=founder.email)
    hashed = await passwords.hash(founder.password)
    user_id, org_id = new_id(), new_id()
    slug = founder.slug or _proposed_slug(founder.organization, org_id)
    try:
        async with database.founding(user_id, org_id) as session:
            await session.execute(
                identity_queries.ADD_USER, id=user_id, email=founder.email, name=founder.name, password_hash=hashed
            )
            await found(session, keys, name=founder.organization, slug=slug)
            login = await identity.start_session(session, user_id, org_id, device)
            await session.execute(identity_queries.REMEMBER_ORGANIZATION, user_id=user_id, last_org_id=org_id)
    except Duplicate as duplicate:
        raise _taken(duplicate, founder.slug is not None) from None
    return Opened(login=login, organization=await _membership(database, user_id, org_id))


def _proposed_slug(name: str, org_id: UUID) -> str:
    """From the name; made unique by the id's random end, so that a chosen slug is never refused because of it."""
    return f"{slugify(name)[:31].strip('-') or 'org'}-{encode('org', org_id)[-8:]}"


def _taken(duplicate: Duplicate, chosen: bool) -> Conflict | Duplicate:
    if duplicate.constraint == "uq_users_email":
        return Conflict("An account with this address exists.", code="email_taken", hint="Log in instead.")
    if duplicate.constraint == "uq_organizations_slug" and chosen:
        return Conflict("This slug is taken.", code="slug_taken", hint="Choose another, or leave it out.")
    return duplicate


async def found(session: TenantSession, keys: HolderKeyStore, *, name: str, slug: str) -> None:
    """Make the organization the session was opened to found, with its keys, its ledger's head and its first owner."""
    org_id, user_id = session.org_id, session.user_id
    await session.execute(queries.ADD_ORGANIZATION, id=org_id, name=name, slug=slug)
    await session.execute(queries.ADD_HEAD, org_id=org_id, hash=GENESIS)
    member_id = new_id()
    await session.execute(queries.ADD_MEMBER, id=member_id, org_id=org_id, user_id=user_id, role=Role.owner)
    await keys.create_for_organization(session)
    record(session, OrganizationCreated(subject_id=org_id, name=name, slug=slug))
    record(session, MemberJoined(subject_id=member_id, user_id=encode("usr", user_id), role=Role.owner))


async def create_organization(
    database: Database, keys: HolderKeyStore, *, user_id: UUID, name: str, slug: str | None
) -> MembershipDoorRow:
    """Another organization of the same person."""
    org_id = new_id()
    try:
        async with database.founding(user_id, org_id) as session:
            await found(session, keys, name=name, slug=slug or _proposed_slug(name, org_id))
    except Duplicate as duplicate:
        raise _taken(duplicate, slug is not None) from None
    made = await _membership(database, user_id, org_id)
    if made is None:
        raise NotFound("Not found.")
    return made


async def memberships_of(database: Database | TenantSession, user_id: UUID) -> list[MembershipDoorRow]:
    """The person's organizations, oldest membership first."""
    return await database.door("memberships_door", MembershipDoorRow, user_id)


async def _membership(database: Database, user_id: UUID, org_id: UUID | None) -> MembershipDoorRow | None:
    found_rows = await memberships_of(database, user_id)
    return next((m for m in found_rows if m.org_id == org_id), None)


async def log_in(
    database: Database, passwords: Passwords, *, email: str, password: str, organization: str | None, device: Device
) -> Opened:
    """Check the password (an unknown address costs the same) and start a session; one answer for every refusal."""
    known = await identity.find_login(database, email)
    right = await passwords.matches(password, known.password_hash if known else None)
    if known is None or not right or known.disabled:
        raise Unauthenticated("The address or the password is wrong.", code="login_failed")
    mine = await memberships_of(database, known.user_id)
    chosen = _choose(mine, organization, known.last_org_id)
    rehashed = None
    if known.password_hash and passwords.needs_rehash(known.password_hash):
        rehashed = await passwords.hash(password)
    org_id = chosen.org_id if chosen else None
    async with database.user(known.user_id) as session:
        login = await identity.start_session(session, known.user_id, org_id, device)
        await session.execute(identity_queries.REMEMBER_ORGANIZATION, user_id=known.user_id, last_org_id=org_id)
        if rehashed:
            await session.execute(identity_queries.REHASH, user_id=known.user_id, password_hash=rehashed)
    return Opened(login=login, organization=chosen)


def _choose(mine: list[MembershipDoorRow], wanted: str | None, last: UUID | None) -> MembershipDoorRow | None:
    if wanted is not None:
        wanted_id = decode("org", wanted)
        for row in mine:
            if row.org_id == wanted_id or row.slug == wanted:
                return row
        raise Invalid.field("/organization", "not_found", "You are in no such organization.")
    return next((row for row in mine if row.org_id == last), mine[0] if mine else None)


async def refresh(database: Database, refresh_token: str) -> Opened:
    """The next pair of a login, opening the organization it opened last."""
    login = await identity.rotate(database, refresh_token)
    return Opened(login=login, organization=await _membership(database, login.user_id, login.org_id))


async def switch(session: TenantSession, session_id: UUID, wanted: str) -> Opened:
    """A pair of the same login for another organization of the same person."""
    chosen = _choose(await memberships_of(session, session.user_id), wanted, None)
    if chosen is None:
        raise NotFound("Not found.")
    login = await identity.issue_for_session(session, session_id, chosen.org_id)
    return Opened(login=login, organization=chosen)


async def change_password(
    session: TenantSession, passwords: Passwords, *, stored: str | None, current: str, new: str, keep: UUID
) -> None:
    """Set a new password; every other login ends. ``stored`` is read before the transaction, hashing is slow."""
    if not await passwords.matches(current, stored):
        raise Invalid.field("/current", "password_wrong", "This is not the present password.")
    check_password(new, pointer="/new")
    hashed = await passwords.hash(new)
    await session.execute(identity_queries.SET_PASSWORD, user_id=session.user_id, password_hash=hashed)
    await identity.end_all_sessions(session, reason="password_changed", keep=keep)


async def rename(session: TenantSession, *, name: str | None, slug: str | None) -> OrganizationRow:
    """Give the organization another name or slug."""
    now = await session.one(queries.LOCK_ORGANIZATION, org_id=session.org_id)
    wanted_name, wanted_slug = name or now.name, slug or now.slug
    if (wanted_name, wanted_slug) == (now.name, now.slug):
        return now
    try:
        await session.execute(queries.RENAME, org_id=session.org_id, name=wanted_name, slug=wanted_slug)
    except Duplicate as duplicate:
        raise _taken(duplicate, True) from None
    record(session, OrganizationRenamed(subject_id=session.org_id, name=wanted_name, slug=wanted_slug))
    return await session.one(queries.ORGANIZATION, org_id=session.org_id)


async def set_role(session: TenantSession, member_id: UUID, role: Role) -> MemberRow:
    """Change a member's role: never above one's own, never an owner by an admin, never the last owner."""
    member = await _changeable(session, member_id, role)
    if member.role == role:
        return member
    if member.role == Role.owner:
        await _another_owner(session)
    await session.execute(queries.SET_ROLE, org_id=session.org_id, member_id=member_id, role=role)
    record(
        session,
        MemberRoleChanged(subject_id=member_id, user_id=encode("usr", member.user_id), before=member.role, after=role),
    )
    return await session.one(queries.MEMBER, org_id=session.org_id, member_id=member_id)


async def remove_member(session: TenantSession, member_id: UUID) -> None:
    """Remove a member, or leave; their credentials here end at their next request."""
    member = await session.one(queries.MEMBER, org_id=session.org_id, member_id=member_id)
    if member.user_id != session.user_id:
        member = await _changeable(session, member_id, Role(member.role))
    else:
        await session.one(queries.LOCK_ORGANIZATION, org_id=session.org_id)
    if member.role == Role.owner:
        await _another_owner(session)
    await session.execute(queries.REMOVE_MEMBER, org_id=session.org_id, member_id=member_id)
    record(session, MemberRemoved(subject_id=member_id, user_id=encode("usr", member.user_id), role=member.role))


async def _changeable(session: TenantSession, member_id: UUID, role: Role) -> MemberRow:
    """The member, when the caller outranks both what it is and what it becomes; locks the organization's row."""
    await session.one(queries.LOCK_ORGANIZATION, org_id=session.org_id)
    member = await session.one(queries.MEMBER, org_id=session.org_id, member_id=member_id)
    access = await session.access()
    access.require(Permission.members_manage)
    if Role.owner in (member.role, role):
        access.require(Permission.members_manage_owners, granted_by="owner")
    elif access.role is not None and RANK[role] > RANK[access.role]:
        raise Forbidden("Nobody grants a role above their own.", code="role_above_own", facts={"role": access.role})
    return member


async def _another_owner(session: TenantSession) -> None:
    counted = await session.one(queries.COUNT_OWNERS, org_id=session.org_id)
    if counted.n < 2:
        raise Conflict("This is the last owner.", code="last_owner", hint="Make somebody else an owner first.")
