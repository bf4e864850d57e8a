"""Request and response models of sign-up, login, organizations and members."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from kovra.features.organizations.queries import MembershipDoorRow, OrganizationRow
from kovra.foundation.access import Role
from kovra.foundation.web.fields import Input, Name, Output, Reference, Slug, Time, wire

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_TOP = r"[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]"
_EMAIL = re.compile(rf"[^@\s]{{1,64}}@(?:{_LABEL}\.)+{_TOP}")


def _email(value: str) -> str:
    if len(value) > 254 or _EMAIL.fullmatch(value) is None or not value.isprintable():
        raise PydanticCustomError("email_invalid", "This is not an e-mail address.")
    return value.lower()


Email = Annotated[str, StringConstraints(max_length=320), AfterValidator(_email)]
Password = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class OrganizationIn(Input):
    """A new organization."""

    name: Name = Field(examples=["Example GmbH"])
    slug: Slug | None = Field(default=None, examples=["example"])


class SignupIn(Input):
    """A new person with a first organization."""

    email: Email = Field(examples=["ada@example.test"])
    password: Password = Field(examples=["correct horse battery staple"])
    name: Name = Field(examples=["Ada"])
    organization: OrganizationIn


class LoginIn(Input):
    """A login; without `organization` it opens the one used last."""

    email: Email = Field(examples=["ada@example.test"])
    password: Password
    organization: Reference | None = None


class RefreshIn(Input):
    """The refresh token, unless the cookie carries it."""

    refresh_token: Annotated[str, StringConstraints(max_length=4096)] | None = Field(
        default=None, examples=["kvr_rt_example"]
    )


class SwitchIn(Input):
    """Another organization of mine, by id or slug."""

    organization: Reference


class PasswordIn(Input):
    """A change of password."""

    current: Password
    new: Password


class OrganizationOut(Output):
    """The organization this credential opens."""

    id: Annotated[UUID, wire("org")]
    object: Literal["organization"] = "organization"
    name: str
    slug: str
    plan: str
    created_at: Time
    updated_at: Time


class OrganizationRef(OrganizationOut):
    """An organization of mine, and my role there; an api token has none."""

    role: Role | None


def organization_out(row: OrganizationRow) -> OrganizationOut:
    """The organization as it is shown."""
    return OrganizationOut.model_validate(row, from_attributes=True)


def reference_out(row: MembershipDoorRow) -> OrganizationRef:
    """The organization as its member sees it."""
    return OrganizationRef(
        id=row.org_id, name=row.name, slug=row.slug, plan=row.plan, created_at=row.created_at,
        updated_at=row.updated_at, role=Role(row.role),
    )  # fmt: skip


class OrganizationPatch(Input):
    """What to change."""

    name: Name | None = Field(default=None, examples=["Example GmbH"])
    slug: Slug | None = None


class UserOut(Output):
    """A person."""

    id: Annotated[UUID, wire("usr")]
    object: Literal["user"] = "user"
    email: str
    name: str


class TokensOut(Output):
    """A pair of tokens for one organization."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # the scheme, not a credential
    expires_in: int
    refresh_token: str | None = Field(description="None when it was asked for as a cookie.")
    refresh_expires_at: Time
    organization: OrganizationRef | None


class SignupOut(TokensOut):
    """A pair of tokens, and who has signed up."""

    user: UserOut


class NarrowingOut(Output):
    """How far a credential is narrowed; null: not in this respect."""

    project_id: Annotated[UUID | None, wire("prj")]
    app_id: Annotated[UUID | None, wire("app")]
    environment_id: Annotated[UUID | None, wire("env")]


class TokenRef(Output):
    """The api token that calls."""

    id: Annotated[UUID, wire("tok")]
    object: Literal["token"] = "token"
    name: str
    expires_at: Time | None


class MeOut(Output):
    """Who calls, and what this credential may do."""

    object: Literal["me"] = "me"
    kind: Literal["session", "token"]
    user: UserOut | None = Field(description="None: an api token calls.")
    session_id: Annotated[UUID | None, wire("ses")]
    token: TokenRef | None = Field(description="None: a person calls.")
    organization: OrganizationOut | None = Field(description="None: the person is in none, or has opened none.")
    role: Role | None
    permissions: list[str]
    narrowing: NarrowingOut


class MemberOut(Output):
    """A member of the organization."""

    id: Annotated[UUID, wire("mem")]
    object: Literal["member"] = "member"
    user: UserOut
    role: Role
    created_at: Time
    updated_at: Time


class MemberPatch(Input):
    """A member's new role."""

    role: Role = Field(strict=False)


class RoleOut(Output):
    """A role and everything it may do."""

    name: Role
    object: Literal["role"] = "role"
    permissions: list[str]
