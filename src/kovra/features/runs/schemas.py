"""Request and response models of runs and cron jobs."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from kovra.features.deployments.schemas import ReleaseFace
from kovra.features.projects.schemas import Command, SizeName
from kovra.features.runs.states import LONGEST_S, RunOutcome, RunPhase
from kovra.foundation.web.fields import Input, Output, Reference, Slug, Time, wire

TriggerName = Literal["api", "cli", "console", "ci", "schedule"]
Limit = Annotated[int, Field(ge=1, le=LONGEST_S)]
Schedule = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Zone = Annotated[str, StringConstraints(min_length=1, max_length=50)]


class RunIn(Input):
    """What to run, and where."""

    app_environment: Reference = Field(description="App environment id.", examples=["aev_01jdqjwz00fay8vvr14d2pf2db"])
    command: Command = Field(
        description="Its words are handed over as they are: no shell takes them apart.",
        examples=[["./manage", "migrate"]],
    )
    release: Reference | Annotated[int, Field(ge=1, le=2_147_483_647)] | None = Field(
        default=None, description="By id or number. Default: the one that is live."
    )
    size: SizeName = Field(default="nano", description="What it may use.")
    time_limit_s: Limit = Field(
        default=3600, description="After so many seconds, the pulling of its image included, it is ended."
    )
    env: Annotated[dict[str, str], Field(max_length=20)] = Field(
        default={},
        description="More environment variables, over those of the release. No secrets: they are shown to whoever "
        "may read runs.",
        examples=[{"DRY_RUN": "1"}],
    )
    trigger: Literal["api", "cli", "console", "ci"] = Field(default="api", description="From where it is asked for.")


class RunReasonOut(Output):
    """Why a run ended as it did."""

    code: str = Field(description="Why, for programs.", examples=["command_failed"])
    message: str = Field(description="What happened.")
    hint: str = Field(description="What to do.")
    evidence: list[str] = Field(description="What was seen, and the command's last lines.")


class RunQueueOut(Output):
    """Its place in the queue."""

    position: int = Field(description="Open runs of the same app environment before it.")


class RunOut(Output):
    """A run: a command that runs once from a release's image."""

    id: Annotated[UUID, wire("run")]
    object: Literal["run"] = "run"
    app_environment_id: Annotated[UUID, wire("aev")]
    cron_job_id: Annotated[UUID | None, wire("crn")] = Field(description="The cron job that started it.")
    scheduled_for: Time | None = Field(description="The time of its cron job's schedule that it stands for.")
    release: ReleaseFace | None = Field(description="Whose image, config and secrets it runs with.")
    command: list[str] = Field(description="What is run.", examples=[["./manage", "migrate"]])
    env: dict[str, str] = Field(description="Environment variables besides those of the release.")
    size: SizeName = Field(description="What it may use.")
    time_limit_s: int = Field(description="After so many seconds it is ended.")
    trigger: TriggerName = Field(description="From where it was asked for; `schedule`: by its cron job.")
    actor: str
    phase: RunPhase = Field(description="queued → starting → running → done.")
    outcome: RunOutcome | None = Field(
        description="null: not yet. Final. `skipped`: a scheduled time that was not run."
    )
    exit_code: int | None = Field(description="Of the command, where it ended by itself or is known.")
    reason: RunReasonOut | None = Field(description="Why it did not succeed; null: it did, or goes on.")
    waiting_for: str | None = Field(description="What the present step waits for.")
    queue: RunQueueOut | None = Field(description="null: it is its turn, or over.")
    deadline_at: Time | None = Field(description="It is ended then; null: it is not its turn yet.")
    created_at: Time
    updated_at: Time
    started_at: Time | None = Field(description="When its command was seen to run.")
    finished_at: Time | None = Field(description="When it ended.")


class CronJobIn(Input):
    """A new cron job."""

    app_environment: Reference = Field(description="App environment id.", examples=["aev_01jdqjwz00fay8vvr14d2pf2db"])
    name: Slug = Field(description="Unique in its app environment.", examples=["nightly-report"])
    schedule: Schedule = Field(
        description="Five fields: minute, hour, day of month, month, day of week.", examples=["30 2 * * *"]
    )
    time_zone: Zone = Field(default="UTC", description="As IANA names it.", examples=["Europe/Berlin"])
    command: Command = Field(description="What is run.", examples=[["./manage", "report"]])
    size: SizeName = Field(default="nano", description="What a run may use.")
    time_limit_s: Limit = Field(default=3600, description="After so many seconds a run is ended.")
    enabled: bool = Field(default=True, description="False: it is never due.")


class CronJobPatch(Input):
    """What to change."""

    schedule: Schedule | None = Field(default=None, description="Five fields.", examples=["0 4 * * 1-5"])
    time_zone: Zone | None = Field(default=None, description="As IANA names it.", examples=["UTC"])
    command: Command | None = Field(
        default=None, description="What is run.", examples=[["./manage", "report", "--all"]]
    )
    size: SizeName | None = Field(default=None, description="What a run may use.")
    time_limit_s: Limit | None = Field(default=None, description="After so many seconds a run is ended.")
    enabled: bool | None = Field(default=None, description="False: it is never due.")


class CronJobOut(Output):
    """A cron job: it starts a run of the release that is live at each scheduled time, and never two at once."""

    id: Annotated[UUID, wire("crn")]
    object: Literal["cron_job"] = "cron_job"
    app_environment_id: Annotated[UUID, wire("aev")]
    name: str = Field(description="Unique in its app environment.", examples=["nightly-report"])
    schedule: str = Field(description="Minute, hour, day of month, month, day of week.", examples=["30 2 * * *"])
    time_zone: str = Field(description="In which the schedule is meant.", examples=["Europe/Berlin"])
    command: list[str] = Field(description="What is run.", examples=[["./manage", "report"]])
    size: SizeName = Field(description="What a run may use.")
    time_limit_s: int = Field(description="After so many seconds a run is ended.")
    enabled: bool = Field(description="False: it is never due.")
    next_run_at: Time | None = Field(description="When it is due next; null: never.")
    next_runs: list[Time] = Field(description="The next five times, from the next one on.")
    created_at: Time
    updated_at: Time


class RunNowIn(Input):
    """How a cron job is run besides its schedule."""

    trigger: Literal["api", "cli", "console", "ci"] = Field(default="api", description="From where it is asked for.")
