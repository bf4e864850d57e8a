"""Sessions, refresh rotation and api tokens: the rules and all writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from kovra.features.identity import queries
from kovra.features.identity.messages import TokenCreated, TokenRevoked
from kovra.features.identity.queries import LoginRow, PasswordRow, RefreshDoorRow, TokenRow
from kovra.foundation import clock, tokens
from kovra.foundation.access import Access, Permission
from kovra.foundation.db.database import Database
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Forbidden, Invalid, NotFound, Unauthenticated
from kovra.foundation.events import record
from kovra.foundation.ids import NIL, new_id

REFRESH_LIFETIME: Final = timedelta(days=7)
SESSION_LIFETIME: Final = timedelta(days=30)
GRACE: Final = timedelta(seconds=10)
"""A client that lost the answer may present the direct predecessor again this long, while its successor is unused."""


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
    """Where a login comes from, as shown in the list of sessions."""

    user_agent: str = ""
    ip: str = ""


async def find_login(database: Database, email: str) -> LoginRow | None:
    """What the login door knows about this address."""
    rows = await database.door("login_door", LoginRow, email)
    return rows[0] if rows else None


async def stored_password(session: TenantSession, user_id: UUID) -> str | None:
    """The bcrypt hash of a person, handed out by its door."""
    rows = await session.door("password_door", PasswordRow, user_id)
    return rows[0].password_hash if rows else None


async def start_session(session: TenantSession, user_id: UUID, org_id: UUID | None, device: Device) -> Login:
    """A new login with the first refresh token of its family; session ids are never chosen by clients."""
    session_id = new_id()
    await session.execute(
        queries.ADD_SESSION,
        id=session_id,
        user_id=user_id,
        current_org_id=org_id,
        user_agent=device.user_agent[:300],
        ip=device.ip[:60],
        expires_at=clock.now() + SESSION_LIFETIME,
    )
    return await _issue(session, user_id, session_id, org_id=org_id, parent_id=None)


async def _issue(
    session: TenantSession, user_id: UUID, session_id: UUID, *, org_id: UUID | None, parent_id: UUID | None
) -> Login:
    text = tokens.new_token("rt")
    expires_at = clock.now() + REFRESH_LIFETIME
    await session.execute(
        queries.ADD_REFRESH,
        id=new_id(),
        user_id=user_id,
        session_id=session_id,
        hash=tokens.hash_token(text),
        parent_id=parent_id,
        expires_at=expires_at,
    )
    return Login(
        user_id=user_id, session_id=session_id, org_id=org_id, refresh_token=text, refresh_expires_at=expires_at
    )


async def rotate(database: Database, refresh_token: str, *, switch_to: UUID | None = None) -> Login:
    """Exchange a refresh token for the next pair; reuse of an old one ends the whole family (RFC 9700 §4.14.2).

    The family's row is locked first, so consume, check and insert are one step; the end of a family is committed
    although the request fails.
    """
    parsed = tokens.parse(refresh_token)
    rows = await database.door("refresh_door", RefreshDoorRow, parsed.hash) if parsed and parsed.kind == "rt" else []
    if not rows:
        raise Unauthenticated("This refresh token is not valid.", code="refresh_invalid")
    door = rows[0]
    async with database.user(door.user_id) as session:
        login = await _rotate(session, door, switch_to)
    if login is None:
        raise Unauthenticated("This login has ended.", code="credential_ended")
    return login


async def _rotate(session: TenantSession, door: RefreshDoorRow, switch_to: UUID | None) -> Login | None:
    family = await session.find(queries.SESSION_FOR_UPDATE, user_id=door.user_id, session_id=door.session_id)
    if family is None or family.ended_at is not None or family.expires_at <= clock.now():
        return None
    used_now = await session.find(queries.USE_REFRESH, user_id=door.user_id, token_id=door.token_id)
    if used_now is None and not await _within_grace(session, door):
        await session.execute(
            queries.END_SESSION, user_id=door.user_id, session_id=door.session_id, reason="refresh_token_reused"
        )
        return None
    org_id = switch_to or family.current_org_id
    await session.execute(
        queries.TOUCH_SESSION, user_id=door.user_id, session_id=door.session_id, current_org_id=org_id
    )
    return await _issue(session, door.user_id, door.session_id, org_id=org_id, parent_id=door.token_id)


async def _within_grace(session: TenantSession, door: RefreshDoorRow) -> bool:
    """Only the direct predecessor, only shortly after its use, only while none of its successors was used."""
    presented = await session.one(queries.REFRESH, user_id=door.user_id, token_id=door.token_id)
    if presented.used_at is None or presented.used_at < clock.now() - GRACE:
        return False
    successors = await session.all(queries.SUCCESSORS, session_id=door.session_id, token_id=door.token_id)
    return 0 < len(successors) < 10 and all(s.used_at is None for s in successors)


async def issue_for_session(session: TenantSession, session_id: UUID, org_id: UUID) -> Login:
    """Another family member for the same login, opening another organization (switch)."""
    await session.execute(queries.TOUCH_SESSION, user_id=session.user_id, session_id=session_id, current_org_id=org_id)
    await session.execute(queries.REMEMBER_ORGANIZATION, user_id=session.user_id, last_org_id=org_id)
    return await _issue(session, session.user_id, session_id, org_id=org_id, parent_id=None)


async def end_session(session: TenantSession, session_id: UUID, *, reason: str) -> None:
    """End one login of the caller; its access tokens stop at the next request."""
    ended = await session.execute(queries.END_SESSION, user_id=session.user_id, session_id=session_id, reason=reason)
    if not ended:
        raise NotFound("Not found.")


async def end_all_sessions(session: TenantSession, *, reason: str, keep: UUID = NIL) -> None:
    """End every login of the caller, save perhaps one."""
    await session.execute(queries.END_ALL_SESSIONS, user_id=session.user_id, except_id=keep, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """What a new api token may do, and for how long."""

    name: str
    permissions: Sequence[Permission]
    project_id: UUID | None = None
    app_id: UUID | None = None
    environment_id: UUID | None = None
    expires_at: datetime | None = None


async def create_token(session: TenantSession, wanted: NewToken, *, creator: str) -> tuple[TokenRow, str]:
    """Make an api token; it may do no more than its creator can at this moment. Returns the row and the secret."""
    access = await session.access()
    _within(access, wanted)
    if wanted.expires_at is not None and wanted.expires_at <= clock.now():
        raise Invalid.field("/expires_at", "in_the_past", "This moment has passed.")
    text = tokens.new_token("api", session.org_id)
    token_id = new_id()
    names = sorted({p.value for p in wanted.permissions})
    await session.execute(
        queries.ADD_TOKEN,
        id=token_id,
        org_id=session.org_id,
        name=wanted.name,
        hash=tokens.hash_token(text),
        permissions=names,
        project_id=wanted.project_id,
        app_id=wanted.app_id,
        environment_id=wanted.environment_id,
        created_by=session.user_id if session.user_id != NIL else None,
        creator={"actor": access.actor, "name": creator},
        expires_at=wanted.expires_at,
    )
    expires = clock.rfc3339(wanted.expires_at) if wanted.expires_at else None
    record(session, TokenCreated(subject_id=token_id, name=wanted.name, permissions=names, expires_at=expires))
    return await session.one(queries.TOKEN, org_id=session.org_id, token_id=token_id), text


def _within(access: Access, wanted: NewToken) -> None:
    beyond = sorted(p.value for p in wanted.permissions if not access.may(p))
    if beyond:
        raise Forbidden(
            "A token may not hold more than its creator.",
            code="permission_missing",
            facts={"missing_permission": beyond[0], "role": access.role, "granted_by": "owner"},
        )
    for mine, given, name in (
        (access.project_id, wanted.project_id, "project"),
        (access.app_id, wanted.app_id, "app"),
        (access.environment_id, wanted.environment_id, "environment"),
    ):
        if mine is not None and given != mine:
            raise Forbidden(f"A token may not reach beyond its creator's {name}.", code="narrowing_exceeded")


async def revoke_token(session: TenantSession, token_id: UUID) -> None:
    """End an api token at once."""
    row = await session.one(queries.TOKEN, org_id=session.org_id, token_id=token_id)
    await session.execute(queries.REVOKE_TOKEN, org_id=session.org_id, token_id=token_id)
    record(session, TokenRevoked(subject_id=token_id, name=row.name))
