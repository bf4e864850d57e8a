"""Shapes of app environments. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from kovra.client.models.apps import AppOut
from kovra.client.models.environments import EnvironmentOut
from kovra.client.models.projects import ProjectOut


class AppEnvironmentOut(TypedDict):
    """An app in an environment."""

    id: str
    object: Literal["app_environment"]
    project_id: str
    app_id: str
    environment_id: str
    url: str | None
    scale: dict[str, int]
    overlap_policy: Literal["queue_latest", "queue_all", "override", "reject"]
    watch_window_s: int
    auto_rollback: bool
    auto_deploy_paused: bool
    suspended: bool
    config_revision: int
    current_release: ReleaseRef | None
    current_deployment_id: str | None
    health: str
    created_at: str
    updated_at: str
    project: NotRequired[ProjectOut | None]
    """Only when it was asked for with `include`."""
    app: NotRequired[AppOut | None]
    """Only when it was asked for with `include`."""
    environment: NotRequired[EnvironmentOut | None]
    """Only when it was asked for with `include`."""


class AppEnvironmentPatch(TypedDict):
    """What to change."""

    scale: NotRequired[dict[str, int] | None]
    overlap_policy: NotRequired[Literal["queue_latest", "queue_all", "override", "reject"] | None]
    """null: as the environment says."""
    watch_window_s: NotRequired[int | None]
    auto_rollback: NotRequired[bool | None]
    auto_deploy_paused: NotRequired[bool | None]


class ListOfAppEnvironmentOut(TypedDict):
    """ListOfAppEnvironmentOut."""

    data: list[AppEnvironmentOut]
    next: str | None
    has_more: bool


class ReleaseRef(TypedDict):
    """The release that serves."""

    id: str
    number: int
    image: str
    digest: str
