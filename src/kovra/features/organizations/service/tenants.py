"""Organizations: their founding and their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from kovra.features.organizations import queries
from kovra.features.organizations.messages import MemberJoined, OrganizationCreated, OrganizationRenamed
from kovra.features.organizations.queries import MembershipDoorRow, OrganizationRow
from kovra.foundation.access import Role
from kovra.foundation.db.database import Database
from kovra.foundation.db.entries import founder
from kovra.foundation.db.failures import Duplicate
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Conflict, FieldError
from kovra.foundation.events import record
from kovra.foundation.ids import encode, new_id, slugify

GENESIS: Final = b"\x00" * 32
"""What the first event of a ledger chains to."""
MAX_ORGANIZATIONS: Final = 100
"""Memberships a person may have when they make another organization."""


async def memberships_of(database: Database | TenantSession, user_id: UUID) -> list[MembershipDoorRow]:
    """The person's organizations, oldest membership first."""
    return await database.door("memberships_door", MembershipDoorRow, user_id)


def proposed_slug(name: str, org_id: UUID) -> str:
    """From the name; made unique by the id's random end, so that a chosen slug is never refused because of it."""
    return f"{slugify(name)[:31].strip('-') or 'org'}-{encode('org', org_id)[-8:]}"


def slug_taken(pointer: str) -> Conflict:
    """The answer to a slug that another organization has."""
    message = "This slug is taken."
    return Conflict(
        message,
        code="slug_taken",
        hint="Choose another, or leave it out.",
        fields=[FieldError(pointer=pointer, code="slug_taken", message=message)],
    )


async def found(session: TenantSession, keys: HolderKeyStore, *, name: str, slug: str) -> None:
    """Make the organization that is entered as its founder: with its keys, its ledger's head and its first owner."""
    org_id, user_id = session.org_id, session.user_id
    await session.execute(queries.ADD_ORGANIZATION, id=org_id, name=name, slug=slug)
    await session.execute(queries.ADD_HEAD, org_id=org_id, hash=GENESIS)
    member_id = new_id()
    await session.execute(queries.ADD_MEMBER, id=member_id, org_id=org_id, user_id=user_id, role=Role.owner)
    await keys.create_for_organization(session)
    record(session, OrganizationCreated(subject_id=org_id, name=name, slug=slug))
    record(session, MemberJoined(subject_id=member_id, user_id=encode("usr", user_id), role=Role.owner))


async def create(session: TenantSession, keys: HolderKeyStore, *, name: str, slug: str | None) -> MembershipDoorRow:
    """Another organization of the person whose session this is, in the same transaction."""
    if len(await memberships_of(session, session.user_id)) >= MAX_ORGANIZATIONS:
        raise Conflict(f"You are in {MAX_ORGANIZATIONS} organizations already.", code="too_many_organizations")
    org_id = new_id()
    try:
        async with session.elsewhere(founder(session.user_id, org_id)) as new:
            await found(new, keys, name=name, slug=slug or proposed_slug(name, org_id))
    except Duplicate as duplicate:
        if slug is None or duplicate.constraint != "uq_organizations_slug":
            raise
        raise slug_taken("/slug") from None
    return next(m for m in await memberships_of(session, session.user_id) if m.org_id == org_id)


async def hold(session: TenantSession) -> OrganizationRow:
    """The organization's row, locked; the caller's right is proven again, as it may have waited."""
    row = await session.one(queries.LOCK_ORGANIZATION, org_id=session.org_id)
    await session.prove_again()
    return row


async def rename(session: TenantSession, now: OrganizationRow, changes: Mapping[str, Any]) -> OrganizationRow:
    """Give the organization, whose row is locked, another name or slug."""
    name, slug = changes.get("name", now.name), changes.get("slug", now.slug)
    if (name, slug) == (now.name, now.slug):
        return now
    try:
        await session.execute(queries.RENAME, org_id=session.org_id, name=name, slug=slug)
    except Duplicate:
        raise slug_taken("/slug") from None
    record(session, OrganizationRenamed(subject_id=session.org_id, name=name, slug=slug))
    return await session.one(queries.ORGANIZATION, org_id=session.org_id)
