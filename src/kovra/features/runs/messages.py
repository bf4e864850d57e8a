"""Facts about runs and cron jobs, and the jobs that advance them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kovra.foundation.events import Event, event
from kovra.foundation.jobs.messages import Job


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequested(Event):
    """A run was accepted; ``scheduled_for`` is the tick of a cron job that it stands for."""

    type: ClassVar[str] = "run.requested"
    prefix: ClassVar[str] = "run"
    app_environment_id: str
    release_id: str
    cron_job_id: str | None
    scheduled_for: str | None
    trigger: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """The command of a run was started."""

    type: ClassVar[str] = "run.started"
    prefix: ClassVar[str] = "run"
    app_environment_id: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class RunCancelRequested(Event):
    """Somebody asked for a run to stop."""

    type: ClassVar[str] = "run.cancel_requested"
    prefix: ClassVar[str] = "run"
    app_environment_id: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(Event):
    """A run ended, or a tick of a cron job was skipped; ``outcome`` is final."""

    type: ClassVar[str] = "run.finished"
    prefix: ClassVar[str] = "run"
    app_environment_id: str
    cron_job_id: str | None
    outcome: str
    code: str | None
    exit_code: int | None


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class CronJobCreated(Event):
    """A cron job was made."""

    type: ClassVar[str] = "cron_job.created"
    prefix: ClassVar[str] = "crn"
    app_environment_id: str
    name: str
    schedule: str
    time_zone: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class CronJobUpdated(Event):
    """A cron job was changed."""

    type: ClassVar[str] = "cron_job.updated"
    prefix: ClassVar[str] = "crn"
    app_environment_id: str
    changed: list[str]


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class CronJobDeleted(Event):
    """A cron job was deleted; its history stays."""

    type: ClassVar[str] = "cron_job.deleted"
    prefix: ClassVar[str] = "crn"
    app_environment_id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvanceRun(Job):
    """Do the next step of a run; one that finds nothing to do ends at once."""

    name: ClassVar[str] = "runs.advance"
    timeout_s: ClassVar[float] = 45.0
    """The step itself ends earlier; this is for what surrounds it."""
    max_attempts: ClassVar[int] = 8

    def lock(self) -> str:
        """One step at a time per run."""
        return f"run:{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRun(Job):
    """The step that notices a wish to cancel; it overtakes waiting steps."""

    name: ClassVar[str] = "runs.cancel"
    priority: ClassVar[int] = 10
    timeout_s: ClassVar[float] = 45.0
    max_attempts: ClassVar[int] = 8

    def lock(self) -> str:
        """In order with the steps."""
        return f"run:{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TidyRun(Job):
    """Take away what an ended run has left in the cluster, once its lines were read."""

    name: ClassVar[str] = "runs.tidy"
    priority: ClassVar[int] = -5

    def lock(self) -> str:
        """In order with the steps."""
        return f"run:{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FireCronJob(Job):
    """Decide about the ticks of a cron job that are due."""

    name: ClassVar[str] = "runs.fire"

    def lock(self) -> str:
        """One at a time."""
        return f"crn:{self.id}"
