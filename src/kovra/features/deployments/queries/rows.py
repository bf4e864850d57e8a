"""Rows as statements return them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from kovra.foundation.events import Scope


@dataclass(frozen=True, slots=True)
class ReleaseRow:
    """A release; it never changes."""

    id: UUID
    app_environment_id: UUID
    number: int
    image: str
    pinned: str
    digest: str
    config_revision_id: UUID
    config_number: int
    processes: dict[str, Any]
    release_command: list[str] | None
    drain_s: int
    warnings: list[str]
    copied_from_id: UUID | None
    actor: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DeploymentRow:
    """A deployment with its release's face and its place in the queue."""

    id: UUID
    app_environment_id: UUID
    project_id: UUID
    app_id: UUID
    environment_id: UUID
    number: int
    source: dict[str, Any]
    trigger: str
    actor: str
    message: str
    config_revision_id: UUID | None
    release_id: UUID | None
    release_number: int | None
    release_image: str | None
    release_digest: str | None
    previous_release_id: UUID | None
    phase: str
    outcome: str | None
    reason: dict[str, Any] | None
    restored_release_id: UUID | None
    phases: list[dict[str, Any]]
    progress: dict[str, Any]
    cancel_requested_at: datetime | None
    cancel_requested_by: str | None
    deadline_at: datetime | None
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    fence: int
    ahead: int
    blocked_by: UUID | None

    @property
    def scope(self) -> Scope:
        """Where facts about it belong."""
        return Scope(project_id=self.project_id, app_id=self.app_id, environment_id=self.environment_id)


@dataclass(frozen=True, slots=True)
class Id:
    """An id."""

    id: UUID


@dataclass(frozen=True, slots=True)
class Open:
    """An open deployment."""

    id: UUID
    number: int
    phase: str
    source: dict[str, Any]
    cancel_requested_at: datetime | None


@dataclass(frozen=True, slots=True)
class Waiting(Open):
    """An open deployment, and whether it will do all that is asked for now."""

    same: bool


@dataclass(frozen=True, slots=True)
class Numbered:
    """A release that was written: its number, and its config revision's."""

    number: int
    config_number: int


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease taken: every write of the step names its fence."""

    fence: int
