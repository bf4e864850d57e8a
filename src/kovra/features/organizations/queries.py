"""Every statement about organizations and memberships."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import LargeBinary, bindparam, func, select

from kovra.foundation.db.pages import Listing, Whole
from kovra.foundation.db.statements import command, statement
from kovra.models.foundation import event_heads
from kovra.models.identity import users
from kovra.models.organizations import memberships, organizations


@dataclass(frozen=True, slots=True)
class OrganizationRow:
    """The tenant itself."""

    id: UUID
    name: str
    slug: str
    plan: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class MembershipDoorRow:
    """What the door of a person's memberships answers."""

    org_id: UUID
    name: str
    slug: str
    plan: str
    role: str
    created_at: datetime
    updated_at: datetime

    @property
    def id(self) -> UUID:
        """The organization's id, by which lists are ordered."""
        return self.org_id


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member with the person's name."""

    id: UUID
    user_id: UUID
    role: str
    email: str
    name: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Counted:
    """A number."""

    n: int


_o, _m, _u = organizations.c, memberships.c, users.c

ORGANIZATIONS = Whole[MembershipDoorRow]()
ORGANIZATION = statement(
    select(_o.id, _o.name, _o.slug, _o.plan, _o.created_at, _o.updated_at).where(_o.id == bindparam("org_id")),
    OrganizationRow,
)
LOCK_ORGANIZATION = statement(
    select(_o.id, _o.name, _o.slug, _o.plan, _o.created_at, _o.updated_at)
    .where(_o.id == bindparam("org_id"))
    .with_for_update(key_share=True),
    OrganizationRow,
)
ADD_ORGANIZATION = command(
    organizations.insert().values(id=bindparam("id"), name=bindparam("name"), slug=bindparam("slug"))
)
ADD_HEAD = command(event_heads.insert().values(org_id=bindparam("org_id"), hash=bindparam("hash", type_=LargeBinary)))
RENAME = command(
    organizations.update()
    .where(_o.id == bindparam("org_id"))
    .values(name=bindparam("name"), slug=bindparam("slug"), updated_at=func.now())
)
ADD_MEMBER = command(
    memberships.insert().values(
        id=bindparam("id"), org_id=bindparam("org_id"), user_id=bindparam("user_id"), role=bindparam("role")
    )
)
_MEMBER = (
    select(_m.id, _m.user_id, _m.role, _u.email, _u.name, _m.created_at, _m.updated_at)
    .join(users, _u.id == _m.user_id)
    .where(_m.org_id == bindparam("org_id"))
)
MEMBERS = Listing(_MEMBER, MemberRow, key=_m.id, by={"name": _u.name, "email": _u.email})
MEMBER = statement(_MEMBER.where(_m.id == bindparam("member_id")), MemberRow)
COUNT_OWNERS = statement(
    select(func.count().label("n")).where(_m.org_id == bindparam("org_id"), _m.role == "owner"), Counted
)
SET_ROLE = command(
    memberships.update()
    .where(_m.org_id == bindparam("org_id"), _m.id == bindparam("member_id"))
    .values(role=bindparam("role"), updated_at=func.now())
)
REMOVE_MEMBER = command(memberships.delete().where(_m.org_id == bindparam("org_id"), _m.id == bindparam("member_id")))
