"""Shapes of auth. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict


class ListOfSessionOut(TypedDict):
    """ListOfSessionOut."""

    data: list[SessionOut]
    next: str | None
    has_more: bool


class LoginIn(TypedDict):
    """A login; without `organization` it opens the one used last."""

    email: str
    password: str
    organization: NotRequired[str | None]


class MeOut(TypedDict):
    """Who calls, and what this credential may do."""

    object: Literal["me"]
    kind: Literal["session", "token"]
    user: UserOut | None
    """None: an api token calls."""
    session_id: str | None
    token: TokenRef | None
    """None: a person calls."""
    organization: OrganizationOut | None
    """None: the person is in none, or has opened none."""
    role: Role | None
    permissions: list[str]
    narrowing: NarrowingOut


class NarrowingOut(TypedDict):
    """How far a credential is narrowed; null: not in this respect."""

    project_id: str | None
    app_id: str | None
    environment_id: str | None


class OrganizationIn(TypedDict):
    """A new organization."""

    name: str
    slug: NotRequired[str | None]


class OrganizationOut(TypedDict):
    """The organization this credential opens."""

    id: str
    object: Literal["organization"]
    name: str
    slug: str
    plan: str
    created_at: str
    updated_at: str


class OrganizationRef(TypedDict):
    """An organization of mine, and my role there; an api token has none."""

    id: str
    object: Literal["organization"]
    name: str
    slug: str
    plan: str
    created_at: str
    updated_at: str
    role: Role | None


class PasswordIn(TypedDict):
    """A change of password."""

    current: str
    new: str


class RefreshIn(TypedDict):
    """The refresh token, unless the cookie carries it."""

    refresh_token: NotRequired[str | None]


class SessionOut(TypedDict):
    """One login of the caller."""

    id: str
    object: Literal["session"]
    current: bool
    user_agent: str
    ip: str
    created_at: str
    last_used_at: str
    expires_at: str


class SignupIn(TypedDict):
    """A new person with a first organization."""

    email: str
    password: str
    name: str
    organization: OrganizationIn


class SignupOut(TypedDict):
    """A pair of tokens, and who has signed up."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    refresh_token: str | None
    """None when it was asked for as a cookie."""
    refresh_expires_at: str
    organization: OrganizationRef | None
    user: UserOut


class SwitchIn(TypedDict):
    """Another organization of mine, by id or slug."""

    organization: str


class TokenRef(TypedDict):
    """The api token that calls."""

    id: str
    object: Literal["token"]
    name: str
    expires_at: str | None


class TokensOut(TypedDict):
    """A pair of tokens for one organization."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    refresh_token: str | None
    """None when it was asked for as a cookie."""
    refresh_expires_at: str
    organization: OrganizationRef | None


class UserOut(TypedDict):
    """A person."""

    id: str
    object: Literal["user"]
    email: str
    name: str


Role: TypeAlias = Literal["owner", "admin", "member", "viewer"]
"""A membership's rank; each holds everything the next one holds."""
