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
    slug: Slug | None = Field(default=None, examples=["example"], description="Default: made of the name.")


class SignupIn(Input):
    """A new person with a first organization."""

    email: Email = Field(examples=["ada@example.test"], description="Whom to log in as.")
    password: Password = Field(
        examples=["correct horse battery staple"],
        description="10 characters to 1,024 bytes; what is easily guessed is refused.",
    )
    name: Name = Field(examples=["Ada"])
    organization: OrganizationIn = Field(description="Its owner is who signs up.")


class LoginIn(Input):
    """A login; without `organization` it opens the one used last."""

    email: Email = Field(examples=["ada@example.test"], description="As it was signed up with.")
    password: Password = Field(description="Taken as it is sent.")
    organization: Reference | None = Field(default=None, description="Which to open, by id or slug.")


class RefreshIn(Input):
    """The refresh token, unless the cookie carries it."""

    refresh_token: Annotated[str, StringConstraints(max_length=4096)] | None = Field(
        default=None, examples=["kvr_rt_example"], description="It is used up by this."
    )


class SwitchIn(Input):
    """Another organization of mine, by id or slug."""

    organization: Reference = Field(description="Id or slug.")


class PasswordIn(Input):
    """A change of password."""

    current: Password = Field(description="The present password.")
    new: Password = Field(description="10 characters to 1,024 bytes; what is easily guessed is refused.")


class OrganizationOut(Output):
    """The organization this credential opens."""

    id: Annotated[UUID, wire("org")]
    object: Literal["organization"] = "organization"
    name: str = Field(examples=["Example GmbH"])
    slug: str = Field(examples=["example"])
    plan: str = Field(description="`free`, `team`, `business` or `enterprise`.")
    created_at: Time
    updated_at: Time


class OrganizationRef(OrganizationOut):
    """An organization of mine, and my role there; an api token has none."""

    role: Role | None = Field(description="null: an api token asks.")


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
    email: str = Field(description="Lower-case.")
    name: str = Field(examples=["Ada"])


class TokensOut(Output):
    """A pair of tokens for one organization."""

    access_token: str = Field(description="Send it as `Authorization: Bearer …`.")
    token_type: Literal["Bearer"] = Field(default="Bearer", description="How it is sent.")
    expires_in: int = Field(description="Seconds until the access token is over.")
    refresh_token: str | None = Field(description="None when it was asked for as a cookie.")
    refresh_expires_at: Time = Field(description="When the refresh token, or the login as a whole, is over.")
    organization: OrganizationRef | None = Field(
        description="What the access token opens; null: the person is in none."
    )


class SignupOut(TokensOut):
    """A pair of tokens, and who has signed up."""

    user: UserOut = Field(description="Who has signed up.")


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
    kind: Literal["session", "token"] = Field(description="A person's login, or an api token.")
    user: UserOut | None = Field(description="None: an api token calls.")
    session_id: Annotated[UUID | None, wire("ses")] = Field(description="null: an api token calls.")
    token: TokenRef | None = Field(description="None: a person calls.")
    organization: OrganizationOut | None = Field(description="None: the person is in none, or has opened none.")
    role: Role | None = Field(description="null: an api token calls, or no organization is open.")
    permissions: list[str]
    narrowing: NarrowingOut = Field(description="How far it reaches.")


class MemberOut(Output):
    """A member of the organization."""

    id: Annotated[UUID, wire("mem")]
    object: Literal["member"] = "member"
    user: UserOut = Field(description="Who it is.")
    role: Role = Field(description="`owner`, `admin`, `member` or `viewer`.")
    created_at: Time
    updated_at: Time


class MemberPatch(Input):
    """A member's new role."""

    role: Role = Field(strict=False, description="At most one's own; only owners make owners.")


class RoleOut(Output):
    """A role and everything it may do."""

    name: Role
    object: Literal["role"] = "role"
    permissions: list[str]
