"""Shapes of runs. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from kovra.client.models.config import ReleaseFace


class ListOfRunOut(TypedDict):
    """ListOfRunOut."""

    data: list[RunOut]
    next: str | None
    has_more: bool


class RunIn(TypedDict):
    """What to run, and where."""

    app_environment: str
    """App environment id."""
    command: list[str]
    """Its words are handed over as they are: no shell takes them apart."""
    release: NotRequired[str | int | None]
    """By id or number. Default: the one that is live."""
    size: NotRequired[Literal["nano", "micro", "small", "medium", "large"]]
    time_limit_s: NotRequired[int]
    """After so many seconds, the pulling of its image included, it is ended."""
    env: NotRequired[dict[str, str]]
    """More environment variables, over those of the release. No secrets: they are shown to whoever may read runs."""
    trigger: NotRequired[Literal["api", "cli", "console", "ci"]]


class RunOut(TypedDict):
    """A run: a command that runs once from a release's image."""

    id: str
    object: Literal["run"]
    app_environment_id: str
    cron_job_id: str | None
    scheduled_for: str | None
    """The time of its cron job's schedule that it stands for."""
    release: ReleaseFace | None
    command: list[str]
    env: dict[str, str]
    size: Literal["nano", "micro", "small", "medium", "large"]
    time_limit_s: int
    trigger: Literal["api", "cli", "console", "ci", "schedule"]
    actor: str
    phase: Literal["queued", "starting", "running", "done"]
    outcome: Literal["succeeded", "failed", "canceled", "timed_out", "skipped"] | None
    exit_code: int | None
    reason: RunReasonOut | None
    waiting_for: str | None
    queue: RunQueueOut | None
    deadline_at: str | None
    created_at: str
    updated_at: str
    started_at: str | None
    finished_at: str | None


class RunQueueOut(TypedDict):
    """Its place in the queue."""

    position: int
    """Open runs of the same app environment before it."""


class RunReasonOut(TypedDict):
    """Why a run ended as it did."""

    code: str
    message: str
    hint: str
    evidence: list[str]
    """What was seen, and the command's last lines."""
