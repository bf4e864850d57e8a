"""Rows of projects, environments, apps and app environments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from kovra.foundation.events import Scope


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """A project."""

    id: UUID
    name: str
    slug: str
    description: str
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    purge_at: datetime | None

    @property
    def scope(self) -> Scope:
        """Where facts about it belong."""
        return Scope(project_id=self.id)


@dataclass(frozen=True, slots=True)
class EnvironmentRow:
    """An environment."""

    id: UUID
    project_id: UUID
    name: str
    slug: str
    kind: str
    protected: bool
    delete_protected: bool
    overlap_policy: str
    cluster_id: UUID | None
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    purge_at: datetime | None

    @property
    def scope(self) -> Scope:
        """Where facts about it belong."""
        return Scope(project_id=self.project_id, environment_id=self.id)


@dataclass(frozen=True, slots=True)
class AppRow:
    """An app."""

    id: UUID
    project_id: UUID
    name: str
    slug: str
    image: str | None
    processes: dict[str, Any]
    release_command: list[str] | None
    drain_s: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    purge_at: datetime | None

    @property
    def scope(self) -> Scope:
        """Where facts about it belong."""
        return Scope(project_id=self.project_id, app_id=self.id)


@dataclass(frozen=True, slots=True)
class AppEnvironmentRow:
    """An app in an environment, with what both parents say."""

    id: UUID
    project_id: UUID
    app_id: UUID
    environment_id: UUID
    app_slug: str
    app_image: str | None
    environment_slug: str
    has_web: bool
    environment_kind: str
    cluster_domain: str | None
    """Below which apps on a cluster of the organization's own answer, where that has a domain."""
    protected: bool
    environment_overlap_policy: str
    scale: dict[str, int]
    overlap_policy: str | None
    watch_window_s: int
    auto_rollback: bool
    suspended: bool
    auto_deploy_paused: bool
    drift_policy: str
    exposure: str
    egress: str | None
    maintenance: bool
    rollout: dict[str, Any]
    last_config_number: int
    last_release_number: int
    last_deployment_number: int
    current_release_id: UUID | None
    current_release_number: int | None
    current_release_image: str | None
    current_release_digest: str | None
    current_deployment_id: UUID | None
    health: str
    watch_until: datetime | None
    inventory: list[dict[str, str]]
    seen: dict[str, Any]
    created_at: datetime
    updated_at: datetime

    @property
    def scope(self) -> Scope:
        """Where facts about it belong."""
        return Scope(project_id=self.project_id, app_id=self.app_id, environment_id=self.environment_id)

    @property
    def egress_in_force(self) -> str:
        """Its own; or, where it has none, what goes with its exposure."""
        return self.egress or ("internet" if self.exposure == "public" else "none")

    @property
    def reach(self) -> str:
        """Who reaches it and whom it reaches, as its pods are labeled."""
        return f"{self.exposure} {self.egress_in_force}"

    @property
    def environment_scope(self) -> Scope:
        """Where facts about its environment belong."""
        return Scope(project_id=self.project_id, environment_id=self.environment_id)


@dataclass(frozen=True, slots=True)
class PairRow:
    """Which app in which environment."""

    app_id: UUID
    environment_id: UUID


@dataclass(frozen=True, slots=True)
class Id:
    """Only an id."""

    id: UUID
