"""Sign-up, login, the next pair of tokens, switching, the password: how a person comes in and stays in."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from kovra.features.identity import queries as identity_queries
from kovra.features.identity.credentials.passwords import Passwords
from kovra.features.identity.credentials.strength import check_password
from kovra.features.identity.messages import PasswordChanged, SessionStarted, UserSignedUp
from kovra.features.identity.queries import LoginRow, UserRow
from kovra.features.identity.service import sessions
from kovra.features.identity.service.sessions import Device, Login, Verdict, tell
from kovra.features.organizations.queries import MembershipDoorRow
from kovra.features.organizations.service.tenants import found, memberships_of, proposed_slug, slug_taken
from kovra.foundation.db.database import Database
from kovra.foundation.db.entries import founder
from kovra.foundation.db.failures import Duplicate
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Conflict, FieldError, Invalid, Unauthenticated
from kovra.foundation.events import record
from kovra.foundation.ids import decode, encode, new_id
from kovra.foundation.observability import LOGINS, logger


@dataclass(frozen=True, slots=True, kw_only=True)
class Founder:
    """Who signs up, and how the first organization is called."""

    email: str
    password: str = field(repr=False)
    name: str
    organization: str
    slug: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A login together with the organization it opens (none for a person who has left the last one)."""

    login: Login
    organization: MembershipDoorRow | None


async def sign_up(
    database: Database, passwords: Passwords, keys: HolderKeyStore, wanted: Founder, device: Device
) -> Opened:
    """A person, their organization with its keys and ledger, and a first login: all or nothing."""
    check_password(wanted.password, pointer="/password", about=(wanted.email, wanted.name, wanted.organization))
    hashed = await passwords.hash(wanted.password)
    user_id, org_id = new_id(), new_id()
    slug = wanted.slug or proposed_slug(wanted.organization, org_id)
    try:
        async with database.user(user_id) as session:
            await session.execute(
                identity_queries.ADD_USER,
                id=user_id, email=wanted.email, name=wanted.name, password_hash=hashed, last_org_id=org_id,
            )  # fmt: skip
            async with session.elsewhere(founder(user_id, org_id)) as new:
                await found(new, keys, name=wanted.organization, slug=slug)
                login = await sessions.start(new, org_id, device)
                record(new, UserSignedUp(subject_id=user_id))
                record(new, SessionStarted(subject_id=login.session_id, user_id=encode("usr", user_id)))
            mine = await memberships_of(session, user_id)
    except Duplicate as duplicate:
        raise _taken(duplicate, wanted.slug is not None) from None
    return Opened(login=login, organization=mine[0])


def _taken(duplicate: Duplicate, chosen: bool) -> Conflict:
    if duplicate.constraint == "uq_users_email":
        message = "An account with this address exists."
        wrong = FieldError(pointer="/email", code="email_taken", message=message)
        return Conflict(message, code="email_taken", hint="Log in instead.", fields=[wrong])
    if duplicate.constraint == "uq_organizations_slug" and chosen:
        return slug_taken("/organization/slug")
    return duplicate


async def log_in(
    database: Database, passwords: Passwords, known: LoginRow | None, *, password: str, organization: str | None,
    device: Device,
) -> Opened:  # fmt: skip
    """Check the password (an unknown address costs the same) and start a session; one answer for every refusal."""
    right = await passwords.matches(password, known.password_hash if known else None)
    if known is None or not right or known.disabled:
        raise _refused("unknown" if known is None else "password" if not right else "disabled")
    rehashed = None
    if known.password_hash and passwords.needs_rehash(known.password_hash):
        rehashed = await passwords.hash(password)
    async with database.user(known.user_id) as session:
        chosen = _choose(await memberships_of(session, known.user_id), organization, known.last_org_id)
        org_id = chosen.org_id if chosen else None
        # This takes the person's row: a change of the password, which ends all logins, is before or after this one.
        await session.execute(
            identity_queries.REMEMBER_ORGANIZATION, user_id=known.user_id, last_org_id=org_id or known.last_org_id
        )
        standing = await session.one(identity_queries.STANDING, user_id=known.user_id)
        stored = await sessions.stored_password(session, known.user_id)
        if standing.disabled_at is not None or stored != known.password_hash:
            raise _refused("changed")
        if rehashed:
            await session.execute(identity_queries.REHASH, user_id=known.user_id, password_hash=rehashed)
        login = await sessions.start(session, org_id, device)
        await sessions.tell_start(session, login)
    LOGINS.labels("good").inc()
    return Opened(login=login, organization=chosen)


def _refused(why: str) -> Unauthenticated:
    """The one answer; why is for the operators, who see floods of it."""
    LOGINS.labels(why).inc()
    logger.warning("login_refused", why=why)
    return Unauthenticated("The address or the password is wrong.", code="login_failed")


def _choose(mine: list[MembershipDoorRow], wanted: str | None, last: UUID | None) -> MembershipDoorRow | None:
    if wanted is not None:
        wanted_id = decode("org", wanted)
        for row in mine:
            if row.org_id == wanted_id or row.slug == wanted:
                return row
        raise Invalid.field("/organization", "not_found", "You are in no such organization.")
    return next((row for row in mine if row.org_id == last), mine[0] if mine else None)


async def refresh(database: Database, refresh_token: str) -> Opened:
    """The next pair of a login, for the organization it opened last, or another one when that membership is gone.

    Reuse of an old token ends the whole login; that end is committed although the request fails.
    """
    door = await sessions.find_refresh(database, refresh_token)
    async with database.user(door.user_id) as session:
        presented = await sessions.present(session, door)
        mine = await memberships_of(session, door.user_id)
        last = presented.family.current_org_id
        if presented.verdict is Verdict.good:
            chosen = _choose(mine, None, last)
            login = await sessions.rotate(session, presented, chosen.org_id if chosen else None)
            return Opened(login=login, organization=chosen)
        told_in = last if any(m.org_id == last for m in mine) else None
        await sessions.end_family(session, presented, told_in=told_in)
    raise Unauthenticated("This login has ended.", code="credential_ended", hint="Log in again.")


async def switch(session: TenantSession, session_id: UUID, wanted: str) -> Opened:
    """A pair of the same login for another organization of the same person."""
    chosen = _choose(await memberships_of(session, session.user_id), wanted, None)
    assert chosen is not None, "what is wanted by name is found or refused"
    login = await sessions.switch(session, session_id, chosen.org_id)
    return Opened(login=login, organization=chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is read before a password is checked and hashed, which no transaction waits for."""

    person: UserRow
    password_hash: str | None = field(repr=False)
    changed_at: datetime | None


async def known_password(session: TenantSession) -> Known:
    """The caller's present password as it is stored, and since when."""
    person = await session.one(identity_queries.USER, user_id=session.user_id)
    standing = await session.one(identity_queries.STANDING, user_id=session.user_id)
    stored = await sessions.stored_password(session, session.user_id)
    return Known(person=person, password_hash=stored, changed_at=standing.password_changed_at)


async def new_password(passwords: Passwords, known: Known, *, current: str, new: str) -> str:
    """The stored form of the new password, once the present one is proven."""
    check_password(new, pointer="/new", about=(known.person.email, known.person.name))
    if not await passwords.matches(current, known.password_hash):
        raise Invalid.field("/current", "password_wrong", "This is not the present password.")
    if new == current:
        raise Invalid.field("/new", "password_unchanged", "This is the present password.")
    return await passwords.hash(new)


async def change_password(session: TenantSession, known: Known, hashed: str, *, keep: UUID) -> None:
    """Set the new password; every other login ends."""
    changed = await session.execute(
        identity_queries.SET_PASSWORD, user_id=session.user_id, password_hash=hashed, seen=known.changed_at
    )
    if not changed:
        raise Conflict("The password was changed meanwhile.", code="password_changed_meanwhile")
    tell(session, PasswordChanged(subject_id=session.user_id))
    await sessions.end_all(session, reason="password_changed", keep=keep)
