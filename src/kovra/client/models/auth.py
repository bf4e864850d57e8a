"""Shapes of auth. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict


class ListOfSessionOut(TypedDict):
    """ListOfSessionOut."""

    data: list[SessionOut]
    """The objects of this page."""
    next: str | None
    """The `cursor` of the next page; null: there is none."""
    has_more: bool
    """Whether there is another page."""


class LoginIn(TypedDict):
    """A login; without `organization` it opens the one used last."""

    email: str
    """As it was signed up with."""
    password: str
    """Taken as it is sent."""
    organization: NotRequired[str | None]
    """Which to open, by id or slug."""


class MeOut(TypedDict):
    """Who calls, and what this credential may do."""

    object: Literal["me"]
    """What kind of object this is."""
    kind: Literal["session", "token"]
    """A person's login, or an api token."""
    user: UserOut | None
    """None: an api token calls."""
    session_id: str | None
    """null: an api token calls."""
    token: TokenRef | None
    """None: a person calls."""
    organization: OrganizationOut | None
    """None: the person is in none, or has opened none."""
    role: Role | None
    """null: an api token calls, or no organization is open."""
    permissions: list[str]
    """Everything it may do."""
    narrowing: NarrowingOut
    """How far it reaches."""


class NarrowingOut(TypedDict):
    """How far a credential is narrowed; null: not in this respect."""

    project_id: str | None
    """Reaches this project alone; null: all."""
    app_id: str | None
    """Reaches this app alone; null: all."""
    environment_id: str | None
    """Reaches this environment alone; null: all."""


class OrganizationIn(TypedDict):
    """A new organization."""

    name: str
    """For people to read."""
    slug: NotRequired[str | None]
    """Default: made of the name."""


class OrganizationOut(TypedDict):
    """The organization this credential opens."""

    id: str
    """Its id, for ever."""
    object: Literal["organization"]
    """What kind of object this is."""
    name: str
    """For people to read."""
    slug: str
    """For people to type; unique among its like."""
    plan: str
    """`free`, `team`, `business` or `enterprise`."""
    created_at: str
    """When it was made."""
    updated_at: str
    """When it last changed."""


class OrganizationRef(TypedDict):
    """An organization of mine, and my role there; an api token has none."""

    id: str
    """Its id, for ever."""
    object: Literal["organization"]
    """What kind of object this is."""
    name: str
    """For people to read."""
    slug: str
    """For people to type; unique among its like."""
    plan: str
    """`free`, `team`, `business` or `enterprise`."""
    created_at: str
    """When it was made."""
    updated_at: str
    """When it last changed."""
    role: Role | None
    """null: an api token asks."""


class PasswordIn(TypedDict):
    """A change of password."""

    current: str
    """The present password."""
    new: str
    """10 characters to 1,024 bytes; what is easily guessed is refused."""


class RefreshIn(TypedDict):
    """The refresh token, unless the cookie carries it."""

    refresh_token: NotRequired[str | None]
    """It is used up by this."""


class SessionOut(TypedDict):
    """One login of the caller."""

    id: str
    """Its id, for ever."""
    object: Literal["session"]
    """What kind of object this is."""
    current: bool
    """Whether this call comes from it."""
    user_agent: str
    """As the client named itself at the login."""
    ip: str
    """From where it logged in."""
    created_at: str
    """When it was made."""
    last_used_at: str
    """When it was last refreshed."""
    expires_at: str
    """It ends then unless it is refreshed before, and 30 days after the login in any case."""


class SignupIn(TypedDict):
    """A new person with a first organization."""

    email: str
    """Whom to log in as."""
    password: str
    """10 characters to 1,024 bytes; what is easily guessed is refused."""
    name: str
    """For people to read."""
    organization: OrganizationIn
    """Its owner is who signs up."""


class SignupOut(TypedDict):
    """A pair of tokens, and who has signed up."""

    access_token: str
    """Send it as `Authorization: Bearer …`."""
    token_type: Literal["Bearer"]
    """How it is sent."""
    expires_in: int
    """Seconds until the access token is over."""
    refresh_token: str | None
    """None when it was asked for as a cookie."""
    refresh_expires_at: str
    """When the refresh token, or the login as a whole, is over."""
    organization: OrganizationRef | None
    """What the access token opens; null: the person is in none."""
    user: UserOut
    """Who has signed up."""


class SwitchIn(TypedDict):
    """Another organization of mine, by id or slug."""

    organization: str
    """Id or slug."""


class TokenRef(TypedDict):
    """The api token that calls."""

    id: str
    """Its id, for ever."""
    object: Literal["token"]
    """What kind of object this is."""
    name: str
    """For people to read."""
    expires_at: str | None
    """When it ends."""


class TokensOut(TypedDict):
    """A pair of tokens for one organization."""

    access_token: str
    """Send it as `Authorization: Bearer …`."""
    token_type: Literal["Bearer"]
    """How it is sent."""
    expires_in: int
    """Seconds until the access token is over."""
    refresh_token: str | None
    """None when it was asked for as a cookie."""
    refresh_expires_at: str
    """When the refresh token, or the login as a whole, is over."""
    organization: OrganizationRef | None
    """What the access token opens; null: the person is in none."""


class UserOut(TypedDict):
    """A person."""

    id: str
    """Its id, for ever."""
    object: Literal["user"]
    """What kind of object this is."""
    email: str
    """Lower-case."""
    name: str
    """For people to read."""


Role: TypeAlias = Literal["owner", "admin", "member", "viewer"]
"""A membership's rank; each holds everything the next one holds."""
