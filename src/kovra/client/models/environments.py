"""Shapes of environments. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict

from kovra.client.models.projects import ProjectOut


class EnvironmentIn(TypedDict):
    """A new environment."""

    project: str
    """Id or slug."""
    name: str
    """For people to read."""
    slug: NotRequired[str | None]
    """Default: made of the name."""
    kind: NotRequired[Literal["development", "preview", "staging", "production"]]
    """What it is for."""
    protected: NotRequired[bool]
    """Changing what runs here needs environments:use_protected."""
    delete_protected: NotRequired[bool]
    """While true it cannot be deleted."""
    overlap_policy: NotRequired[Literal["queue_latest", "queue_all", "override", "reject"]]
    """What a deployment does that meets another one: wait and make way for later ones, wait its turn, call the other
    one off, or be refused.
    """


class EnvironmentOut(TypedDict):
    """An environment."""

    id: str
    """Its id, for ever."""
    object: Literal["environment"]
    """What kind of object this is."""
    project_id: str
    """The project it belongs to."""
    name: str
    """For people to read."""
    slug: str
    """For people to type; unique among its like."""
    kind: Literal["development", "preview", "staging", "production"]
    """What it is for."""
    protected: bool
    """Changing what runs here needs environments:use_protected."""
    delete_protected: bool
    """While true it cannot be deleted."""
    overlap_policy: Literal["queue_latest", "queue_all", "override", "reject"]
    """For app environments that say nothing themselves."""
    created_at: str
    """When it was made."""
    updated_at: str
    """When it last changed."""
    deleted_at: str | None
    """When it was deleted; null: it is not."""
    purge_at: str | None
    """Until then it can be restored; null: it is not deleted."""
    project: NotRequired[ProjectOut | None]
    """Only when it was asked for with `include`."""


class EnvironmentPatch(TypedDict):
    """What to change."""

    name: NotRequired[str | None]
    """For people to read."""
    kind: NotRequired[EnvironmentPatchKind]
    """What it is for."""
    protected: NotRequired[bool | None]
    """Changing what runs here needs environments:use_protected."""
    delete_protected: NotRequired[bool | None]
    """While true it cannot be deleted."""
    overlap_policy: NotRequired[EnvironmentPatchOverlapPolicy]
    """For app environments that say nothing themselves."""


class ListOfEnvironmentOut(TypedDict):
    """ListOfEnvironmentOut."""

    data: list[EnvironmentOut]
    """The objects of this page."""
    next: str | None
    """The `cursor` of the next page; null: there is none."""
    has_more: bool
    """Whether there is another page."""


EnvironmentPatchKind: TypeAlias = Literal["development", "preview", "staging", "production"] | None
"""What it is for."""

EnvironmentPatchOverlapPolicy: TypeAlias = Literal["queue_latest", "queue_all", "override", "reject"] | None
"""For app environments that say nothing themselves."""

ListEnvironmentsSort: TypeAlias = Literal["-created_at", "created_at", "-name", "name", "-slug", "slug"]
"""The order; a minus: falling."""
