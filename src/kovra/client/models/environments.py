"""Shapes of environments. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict

from kovra.client.models.projects import ProjectOut


class EnvironmentIn(TypedDict):
    """A new environment."""

    project: str
    name: str
    slug: NotRequired[str | None]
    kind: NotRequired[Literal["development", "preview", "staging", "production"]]
    protected: NotRequired[bool]
    """Changing what runs here needs environments:use_protected."""
    delete_protected: NotRequired[bool]
    overlap_policy: NotRequired[Literal["queue_latest", "queue_all", "override", "reject"]]


class EnvironmentOut(TypedDict):
    """An environment."""

    id: str
    object: Literal["environment"]
    project_id: str
    name: str
    slug: str
    kind: Literal["development", "preview", "staging", "production"]
    protected: bool
    delete_protected: bool
    overlap_policy: Literal["queue_latest", "queue_all", "override", "reject"]
    created_at: str
    updated_at: str
    deleted_at: str | None
    purge_at: str | None
    project: NotRequired[ProjectOut | None]
    """Only when it was asked for with `include`."""


class EnvironmentPatch(TypedDict):
    """What to change."""

    name: NotRequired[str | None]
    kind: NotRequired[Literal["development", "preview", "staging", "production"] | None]
    protected: NotRequired[bool | None]
    delete_protected: NotRequired[bool | None]
    overlap_policy: NotRequired[Literal["queue_latest", "queue_all", "override", "reject"] | None]


class ListOfEnvironmentOut(TypedDict):
    """ListOfEnvironmentOut."""

    data: list[EnvironmentOut]
    next: str | None
    has_more: bool


ListEnvironmentsSort: TypeAlias = Literal["-created_at", "created_at", "-name", "name", "-slug", "slug"]
"""The order; a minus: falling."""
