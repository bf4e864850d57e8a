"""Shapes of facts runs. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import TypedDict


class CronJobCreated(TypedDict):
    """A cron job was made."""

    app_environment_id: str
    name: str
    schedule: str
    time_zone: str


class CronJobDeleted(TypedDict):
    """A cron job was deleted; its history stays."""

    app_environment_id: str
    name: str


class CronJobUpdated(TypedDict):
    """A cron job was changed."""

    app_environment_id: str
    changed: list[str]


class RunCancelRequested(TypedDict):
    """Somebody asked for a run to stop."""

    app_environment_id: str


class RunFinished(TypedDict):
    """A run ended, or a tick of a cron job was skipped; `outcome` is final."""

    app_environment_id: str
    cron_job_id: str | None
    outcome: str
    code: str | None
    exit_code: int | None


class RunRequested(TypedDict):
    """A run was accepted; `scheduled_for` is the tick of a cron job that it stands for."""

    app_environment_id: str
    release_id: str
    cron_job_id: str | None
    scheduled_for: str | None
    trigger: str


class RunStarted(TypedDict):
    """The command of a run was started."""

    app_environment_id: str
