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
    """What is run."""
    size: NotRequired[Literal["nano", "micro", "small", "medium", "large"]]
    """What a run may use."""
    time_limit_s: NotRequired[int]
    """After so many seconds a run is ended."""
    enabled: NotRequired[bool]
    """False: it is never due."""


class CronJobOut(TypedDict):
    """A cron job: it starts a run of the release that is live at each scheduled time, and never two at once."""

    id: str
    """Its id, for ever."""
    object: Literal["cron_job"]
    """What kind of object this is."""
    app_environment_id: str
    """The app environment it belongs to."""
    name: str
    """Unique in its app environment."""
    schedule: str
    """Minute, hour, day of month, month, day of week."""
    time_zone: str
    """In which the schedule is meant."""
    command: list[str]
    """What is run."""
    size: Literal["nano", "micro", "small", "medium", "large"]
    """What a run may use."""
    time_limit_s: int
    """After so many seconds a run is ended."""
    enabled: bool
    """False: it is never due."""
    next_run_at: str | None
    """When it is due next; null: never."""
    next_runs: list[str]
    """The next five times, from the next one on."""
    created_at: str
    """When it was made."""
    updated_at: str
    """When it last changed."""


class CronJobPatch(TypedDict):
    """What to change."""

    schedule: NotRequired[str | None]
    """Five fields."""
    time_zone: NotRequired[str | None]
    """As IANA names it."""
    command: NotRequired[list[str] | None]
    """What is run."""
    size: NotRequired[Literal["nano", "micro", "small", "medium", "large"] | None]
    """What a run may use."""
    time_limit_s: NotRequired[int | None]
    """After so many seconds a run is ended."""
    enabled: NotRequired[bool | None]
    """False: it is never due."""


class ListOfCronJobOut(TypedDict):
    """ListOfCronJobOut."""

    data: list[CronJobOut]
    """The objects of this page."""
    next: str | None
    """The `cursor` of the next page; null: there is none."""
    has_more: bool
    """Whether there is another page."""


class RunNowIn(TypedDict):
    """How a cron job is run besides its schedule."""

    trigger: NotRequired[Literal["api", "cli", "console", "ci"]]
    """From where it is asked for."""
