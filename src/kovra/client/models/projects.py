"""Shapes of projects. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict


class ListOfProjectOut(TypedDict):
    """ListOfProjectOut."""

    data: list[ProjectOut]
    next: str | None
    has_more: bool


class ProjectIn(TypedDict):
    """A new project."""

    name: str
    slug: NotRequired[str | None]
    description: NotRequired[str]


class ProjectOut(TypedDict):
    """A project."""

    id: str
    object: Literal["project"]
    name: str
    slug: str
    description: str
    created_at: str
    updated_at: str
    deleted_at: str | None
    purge_at: str | None


class ProjectPatch(TypedDict):
    """What to change."""

    name: NotRequired[str | None]
    description: NotRequired[str | None]


ListProjectsSort: TypeAlias = Literal["-created_at", "created_at", "-name", "name", "-slug", "slug"]
"""The order; a minus: falling."""
