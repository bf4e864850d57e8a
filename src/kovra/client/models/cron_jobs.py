"""Shapes of cron jobs. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


class CronJobIn(TypedDict):
    """A new cron job."""

    app_environment: str
    """App environment id."""
    name: str
    """Unique in its app environment."""
    schedule: str
    """Five fields: minute, hour, day of month, month, day of week."""
    time_zone: NotRequired[str]
    """As IANA names it."""
    command: list[str]
    size: NotRequired[Literal["nano", "micro", "small", "medium", "large"]]
    time_limit_s: NotRequired[int]
    enabled: NotRequired[bool]


class CronJobOut(TypedDict):
    """A cron job: it starts a run of the release that is live at each scheduled time, and never two at once."""

    id: str
    object: Literal["cron_job"]
    app_environment_id: str
    name: str
    schedule: str
    time_zone: str
    command: list[str]
    size: Literal["nano", "micro", "small", "medium", "large"]
    time_limit_s: int
    enabled: bool
    next_run_at: str | None
    next_runs: list[str]
    """The next five times, from the next one on."""
    created_at: str
    updated_at: str


class CronJobPatch(TypedDict):
    """What to change."""

    schedule: NotRequired[str | None]
    time_zone: NotRequired[str | None]
    command: NotRequired[list[str] | None]
    size: NotRequired[Literal["nano", "micro", "small", "medium", "large"] | None]
    time_limit_s: NotRequired[int | None]
    enabled: NotRequired[bool | None]


class ListOfCronJobOut(TypedDict):
    """ListOfCronJobOut."""

    data: list[CronJobOut]
    next: str | None
    has_more: bool


class RunNowIn(TypedDict):
    """How a cron job is run besides its schedule."""

    trigger: NotRequired[Literal["api", "cli", "console", "ci"]]
