"""Logins: their start, the rotation of their refresh tokens, their ends (RFC 9700 §4.14.2).

The refresh tokens of a login form a family of which at most one generation is unused. Everything that reads and moves
the family holds the login's row, so consuming, checking and issuing are one step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from kovra.features.identity import queries
from kovra.features.identity.messages import RefreshTokenReused, SessionEnded, SessionStarted, SessionSwitched
from kovra.features.identity.queries import Found, LoginRow, PasswordRow, RefreshDoorRow, SessionRow
from kovra.foundation import clock, tokens
from kovra.foundation.db.database import Database
from kovra.foundation.db.entries import member
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import NotFound, RateLimited, Unauthenticated
from kovra.foundation.events import Event, record
from kovra.foundation.ids import NIL, encode, new_id
from kovra.foundation.observability import logger

IDLE: Final = timedelta(days=7)
"""A login that is not refreshed for this long has ended."""
SESSION_LIFETIME: Final = timedelta(days=30)
"""However often it is refreshed, a login ends after this long."""
GRACE: Final = timedelta(seconds=10)
"""A client that lost the answer may present the direct predecessor again this long, while its successor is unused."""
MAX_SIBLINGS: Final = 10
"""How many successors one refresh token may get within its grace; more wait."""
MAX_SESSIONS: Final = 100
"""Logins a person has at once; a further one ends the oldest."""
KEPT: Final = timedelta(days=60)
"""Ended logins are remembered this long: the networks they came from count as known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A fresh pair for a session: the refresh token's text is known to its owner alone."""

    user_id: UUID
    session_id: UUID
    org_id: UUID | None
    refresh_token: str
    refresh_expires_at: datetime

    def __repr__(self) -> str:
        return f"Login(session_id={self.session_id})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Where a login comes from, as shown in the list of sessions; ``network`` is what counts as the same place."""

    user_agent: str = ""
    ip: str = ""
    network: str = ""


async def find_login(database: Database, email: str, network: str) -> LoginRow | None:
    """What the login door knows about this address, and whether somebody has logged in to it from this network."""
    rows = await database.door("login_door", LoginRow, email, network)
    return rows[0] if rows else None


async def stored_password(session: TenantSession, user_id: UUID) -> str | None:
    """The bcrypt hash of a person, handed out by its door."""
    rows = await session.door("password_door", PasswordRow, user_id)
    return rows[0].password_hash if rows else None


def tell(session: TenantSession, fact: Event, *, actor: str | None = None) -> None:
    """Record a fact about a person in the organization that is open; who has none has no ledger either."""
    if session.org_id != NIL:
        record(session, fact, actor=actor)


async def start(session: TenantSession, org_id: UUID | None, device: Device) -> Login:
    """A new login with the first refresh token of its family; session ids are never chosen by clients."""
    session_id, now = new_id(), clock.now()
    await session.execute(queries.FORGET_SESSIONS, user_id=session.user_id, before=now - KEPT)
    await session.execute(queries.END_OLDEST_SESSIONS, user_id=session.user_id, kept=MAX_SESSIONS - 1)
    await session.execute(
        queries.ADD_SESSION,
        id=session_id,
        user_id=session.user_id,
        current_org_id=org_id,
        user_agent=_visible(device.user_agent),
        ip=device.ip[:64],
        network=device.network[:64],
        expires_at=now + SESSION_LIFETIME,
    )
    return await _issue(session, session_id, org_id, ends_at=now + SESSION_LIFETIME, parent_id=None)


def _visible(text: str) -> str:
    return "".join(c for c in text if c.isprintable())[:300]


async def tell_start(session: TenantSession, login: Login) -> None:
    """Record the login in the ledger of the organization it opens, in the same transaction."""
    if login.org_id is not None:
        async with session.elsewhere(member(login.user_id, login.org_id, login.session_id)) as opened:
            tell(opened, SessionStarted(subject_id=login.session_id, user_id=encode("usr", login.user_id)))


async def _issue(
    session: TenantSession, session_id: UUID, org_id: UUID | None, *, ends_at: datetime, parent_id: UUID | None
) -> Login:
    text = tokens.new_token("rt")
    expires_at = min(clock.now() + IDLE, ends_at)
    await session.execute(
        queries.ADD_REFRESH,
        id=new_id(),
        user_id=session.user_id,
        session_id=session_id,
        hash=tokens.hash_token(text),
        parent_id=parent_id,
        expires_at=expires_at,
    )
    return Login(
        user_id=session.user_id, session_id=session_id, org_id=org_id, refresh_token=text, refresh_expires_at=expires_at
    )


class Verdict(StrEnum):
    """What a presented refresh token is worth."""

    good = "good"
    ended = "ended"
    """Its login is over, or it was not used for too long."""
    reused = "reused"
    """It was used before: a copy may be in strange hands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """A refresh token that was found, the login it belongs to (locked), and what it is worth."""

    token_id: UUID
    family: SessionRow
    verdict: Verdict


async def find_refresh(database: Database, refresh_token: str) -> RefreshDoorRow:
    """Whose refresh token this is; raises Unauthenticated for what never was one."""
    parsed = tokens.parse(refresh_token)
    rows = await database.door("refresh_door", RefreshDoorRow, parsed.hash) if parsed and parsed.kind == "rt" else []
    if not rows:
        raise Unauthenticated("This refresh token is not valid.", code="refresh_invalid")
    return rows[0]


async def present(session: TenantSession, door: RefreshDoorRow) -> Presented:
    """Use the token up when it is the family's unused one; what else it may be is told by the verdict."""
    family = await session.find(queries.SESSION_FOR_UPDATE, user_id=door.user_id, session_id=door.session_id)
    if family is None:
        raise Unauthenticated("This login has ended.", code="credential_ended", hint="Log in again.")
    verdict = Verdict.ended
    if family.ended_at is None and family.expires_at > clock.now():
        verdict = await _consume(session, door)
    return Presented(token_id=door.token_id, family=family, verdict=verdict)


async def _consume(session: TenantSession, door: RefreshDoorRow) -> Verdict:
    # One conditional update; it uses up siblings that a grace has left too, so the family never goes on twice.
    used = await session.all(
        queries.USE_REFRESH, user_id=door.user_id, session_id=door.session_id, token_id=door.token_id
    )
    if used:
        return Verdict.good
    presented = await session.one(queries.REFRESH, user_id=door.user_id, token_id=door.token_id)
    if presented.used_at is None:
        return Verdict.ended  # never used, so only its time is over
    if presented.used_at < clock.now() - GRACE:
        return Verdict.reused
    successors = await session.all(queries.SUCCESSORS, session_id=door.session_id, token_id=door.token_id)
    if not successors or any(s.used_at is not None for s in successors):
        return Verdict.reused
    if len(successors) >= MAX_SIBLINGS:
        raise RateLimited("This refresh token was just used; take the answer.", retry_after_s=GRACE.total_seconds())
    return Verdict.good


async def rotate(session: TenantSession, presented: Presented, org_id: UUID | None) -> Login:
    """The next pair of a login whose token was good."""
    family = presented.family
    await session.execute(queries.FORGET_REFRESH, user_id=session.user_id, session_id=family.id)
    await session.execute(queries.TOUCH_SESSION, user_id=session.user_id, session_id=family.id, current_org_id=org_id)
    return await _issue(session, family.id, org_id, ends_at=family.expires_at, parent_id=presented.token_id)


async def end_family(session: TenantSession, presented: Presented, *, told_in: UUID | None) -> None:
    """End a login whose token was not good; reuse is told to the organization that the login had opened."""
    family, reason = presented.family, "expired"
    if presented.verdict is Verdict.reused:
        reason = "refresh_token_reused"
        logger.warning("refresh_token_reused", session=encode("ses", family.id))
        if told_in is not None:
            user = encode("usr", session.user_id)
            async with session.elsewhere(member(session.user_id, told_in, family.id)) as opened:
                # Who presented it is not known: that is the point.
                tell(opened, RefreshTokenReused(subject_id=family.id, user_id=user), actor="system")
                tell(opened, SessionEnded(subject_id=family.id, user_id=user, reason=reason), actor="system")
    await session.execute(queries.END_SESSION, user_id=session.user_id, session_id=family.id, reason=reason)


async def switch(session: TenantSession, session_id: UUID, org_id: UUID) -> Login:
    """A pair of the same login for another organization; it takes the place of the login's unused refresh token."""
    family = await session.one(queries.SESSION_FOR_UPDATE, user_id=session.user_id, session_id=session_id)
    unused = await session.all(queries.USE_ALL_REFRESH, user_id=session.user_id, session_id=session_id)
    await session.execute(queries.TOUCH_SESSION, user_id=session.user_id, session_id=session_id, current_org_id=org_id)
    await session.execute(queries.REMEMBER_ORGANIZATION, user_id=session.user_id, last_org_id=org_id)
    login = await _issue(session, session_id, org_id, ends_at=family.expires_at, parent_id=_newest(unused))
    async with session.elsewhere(member(session.user_id, org_id, session_id)) as opened:
        tell(opened, SessionSwitched(subject_id=session_id, user_id=encode("usr", session.user_id)))
    return login


def _newest(found: Sequence[Found]) -> UUID | None:
    return max((row.id for row in found), default=None)


async def end(session: TenantSession, session_id: UUID, *, reason: str) -> None:
    """End one login of the caller; its access tokens stop at the next request."""
    ended = await session.execute(queries.END_SESSION, user_id=session.user_id, session_id=session_id, reason=reason)
    if not ended:
        raise NotFound("Not found.")
    _tell_end(session, session_id, reason)


async def end_all(session: TenantSession, *, reason: str, keep: UUID = NIL) -> None:
    """End every login of the caller, save perhaps one."""
    ended = await session.all(queries.END_ALL_SESSIONS, user_id=session.user_id, except_id=keep, reason=reason)
    for row in ended:
        _tell_end(session, row.id, reason)


def _tell_end(session: TenantSession, session_id: UUID, reason: str) -> None:
    user = encode("usr", session.user_id)
    tell(session, SessionEnded(subject_id=session_id, user_id=user, reason=reason))
