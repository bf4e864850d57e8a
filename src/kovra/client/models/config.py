"""Shapes of config. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from kovra.client.models.app_environments import AppEnvironmentOut
from kovra.client.models.apps import AppOut
from kovra.client.models.environments import EnvironmentOut


class ConfigIn(TypedDict):
    """A map of changes: null removes (PATCH), or the whole set (PUT)."""

    vars: dict[str, str | None]


class ConfigOut(TypedDict):
    """The newest config revision: vars in the clear, secrets by version."""

    object: Literal["config"]
    app_environment_id: str
    revision: int
    vars: dict[str, str]
    secrets: dict[str, int]


class DeploymentOut(TypedDict):
    """A deployment."""

    id: str
    object: Literal["deployment"]
    app_id: str
    environment_id: str
    app_environment_id: str
    number: int
    source: dict[str, Any]
    release: ReleaseFace | None
    previous_release_id: str | None
    trigger: str
    actor: str
    message: str
    phase: str
    outcome: str | None
    reason: ReasonOut | None
    restored_release: str | None
    waiting_for: str | None
    phases: list[PhaseOut]
    instances: dict[str, InstancesOut] | None
    """By process, as the cluster last showed them; null before `verifying`."""
    queue: QueueOut | None
    deadline_at: str | None
    created_at: str
    updated_at: str
    finished_at: str | None
    app: NotRequired[AppOut | None]
    """Only when it was asked for with `include`."""
    environment: NotRequired[EnvironmentOut | None]
    """Only when it was asked for with `include`."""
    app_environment: NotRequired[AppEnvironmentOut | None]
    """Only when it was asked for with `include`."""


class InstancesOut(TypedDict):
    """How far a process of a deployment's release has come."""

    ready: int
    wanted: int


class PhaseOut(TypedDict):
    """A phase with its times."""

    name: str
    started_at: str
    ended_at: str | None


class QueueOut(TypedDict):
    """Its place in the queue."""

    position: int
    blocked_by: str | None


class ReasonOut(TypedDict):
    """Why a deployment ended as it did."""

    code: str
    phase: str
    message: str
    hint: str
    evidence: list[str]


class ReleaseFace(TypedDict):
    """A release in a deployment."""

    id: str
    number: int
    image: str
    digest: str
