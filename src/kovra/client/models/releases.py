"""Shapes of releases. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from kovra.client.models.app_environments import AppEnvironmentOut


class ListOfReleaseOut(TypedDict):
    """ListOfReleaseOut."""

    data: list[ReleaseOut]
    next: str | None
    has_more: bool


class ReleaseOut(TypedDict):
    """A release."""

    id: str
    object: Literal["release"]
    app_environment_id: str
    number: int
    image: str
    digest: str
    config_revision: int
    processes: dict[str, Any]
    release_command: list[str] | None
    warnings: list[str]
    copied_from: str | None
    actor: str
    created_at: str
    rollbackable: RollbackableOut | None
    app_environment: NotRequired[AppEnvironmentOut | None]
    """Only when it was asked for with `include`."""


class RollbackableOut(TypedDict):
    """Whether a release can be rolled back to."""

    value: bool
    reasons: list[str]
