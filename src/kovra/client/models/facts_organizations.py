"""Shapes of facts organizations. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import TypedDict


class MemberJoined(TypedDict):
    """A person became a member."""

    user_id: str
    role: str


class MemberRemoved(TypedDict):
    """A member left or was removed; every credential of theirs here ends with it."""

    user_id: str
    role: str


class MemberRoleChanged(TypedDict):
    """A member got another role."""

    user_id: str
    before: str
    after: str


class OrganizationCreated(TypedDict):
    """An organization was made."""

    name: str
    slug: str


class OrganizationRenamed(TypedDict):
    """An organization got another name or slug."""

    name: str
    slug: str
