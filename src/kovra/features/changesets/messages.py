"""Facts about change sets, and the job that plans one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kovra.foundation.events import Event, event
from kovra.foundation.jobs.messages import Job


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSetCreated(Event):
    """Somebody asked what a wanted state would change."""

    type: ClassVar[str] = "change_set.created"
    prefix: ClassVar[str] = "cs"
    environment_id: str
    prune: bool


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSetPlanned(Event):
    """What a change set would change is known."""

    type: ClassVar[str] = "change_set.planned"
    prefix: ClassVar[str] = "cs"
    environment_id: str
    changes: int
    deploys: list[str]


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSetFailed(Event):
    """What is wanted cannot be had; ``code`` says why."""

    type: ClassVar[str] = "change_set.failed"
    prefix: ClassVar[str] = "cs"
    environment_id: str
    code: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSetApplied(Event):
    """A change set was applied: all of it, in one transaction, and these deployments were started."""

    type: ClassVar[str] = "change_set.applied"
    prefix: ClassVar[str] = "cs"
    environment_id: str
    changes: int
    deployment_ids: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanChangeSet(Job):
    """Find out what a change set would change, here and in the cluster."""

    name: ClassVar[str] = "changesets.plan"
    timeout_s: ClassVar[float] = 60.0
    max_attempts: ClassVar[int] = 5

    def lock(self) -> str:
        """One at a time each."""
        return f"cs:{self.id}"
