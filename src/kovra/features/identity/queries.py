"""Every statement about people, sessions and api tokens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Integer, Text, Uuid, and_, bindparam, exists, func, or_, select

from kovra.foundation.db.pages import Listing
from kovra.foundation.db.statements import command, statement
from kovra.models.identity import api_tokens, refresh_tokens, sessions, users
from kovra.models.organizations import memberships
from kovra.models.projects import apps, environments, projects


@dataclass(frozen=True, slots=True)
class UserRow:
    """A person as fellow members see them."""

    id: UUID
    email: str
    name: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One login."""

    id: UUID
    current_org_id: UUID | None
    user_agent: str
    ip: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class RefreshRow:
    """A refresh token without its hash."""

    id: UUID
    parent_id: UUID | None
    expires_at: datetime
    used_at: datetime | None


@dataclass(frozen=True, slots=True)
class TokenRow:
    """An api token without its hash."""

    id: UUID
    name: str
    permissions: list[str]
    project_id: UUID | None
    app_id: UUID | None
    environment_id: UUID | None
    created_by: UUID | None
    creator: dict[str, Any]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    creator_left: bool


@dataclass(frozen=True, slots=True)
class LoginRow:
    """What the login door answers."""

    user_id: UUID
    password_hash: str | None
    disabled: bool
    last_org_id: UUID | None
    known_network: bool


@dataclass(frozen=True, slots=True)
class PasswordRow:
    """What the password door answers."""

    password_hash: str | None


@dataclass(frozen=True, slots=True)
class RefreshDoorRow:
    """What the refresh door answers."""

    token_id: UUID
    user_id: UUID
    session_id: UUID


@dataclass(frozen=True, slots=True)
class Found:
    """Only that a row is there."""

    id: UUID


@dataclass(frozen=True, slots=True)
class Placed:
    """Something in a project, or the project itself."""

    id: UUID
    project_id: UUID


@dataclass(frozen=True, slots=True)
class NamedRow:
    """Something with a name."""

    id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class Counted:
    """A number."""

    n: int


@dataclass(frozen=True, slots=True)
class StandingRow:
    """Whether a person may log in, and since when the password is this one."""

    disabled_at: datetime | None
    password_changed_at: datetime | None


_u, _s, _r, _t = users.c, sessions.c, refresh_tokens.c, api_tokens.c

USER = statement(
    select(_u.id, _u.email, _u.name, _u.created_at, _u.updated_at).where(_u.id == bindparam("user_id")), UserRow
)
ADD_USER = command(
    users.insert().values(
        id=bindparam("id"), email=bindparam("email"), name=bindparam("name"), password_hash=bindparam("password_hash"),
        password_changed_at=func.now(), last_org_id=bindparam("last_org_id"),
    )
)  # fmt: skip
STANDING = statement(select(_u.disabled_at, _u.password_changed_at).where(_u.id == bindparam("user_id")), StandingRow)
SET_PASSWORD = command(
    users.update()
    .where(
        _u.id == bindparam("user_id"),
        # Compare and swap: of two changes that both knew the old password, one is told.
        _u.password_changed_at.is_not_distinct_from(bindparam("seen")),
    )
    .values(password_hash=bindparam("password_hash"), password_changed_at=func.now(), updated_at=func.now())
)
REHASH = command(users.update().where(_u.id == bindparam("user_id")).values(password_hash=bindparam("password_hash")))
REMEMBER_ORGANIZATION = command(
    users.update().where(_u.id == bindparam("user_id")).values(last_org_id=bindparam("last_org_id"))
)

ADD_SESSION = command(
    sessions.insert().values(
        id=bindparam("id"), user_id=bindparam("user_id"), current_org_id=bindparam("current_org_id"),
        user_agent=bindparam("user_agent"), ip=bindparam("ip"), network=bindparam("network"), last_used_at=func.now(),
        expires_at=bindparam("expires_at"),
    )
)  # fmt: skip
_SESSION = select(
    _s.id, _s.current_org_id, _s.user_agent, _s.ip, _s.created_at, _s.last_used_at, _s.expires_at, _s.ended_at
)
_MINE = _s.user_id == bindparam("user_id")
_ALIVE = _s.ended_at.is_(None)
SESSIONS = Listing(
    _SESSION.where(_MINE, _ALIVE, _s.expires_at > func.now(), _s.last_used_at > bindparam("idle_since")),
    SessionRow,
    key=_s.id,
    by={},
)
SESSION_FOR_UPDATE = statement(
    _SESSION.where(_MINE, _s.id == bindparam("session_id")).with_for_update(key_share=True), SessionRow
)
END_SESSION = command(
    sessions.update()
    .where(_MINE, _s.id == bindparam("session_id"), _ALIVE)
    .values(ended_at=func.now(), ended_reason=bindparam("reason"))
)
END_ALL_SESSIONS = statement(
    sessions.update()
    .where(_MINE, _s.id != bindparam("except_id"), _ALIVE)
    .values(ended_at=func.now(), ended_reason=bindparam("reason"))
    .returning(_s.id),
    Found,
)
_OLDEST = (
    select(_s.id)
    .where(_MINE, _ALIVE, _s.expires_at > func.now())
    .order_by(_s.id.desc())
    .offset(bindparam("kept", type_=Integer))
)
END_OLDEST_SESSIONS = command(
    sessions.update().where(_MINE, _s.id.in_(_OLDEST)).values(ended_at=func.now(), ended_reason="too_many")
)
FORGET_SESSIONS = command(
    sessions.delete().where(_MINE, func.coalesce(_s.ended_at, _s.expires_at) < bindparam("before"))
)
TOUCH_SESSION = command(
    sessions.update()
    .where(_MINE, _s.id == bindparam("session_id"))
    .values(last_used_at=func.now(), current_org_id=bindparam("current_org_id"))
)

ADD_REFRESH = command(
    refresh_tokens.insert().values(
        id=bindparam("id"), user_id=bindparam("user_id"), session_id=bindparam("session_id"), hash=bindparam("hash"),
        parent_id=bindparam("parent_id"), expires_at=bindparam("expires_at"),
    )
)  # fmt: skip
_FAMILY = (_r.user_id == bindparam("user_id"), _r.session_id == bindparam("session_id"))
_p = refresh_tokens.alias("presented")
USE_REFRESH = statement(
    refresh_tokens.update()
    .where(
        *_FAMILY,
        _r.used_at.is_(None),
        exists(_p.c.id).where(
            _p.c.user_id == bindparam("user_id"),
            _p.c.session_id == bindparam("session_id"),
            _p.c.id == bindparam("token_id"),
            _p.c.used_at.is_(None),
            _p.c.expires_at > func.now(),
        ),
    )
    .values(used_at=func.now())
    .returning(_r.id),
    Found,
)
USE_ALL_REFRESH = statement(
    refresh_tokens.update().where(*_FAMILY, _r.used_at.is_(None)).values(used_at=func.now()).returning(_r.id), Found
)
FORGET_REFRESH = command(refresh_tokens.delete().where(*_FAMILY, _r.expires_at < func.now()))
REFRESH = statement(
    select(_r.id, _r.parent_id, _r.expires_at, _r.used_at).where(
        _r.user_id == bindparam("user_id"), _r.id == bindparam("token_id")
    ),
    RefreshRow,
)
SUCCESSORS = statement(
    select(_r.id, _r.parent_id, _r.expires_at, _r.used_at)
    .where(_r.session_id == bindparam("session_id"), _r.parent_id == bindparam("token_id"))
    .limit(20),
    RefreshRow,
)

_m = memberships.c
_CREATOR_LEFT = and_(
    _t.created_by.is_not(None), ~exists(_m.id).where(_m.org_id == bindparam("org_id"), _m.user_id == _t.created_by)
)
_TOKEN = select(
    _t.id, _t.name, _t.permissions, _t.project_id, _t.app_id, _t.environment_id, _t.created_by, _t.creator, _t.created_at,
    _t.expires_at, _t.last_used_at, _CREATOR_LEFT.label("creator_left"),
).where(_t.org_id == bindparam("org_id"), _t.revoked_at.is_(None))  # fmt: skip
TOKENS = Listing(_TOKEN, TokenRow, key=_t.id, by={"name": _t.name})
TOKEN = statement(_TOKEN.where(_t.id == bindparam("token_id")), TokenRow)
_LIVING = (
    _t.org_id == bindparam("org_id"),
    _t.revoked_at.is_(None),
    or_(_t.expires_at.is_(None), _t.expires_at > func.now()),
)
COUNT_TOKENS = statement(select(func.count().label("n")).select_from(api_tokens).where(*_LIVING), Counted)
TOKENS_OF_CREATOR = statement(
    select(_t.id, _t.name).where(*_LIVING, _t.created_by == bindparam("user_id")).order_by(_t.id), NamedRow
)
NOTE_TOKEN_USE = command(
    api_tokens.update()
    .where(
        _t.org_id == bindparam("org_id"),
        _t.id == bindparam("token_id"),
        or_(_t.last_used_at.is_(None), _t.last_used_at < bindparam("before")),
    )
    .values(last_used_at=func.now())
)
ADD_TOKEN = command(
    api_tokens.insert().values(
        id=bindparam("id"), org_id=bindparam("org_id"), name=bindparam("name"), hash=bindparam("hash"),
        permissions=bindparam("permissions", type_=ARRAY(Text)), project_id=bindparam("project_id"),
        app_id=bindparam("app_id"), environment_id=bindparam("environment_id"), created_by=bindparam("created_by"),
        creator=bindparam("creator"), expires_at=bindparam("expires_at"),
    )
)  # fmt: skip
REVOKE_TOKEN = command(
    api_tokens.update()
    .where(_t.org_id == bindparam("org_id"), _t.id == bindparam("token_id"), _t.revoked_at.is_(None))
    .values(revoked_at=func.now())
)


def _inside(project_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """In that project, where one is named."""
    named = bindparam("project_id", type_=Uuid)
    return or_(named.is_(None), project_id == named)


PROJECT_NAMED = statement(
    select(projects.c.id, projects.c.id.label("project_id")).where(
        projects.c.org_id == bindparam("org_id"),
        projects.c.deleted_at.is_(None),
        or_(projects.c.id == bindparam("id"), projects.c.slug == bindparam("slug")),
    ),
    Placed,
)
APP_NAMED = statement(
    select(apps.c.id, apps.c.project_id).where(
        apps.c.org_id == bindparam("org_id"),
        apps.c.deleted_at.is_(None),
        or_(
            and_(apps.c.id == bindparam("id"), _inside(apps.c.project_id)),
            and_(apps.c.slug == bindparam("slug"), apps.c.project_id == bindparam("project_id")),
        ),
    ),
    Placed,
)
ENVIRONMENT_NAMED = statement(
    select(environments.c.id, environments.c.project_id).where(
        environments.c.org_id == bindparam("org_id"),
        environments.c.deleted_at.is_(None),
        or_(
            and_(environments.c.id == bindparam("id"), _inside(environments.c.project_id)),
            and_(environments.c.slug == bindparam("slug"), environments.c.project_id == bindparam("project_id")),
        ),
    ),
    Placed,
)
