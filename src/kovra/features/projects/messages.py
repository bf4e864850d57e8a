"""Facts about projects, environments and apps, and the work their deletion asks of the deployments above."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kovra.foundation.events import Event, event
from kovra.foundation.jobs.messages import Job


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectCreated(Event):
    """A project was made."""

    type: ClassVar[str] = "project.created"
    prefix: ClassVar[str] = "prj"
    name: str
    slug: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectUpdated(Event):
    """A project's name or description changed."""

    type: ClassVar[str] = "project.updated"
    prefix: ClassVar[str] = "prj"
    changed: list[str]


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectDeleted(Event):
    """A project was deleted; until ``purge_at`` it can be restored."""

    type: ClassVar[str] = "project.deleted"
    prefix: ClassVar[str] = "prj"
    slug: str
    purge_at: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectRestored(Event):
    """A deleted project was restored."""

    type: ClassVar[str] = "project.restored"
    prefix: ClassVar[str] = "prj"
    slug: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentCreated(Event):
    """An environment was made."""

    type: ClassVar[str] = "environment.created"
    prefix: ClassVar[str] = "env"
    project_id: str
    slug: str
    kind: str
    protected: bool


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentUpdated(Event):
    """An environment changed."""

    type: ClassVar[str] = "environment.updated"
    prefix: ClassVar[str] = "env"
    changed: list[str]


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentDeleted(Event):
    """An environment was deleted; until ``purge_at`` it can be restored."""

    type: ClassVar[str] = "environment.deleted"
    prefix: ClassVar[str] = "env"
    slug: str
    purge_at: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentRestored(Event):
    """A deleted environment was restored."""

    type: ClassVar[str] = "environment.restored"
    prefix: ClassVar[str] = "env"
    slug: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class AppCreated(Event):
    """An app was made."""

    type: ClassVar[str] = "app.created"
    prefix: ClassVar[str] = "app"
    project_id: str
    slug: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class AppUpdated(Event):
    """An app changed; it takes effect with the next deployment."""

    type: ClassVar[str] = "app.updated"
    prefix: ClassVar[str] = "app"
    changed: list[str]


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class AppDeleted(Event):
    """An app was deleted; until ``purge_at`` it can be restored."""

    type: ClassVar[str] = "app.deleted"
    prefix: ClassVar[str] = "app"
    slug: str
    purge_at: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class AppRestored(Event):
    """A deleted app was restored."""

    type: ClassVar[str] = "app.restored"
    prefix: ClassVar[str] = "app"
    slug: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class AppEnvironmentUpdated(Event):
    """How an app runs in an environment changed."""

    type: ClassVar[str] = "app_environment.updated"
    prefix: ClassVar[str] = "aev"
    changed: list[str]


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceChanged(Event):
    """The address of an app answers with the page for maintenance from now on, or no more."""

    type: ClassVar[str] = "app_environment.maintenance_changed"
    prefix: ClassVar[str] = "aev"
    maintenance: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RetireAppEnvironment(Job):
    """Take what an app environment runs out of the cluster; its rows and config stay."""

    name: ClassVar[str] = "projects.retire_app_environment"
    priority: ClassVar[int] = 5

    def lock(self) -> str:
        """In order with its deployments."""
        return f"aev:{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviveAppEnvironment(Job):
    """Put the last live release of a restored app environment back."""

    name: ClassVar[str] = "projects.revive_app_environment"
    priority: ClassVar[int] = -5
    """Deployments, which do the same and more, go first and do not wait for its next attempt."""

    def lock(self) -> str:
        """In order with its deployments."""
        return f"aev:{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteAppEnvironment(Job):
    """Make the way to an app what is wanted now, at once; and its instances, as soon as no deployment is under way."""

    name: ClassVar[str] = "projects.route_app_environment"
    priority: ClassVar[int] = 5

    def lock(self) -> str:
        """In order with its deployments."""
        return f"aev:{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeEnvironment(Job):
    """Remove a deleted environment's namespace and rows for good."""

    name: ClassVar[str] = "projects.purge_environment"
    priority: ClassVar[int] = -10
    """Nobody waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeApp(Job):
    """Remove a deleted app's rows for good."""

    name: ClassVar[str] = "projects.purge_app"
    priority: ClassVar[int] = -10


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeProject(Job):
    """Remove a deleted project's environments, apps and rows for good."""

    name: ClassVar[str] = "projects.purge_project"
    priority: ClassVar[int] = -10
