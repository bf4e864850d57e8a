"""Shapes of facts projects. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import TypedDict


class AppCreated(TypedDict):
    """An app was made."""

    project_id: str
    slug: str


class AppDeleted(TypedDict):
    """An app was deleted; until `purge_at` it can be restored."""

    slug: str
    purge_at: str


class AppEnvironmentMaintenanceChanged(TypedDict):
    """The address of an app answers with the page for maintenance from now on, or no more."""

    maintenance: bool


class AppEnvironmentUpdated(TypedDict):
    """How an app runs in an environment changed."""

    changed: list[str]


class AppRestored(TypedDict):
    """A deleted app was restored."""

    slug: str


class AppUpdated(TypedDict):
    """An app changed; it takes effect with the next deployment."""

    changed: list[str]


class EnvironmentCreated(TypedDict):
    """An environment was made."""

    project_id: str
    slug: str
    kind: str
    protected: bool


class EnvironmentDeleted(TypedDict):
    """An environment was deleted; until `purge_at` it can be restored."""

    slug: str
    purge_at: str


class EnvironmentRestored(TypedDict):
    """A deleted environment was restored."""

    slug: str


class EnvironmentUpdated(TypedDict):
    """An environment changed."""

    changed: list[str]


class ProjectCreated(TypedDict):
    """A project was made."""

    name: str
    slug: str


class ProjectDeleted(TypedDict):
    """A project was deleted; until `purge_at` it can be restored."""

    slug: str
    purge_at: str


class ProjectRestored(TypedDict):
    """A deleted project was restored."""

    slug: str


class ProjectUpdated(TypedDict):
    """A project's name or description changed."""

    changed: list[str]
