"""Request and response models of sessions and api tokens."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from kovra.foundation.access import Permission
from kovra.foundation.web.fields import Input, Moment, Name, Output, Reference, Time, wire


class SessionOut(Output):
    """One login of the caller."""

    id: Annotated[UUID, wire("ses")]
    object: Literal["session"] = "session"
    current: bool = Field(description="Whether this call comes from it.")
    user_agent: str = Field(description="As the client named itself at the login.")
    ip: str = Field(description="From where it logged in.")
    created_at: Time
    last_used_at: Time = Field(description="When it was last refreshed.")
    expires_at: Time = Field(
        description="It ends then unless it is refreshed before, and 30 days after the login in any case."
    )


class TokenIn(Input):
    """A new api token."""

    name: Name = Field(examples=["ci deploys"])
    permissions: list[Annotated[Permission, Field(strict=False)]] = Field(
        min_length=1,
        max_length=50,
        examples=[["deployments:create"]],
        description="At most what the caller holds; a narrowed token takes only what lies in projects.",
    )
    project: Reference | None = Field(default=None, description="Narrow to this project (id or slug).")
    app: Reference | None = Field(
        default=None, description="Narrow to this app (id, or slug with `project`), and so to its project."
    )
    environment: Reference | None = Field(
        default=None, description="Narrow to this environment (id, or slug with `project`), and so to its project."
    )
    expires_at: Moment | None = Field(default=None, description="None: until it is revoked.")


class TokenOut(Output):
    """An api token; its secret is in the answer to its creation alone."""

    id: Annotated[UUID, wire("tok")]
    object: Literal["token"] = "token"
    name: str = Field(examples=["ci deploys"])
    permissions: list[str]
    project_id: Annotated[UUID | None, wire("prj")]
    app_id: Annotated[UUID | None, wire("app")]
    environment_id: Annotated[UUID | None, wire("env")]
    created_by: Annotated[UUID | None, wire("usr")] = Field(description="None: another api token made it.")
    creator: str = Field(description="The name of who made it.")
    creator_left: bool = Field(
        description="Its creator is no longer a member. It still works: keep it knowingly, or revoke it."
    )
    created_at: Time
    expires_at: Time | None = Field(description="null: until it is revoked.")
    last_used_at: Time | None = Field(description="Exact to a minute.")


class TokenCreatedOut(TokenOut):
    """A fresh api token with its secret, shown this once."""

    token: str = Field(description="The credential. It cannot be shown again.")
