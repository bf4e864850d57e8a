"""Shapes of tokens. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict


class ListOfTokenOut(TypedDict):
    """ListOfTokenOut."""

    data: list[TokenOut]
    """The objects of this page."""
    next: str | None
    """The `cursor` of the next page; null: there is none."""
    has_more: bool
    """Whether there is another page."""


class TokenCreatedOut(TypedDict):
    """A fresh api token with its secret, shown this once."""

    id: str
    """Its id, for ever."""
    object: Literal["token"]
    """What kind of object this is."""
    name: str
    """For people to read."""
    permissions: list[str]
    """Everything it may do."""
    project_id: str | None
    """Reaches this project alone; null: all."""
    app_id: str | None
    """Reaches this app alone; null: all."""
    environment_id: str | None
    """Reaches this environment alone; null: all."""
    created_by: str | None
    """None: another api token made it."""
    creator: str
    """The name of who made it."""
    creator_left: bool
    """Its creator is no longer a member. It still works: keep it knowingly, or revoke it."""
    created_at: str
    """When it was made."""
    expires_at: str | None
    """null: until it is revoked."""
    last_used_at: str | None
    """Exact to a minute."""
    token: str
    """The credential. It cannot be shown again."""


class TokenIn(TypedDict):
    """A new api token."""

    name: str
    """For people to read."""
    permissions: list[Permission]
    """At most what the caller holds; a narrowed token takes only what lies in projects."""
    project: NotRequired[str | None]
    """Narrow to this project (id or slug)."""
    app: NotRequired[str | None]
    """Narrow to this app (id, or slug with `project`), and so to its project."""
    environment: NotRequired[str | None]
    """Narrow to this environment (id, or slug with `project`), and so to its project."""
    expires_at: NotRequired[str | None]
    """None: until it is revoked."""


class TokenOut(TypedDict):
    """An api token; its secret is in the answer to its creation alone."""

    id: str
    """Its id, for ever."""
    object: Literal["token"]
    """What kind of object this is."""
    name: str
    """For people to read."""
    permissions: list[str]
    """Everything it may do."""
    project_id: str | None
    """Reaches this project alone; null: all."""
    app_id: str | None
    """Reaches this app alone; null: all."""
    environment_id: str | None
    """Reaches this environment alone; null: all."""
    created_by: str | None
    """None: another api token made it."""
    creator: str
    """The name of who made it."""
    creator_left: bool
    """Its creator is no longer a member. It still works: keep it knowingly, or revoke it."""
    created_at: str
    """When it was made."""
    expires_at: str | None
    """null: until it is revoked."""
    last_used_at: str | None
    """Exact to a minute."""


Permission: TypeAlias = Literal[
    "organizations:read",
    "organizations:update",
    "organizations:delete",
    "members:read",
    "members:manage",
    "members:manage_owners",
    "tokens:read",
    "tokens:manage",
    "keys:read",
    "keys:rotate",
    "projects:read",
    "projects:create",
    "projects:update",
    "projects:delete",
    "environments:read",
    "environments:create",
    "environments:update",
    "environments:delete",
    "environments:use_protected",
    "apps:read",
    "apps:create",
    "apps:update",
    "apps:delete",
    "config:read",
    "config:write",
    "secrets:read",
    "secrets:write",
    "deployments:read",
    "deployments:create",
    "runs:read",
    "runs:create",
    "logs:read",
    "shells:open",
    "events:read",
    "registries:read",
    "registries:manage",
    "clusters:read",
    "clusters:manage",
    "clusters:accept_risk",
    "webhooks:manage",
    "billing:manage",
]
"""One right, written ``<plural>:<verb>`` on the wire."""
