"""Shapes of projects. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict


class ListOfProjectOut(TypedDict):
    """ListOfProjectOut."""

    data: list[ProjectOut]
    """The objects of this page."""
    next: str | None
    """The `cursor` of the next page; null: there is none."""
    has_more: bool
    """Whether there is another page."""


class ProjectIn(TypedDict):
    """A new project."""

    name: str
    """For people to read."""
    slug: NotRequired[str | None]
    """Default: made of the name."""
    description: NotRequired[str]
    """Free text."""


class ProjectOut(TypedDict):
    """A project."""

    id: str
    """Its id, for ever."""
    object: Literal["project"]
    """What kind of object this is."""
    name: str
    """For people to read."""
    slug: str
    """For people to type; unique among its like."""
    description: str
    """Free text."""
    created_at: str
    """When it was made."""
    updated_at: str
    """When it last changed."""
    deleted_at: str | None
    """When it was deleted; null: it is not."""
    purge_at: str | None
    """Until then it can be restored; null: it is not deleted."""


class ProjectPatch(TypedDict):
    """What to change."""

    name: NotRequired[str | None]
    """For people to read."""
    description: NotRequired[str | None]
    """Free text."""


ListProjectsSort: TypeAlias = Literal["-created_at", "created_at", "-name", "name", "-slug", "slug"]
"""The order; a minus: falling."""
