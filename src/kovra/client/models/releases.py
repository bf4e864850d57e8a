"""Shapes of releases. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from kovra.client.models.app_environments import AppEnvironmentOut


class ListOfReleaseOut(TypedDict):
    """ListOfReleaseOut."""

    data: list[ReleaseOut]
    """The objects of this page."""
    next: str | None
    """The `cursor` of the next page; null: there is none."""
    has_more: bool
    """Whether there is another page."""


class ReleaseOut(TypedDict):
    """A release."""

    id: str
    """Its id, for ever."""
    object: Literal["release"]
    """What kind of object this is."""
    app_environment_id: str
    """The app environment it belongs to."""
    number: int
    """Counts up within the app environment."""
    image: str
    """The reference as it was given."""
    digest: str
    """What that reference named."""
    runs_from: str
    """The reference that pods run, by digest: of the same repository, or of the platform's copy of it."""
    config_revision: int
    """The config it runs with."""
    processes: dict[str, Any]
    """By name, as the app had them."""
    release_command: list[str] | None
    """Runs once before its rollout."""
    warnings: list[str]
    """What was noticed about the image."""
    copied_from: str | None
    """The release whose image this one repeats."""
    actor: str
    """Who did it: the id of a person or an api token, or `system`."""
    created_at: str
    """When it was made."""
    rollbackable: RollbackableOut | None
    """Whether one can go back to it; null: in lists."""
    app_environment: NotRequired[AppEnvironmentOut | None]
    """Only when it was asked for with `include`."""


class RollbackableOut(TypedDict):
    """Whether a release can be rolled back to."""

    value: bool
    """Whether it can."""
    reasons: list[str]
    """What is in the way."""
