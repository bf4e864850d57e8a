"""Facts about releases and deployments, and the jobs that advance them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from kovra.foundation.events import Event, event
from kovra.foundation.jobs.messages import Job


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRequested(Event):
    """A deployment was accepted."""

    type: ClassVar[str] = "deployment.requested"
    prefix: ClassVar[str] = "dep"
    app_environment_id: str
    source: dict[str, Any]
    trigger: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentMoved(Event):
    """A deployment entered a phase."""

    type: ClassVar[str] = "deployment.moved"
    prefix: ClassVar[str] = "dep"
    app_environment_id: str
    phase: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentProgressed(Event):
    """More of a deployment's instances are ready than ever before in it, by process: ``{"web": {"ready", "wanted"}}``."""

    type: ClassVar[str] = "deployment.progressed"
    prefix: ClassVar[str] = "dep"
    app_environment_id: str
    instances: dict[str, dict[str, int]]


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCopied(Event):
    """A deployment's image was copied into the platform's mirror, from where its pods run it."""

    type: ClassVar[str] = "deployment.image_copied"
    prefix: ClassVar[str] = "dep"
    app_environment_id: str
    image: str
    runs_from: str
    size_bytes: int


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentFinished(Event):
    """A deployment ended; ``outcome`` is final."""

    type: ClassVar[str] = "deployment.finished"
    prefix: ClassVar[str] = "dep"
    app_environment_id: str
    outcome: str
    code: str | None
    release_id: str | None
    restored_release_id: str | None


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentCancelRequested(Event):
    """Somebody asked for a deployment to stop."""

    type: ClassVar[str] = "deployment.cancel_requested"
    prefix: ClassVar[str] = "dep"
    app_environment_id: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryStepped(Event):
    """A canary gets its share of the requests: step ``step`` of ``steps``, ``weight`` of a hundred."""

    type: ClassVar[str] = "deployment.canary_stepped"
    prefix: ClassVar[str] = "dep"
    app_environment_id: str
    step: int
    steps: int
    weight: int


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentPromoteRequested(Event):
    """Somebody asked for a canary to take over without its further steps."""

    type: ClassVar[str] = "deployment.promote_requested"
    prefix: ClassVar[str] = "dep"
    app_environment_id: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseCreated(Event):
    """A release was written; it never changes."""

    type: ClassVar[str] = "release.created"
    prefix: ClassVar[str] = "rel"
    app_environment_id: str
    number: int
    image: str
    digest: str
    config_revision: int
    copied_from: str | None


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class HealthChanged(Event):
    """What serves is watched, stable, degraded or suspended."""

    type: ClassVar[str] = "app_environment.health_changed"
    prefix: ClassVar[str] = "aev"
    before: str
    after: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentPurged(Event):
    """A deleted environment's namespace and rows are gone for good."""

    type: ClassVar[str] = "environment.purged"
    prefix: ClassVar[str] = "env"
    slug: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class AppPurged(Event):
    """A deleted app's rows are gone for good."""

    type: ClassVar[str] = "app.purged"
    prefix: ClassVar[str] = "app"
    slug: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectPurged(Event):
    """A deleted project and everything in it is gone for good."""

    type: ClassVar[str] = "project.purged"
    prefix: ClassVar[str] = "prj"
    slug: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRemovalRequested(Event):
    """Somebody asked for a volume to be removed, with what is in it."""

    type: ClassVar[str] = "volume.removal_requested"
    prefix: ClassVar[str] = "vol"
    app_environment_id: str
    process: str
    name: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRemoved(Event):
    """A volume is gone for good, with what was in it."""

    type: ClassVar[str] = "volume.removed"
    prefix: ClassVar[str] = "vol"
    app_environment_id: str
    process: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveVolume(Job):
    """Remove a volume that nothing mounts."""

    name: ClassVar[str] = "deployments.remove_volume"

    app_environment_id: UUID | None = None
    """For the lock alone; not part of the payload."""

    def lock(self) -> str | None:
        """In order with its app environment's deployments."""
        return f"aev:{self.app_environment_id}" if self.app_environment_id else None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvanceDeployment(Job):
    """Do the next step of a deployment; one that finds nothing to do ends at once."""

    name: ClassVar[str] = "deployments.advance"
    timeout_s: ClassVar[float] = 45.0
    """The step itself ends earlier; this is for what surrounds it."""
    max_attempts: ClassVar[int] = 8

    app_environment_id: UUID | None = None
    """For the lock alone; not part of the payload."""

    def lock(self) -> str | None:
        """One step at a time per app environment."""
        return f"aev:{self.app_environment_id}" if self.app_environment_id else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelDeployment(Job):
    """The step that notices a wish to cancel; it overtakes waiting steps."""

    name: ClassVar[str] = "deployments.cancel"
    priority: ClassVar[int] = 10
    timeout_s: ClassVar[float] = 45.0
    max_attempts: ClassVar[int] = 8

    app_environment_id: UUID | None = None

    def lock(self) -> str | None:
        """In order with the steps."""
        return f"aev:{self.app_environment_id}" if self.app_environment_id else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReapplyRelease(Job):
    """Make the cluster run what is current: it has lost it, or could not be put right when a deployment ended."""

    name: ClassVar[str] = "deployments.reapply"
    priority: ClassVar[int] = -5
    """Deployments, which do the same and more, go first and do not wait for its next attempt."""

    def lock(self) -> str:
        """In order with its deployments."""
        return f"aev:{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckHealth(Job):
    """Look at what serves: when something of it changes within its watch window, and when that ends."""

    name: ClassVar[str] = "deployments.check_health"


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewPull(Job):
    """Write the pull Secret of what runs in an app environment anew, if its password comes from a role."""

    name: ClassVar[str] = "deployments.renew_pull"

    def lock(self) -> str:
        """In order with the deployments of the app environment, which write and remove the same Secret."""
        return f"aev:{self.id}"
