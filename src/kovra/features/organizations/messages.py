"""Facts about organizations and their members."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kovra.foundation.events import Event, event


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationCreated(Event):
    """An organization was made."""

    type: ClassVar[str] = "organization.created"
    prefix: ClassVar[str] = "org"
    name: str
    slug: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationRenamed(Event):
    """An organization got another name or slug."""

    type: ClassVar[str] = "organization.renamed"
    prefix: ClassVar[str] = "org"
    name: str
    slug: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class MemberJoined(Event):
    """A person became a member."""

    type: ClassVar[str] = "member.joined"
    prefix: ClassVar[str] = "mem"
    user_id: str
    role: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRoleChanged(Event):
    """A member got another role."""

    type: ClassVar[str] = "member.role_changed"
    prefix: ClassVar[str] = "mem"
    user_id: str
    before: str
    after: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRemoved(Event):
    """A member left or was removed; every credential of theirs here ends with it."""

    type: ClassVar[str] = "member.removed"
    prefix: ClassVar[str] = "mem"
    user_id: str
    role: str
