"""Facts about drift and isolation, and the jobs that look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from kovra.foundation.events import Event, event
from kovra.foundation.jobs.messages import Job


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class AppEnvironmentDrifted(Event):
    """Objects of an app were changed in the cluster, by something other than Kovra: kinds, names, paths; never a secret."""

    type: ClassVar[str] = "app_environment.drifted"
    prefix: ClassVar[str] = "aev"
    items: list[dict[str, Any]]


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class AppEnvironmentDriftRestored(Event):
    """Objects of an app were put back as they were applied."""

    type: ClassVar[str] = "app_environment.drift_restored"
    prefix: ClassVar[str] = "aev"
    items: list[dict[str, Any]]


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentDrifted(Event):
    """Walls of an environment were changed in the cluster, by something other than Kovra."""

    type: ClassVar[str] = "environment.drifted"
    prefix: ClassVar[str] = "env"
    items: list[dict[str, Any]]


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentDriftRestored(Event):
    """Walls of an environment stand again."""

    type: ClassVar[str] = "environment.drift_restored"
    prefix: ClassVar[str] = "env"
    items: list[dict[str, Any]]


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class IsolationProven(Event):
    """A pod inside an environment tried to connect, and reached what it may and nothing else."""

    type: ClassVar[str] = "isolation.proven"
    prefix: ClassVar[str] = "env"
    isolation_proof_id: str
    attempts: list[dict[str, Any]]
    simulated: bool


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class IsolationBroken(Event):
    """A pod inside an environment reached what it may not, or did not reach what it needs."""

    type: ClassVar[str] = "isolation.broken"
    prefix: ClassVar[str] = "env"
    isolation_proof_id: str
    attempts: list[dict[str, Any]]
    simulated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckDrift(Job):
    """Compare what an app runs in the cluster with what was put there."""

    name: ClassVar[str] = "drift.check"
    priority: ClassVar[int] = -5
    """Whatever people wait for goes first."""

    def lock(self) -> str:
        """In order with its deployments."""
        return f"aev:{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckWalls(Job):
    """Compare what stands around an environment with what has to, and raise it again; ``id`` is the environment's."""

    name: ClassVar[str] = "drift.check_walls"

    def lock(self) -> str:
        """One at a time."""
        return f"walls:{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProveIsolation(Job):
    """Do the next step of a proof: start its pod, or read what it found; ``id`` is the proof's."""

    name: ClassVar[str] = "drift.prove_isolation"
    environment_id: UUID | None = None
    """For the lock alone; not part of the payload."""

    def lock(self) -> str | None:
        """One proof of an environment at a time."""
        return f"proof:{self.environment_id}" if self.environment_id else None
