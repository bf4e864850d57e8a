"""Shapes of apps. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

from kovra.client.models.projects import ProjectOut


class AppIn(TypedDict):
    """A new app."""

    project: str
    name: str
    slug: NotRequired[str | None]
    image: NotRequired[str | None]
    processes: NotRequired[dict[str, ProcessIn] | None]
    """Default: web on port 8080."""
    release_command: NotRequired[list[str] | None]
    """Runs once before each rollout."""
    drain_s: NotRequired[int]


class AppOut(TypedDict):
    """An app."""

    id: str
    object: Literal["app"]
    project_id: str
    name: str
    slug: str
    image: str | None
    processes: dict[str, Any]
    release_command: list[str] | None
    drain_s: int
    created_at: str
    updated_at: str
    deleted_at: str | None
    purge_at: str | None
    project: NotRequired[ProjectOut | None]
    """Only when it was asked for with `include`."""


class AppPatch(TypedDict):
    """What to change; null removes where null is allowed."""

    name: NotRequired[str | None]
    image: NotRequired[str | None]
    processes: NotRequired[dict[str, ProcessIn] | None]
    release_command: NotRequired[list[str] | None]
    drain_s: NotRequired[int | None]


class CheckIn(TypedDict):
    """A health check: by HTTP path, by TCP connect (neither given), or by a command in the container."""

    path: NotRequired[str | None]
    port: NotRequired[int | None]
    """Default: the process's port."""
    command: NotRequired[list[str] | None]
    initial_delay_s: NotRequired[int]
    period_s: NotRequired[int]
    timeout_s: NotRequired[int]
    failures: NotRequired[int]


class ChecksIn(TypedDict):
    """The three health checks of Kubernetes."""

    startup: NotRequired[CheckIn | None]
    readiness: NotRequired[CheckIn | None]
    liveness: NotRequired[CheckIn | None]


class ListOfAppOut(TypedDict):
    """ListOfAppOut."""

    data: list[AppOut]
    next: str | None
    has_more: bool


class ProcessIn(TypedDict):
    """One kind of process of an app."""

    command: NotRequired[list[str] | None]
    """Default: the image's own."""
    port: NotRequired[int | None]
    """Where it listens."""
    instances: NotRequired[int]
    size: NotRequired[Literal["nano", "micro", "small", "medium", "large"]]
    checks: NotRequired[ChecksIn | None]
    run_as_user: NotRequired[int | None]
    """Needed for images whose user is root or a name."""


ListAppsSort: TypeAlias = Literal["-created_at", "created_at", "-name", "name", "-slug", "slug"]
"""The order; a minus: falling."""
