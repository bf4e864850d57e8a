"""Shapes of members. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict

from kovra.client.models.auth import Role, UserOut


class ListOfMemberOut(TypedDict):
    """ListOfMemberOut."""

    data: list[MemberOut]
    next: str | None
    has_more: bool


class ListOfRoleOut(TypedDict):
    """ListOfRoleOut."""

    data: list[RoleOut]
    next: str | None
    has_more: bool


class MemberOut(TypedDict):
    """A member of the organization."""

    id: str
    object: Literal["member"]
    user: UserOut
    role: Role
    created_at: str
    updated_at: str


class MemberPatch(TypedDict):
    """A member's new role."""

    role: Role


class RoleOut(TypedDict):
    """A role and everything it may do."""

    name: Role
    object: Literal["role"]
    permissions: list[str]


ListMembersSort: TypeAlias = Literal["-created_at", "created_at", "-name", "name", "-email", "email"]
"""The order; a minus: falling."""
