"""Shapes of members. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict

from kovra.client.models.auth import Role, UserOut


class ListOfMemberOut(TypedDict):
    """ListOfMemberOut."""

    data: list[MemberOut]
    """The objects of this page."""
    next: str | None
    """The `cursor` of the next page; null: there is none."""
    has_more: bool
    """Whether there is another page."""


class ListOfRoleOut(TypedDict):
    """ListOfRoleOut."""

    data: list[RoleOut]
    """The objects of this page."""
    next: str | None
    """The `cursor` of the next page; null: there is none."""
    has_more: bool
    """Whether there is another page."""


class MemberOut(TypedDict):
    """A member of the organization."""

    id: str
    """Its id, for ever."""
    object: Literal["member"]
    """What kind of object this is."""
    user: UserOut
    """Who it is."""
    role: Role
    """`owner`, `admin`, `member` or `viewer`."""
    created_at: str
    """When it was made."""
    updated_at: str
    """When it last changed."""


class MemberPatch(TypedDict):
    """A member's new role."""

    role: Role
    """At most one's own; only owners make owners."""


class RoleOut(TypedDict):
    """A role and everything it may do."""

    name: Role
    """`owner`, `admin`, `member` or `viewer`."""
    object: Literal["role"]
    """What kind of object this is."""
    permissions: list[str]
    """Everything it may do."""


ListMembersSort: TypeAlias = Literal["-created_at", "created_at", "-name", "name", "-email", "email"]
"""The order; a minus: falling."""
