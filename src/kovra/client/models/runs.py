"""Shapes of runs. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict

from kovra.client.models.config import ReleaseFace


class ListOfRunOut(TypedDict):
    """ListOfRunOut."""

    data: list[RunOut]
    """The objects of this page."""
    next: str | None
    """The `cursor` of the next page; null: there is none."""
    has_more: bool
    """Whether there is another page."""


class RunIn(TypedDict):
    """What to run, and where."""

    app_environment: str
    """App environment id."""
    command: list[str]
    """Its words are handed over as they are: no shell takes them apart."""
    release: NotRequired[str | int | None]
    """By id or number. Default: the one that is live."""
    size: NotRequired[Literal["nano", "micro", "small", "medium", "large"]]
    """What it may use."""
    time_limit_s: NotRequired[int]
    """After so many seconds, the pulling of its image included, it is ended."""
    env: NotRequired[dict[str, str]]
    """More environment variables, over those of the release. No secrets: they are shown to whoever may read runs."""
    trigger: NotRequired[Literal["api", "cli", "console", "ci"]]
    """From where it is asked for."""


class RunOut(TypedDict):
    """A run: a command that runs once from a release's image."""

    id: str
    """Its id, for ever."""
    object: Literal["run"]
    """What kind of object this is."""
    app_environment_id: str
    """The app environment it belongs to."""
    cron_job_id: str | None
    """The cron job that started it."""
    scheduled_for: str | None
    """The time of its cron job's schedule that it stands for."""
    release: ReleaseFace | None
    """Whose image, config and secrets it runs with."""
    command: list[str]
    """What is run."""
    env: dict[str, str]
    """Environment variables besides those of the release."""
    size: Literal["nano", "micro", "small", "medium", "large"]
    """What it may use."""
    time_limit_s: int
    """After so many seconds it is ended."""
    trigger: Literal["api", "cli", "console", "ci", "schedule"]
    """From where it was asked for; `schedule`: by its cron job."""
    actor: str
    """Who did it: the id of a person or an api token, or `system`."""
    phase: RunPhase
    """queued → starting → running → done."""
    outcome: RunOutcome | None
    """null: not yet. Final. `skipped`: a scheduled time that was not run."""
    exit_code: int | None
    """Of the command, where it ended by itself or is known."""
    reason: RunReasonOut | None
    """Why it did not succeed; null: it did, or goes on."""
    waiting_for: str | None
    """What the present step waits for."""
    queue: RunQueueOut | None
    """null: it is its turn, or over."""
    deadline_at: str | None
    """It is ended then; null: it is not its turn yet."""
    created_at: str
    """When it was made."""
    updated_at: str
    """When it last changed."""
    started_at: str | None
    """When its command was seen to run."""
    finished_at: str | None
    """When it ended."""


class RunQueueOut(TypedDict):
    """Its place in the queue."""

    position: int
    """Open runs of the same app environment before it."""


class RunReasonOut(TypedDict):
    """Why a run ended as it did."""

    code: str
    """Why, for programs."""
    message: str
    """What happened."""
    hint: str
    """What to do."""
    evidence: list[str]
    """What was seen, and the command's last lines."""


RunOutcome: TypeAlias = Literal["succeeded", "failed", "canceled", "timed_out", "skipped"]
"""How it ended; final."""

RunPhase: TypeAlias = Literal["queued", "starting", "running", "done"]
"""Where a run is."""
