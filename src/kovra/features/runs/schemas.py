"""Request and response models of runs and cron jobs."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from kovra.features.deployments.schemas import ReleaseFace
from kovra.features.projects.schemas import Command, SizeName
from kovra.features.runs.states import LONGEST_S
from kovra.foundation.web.fields import Input, Output, Reference, Slug, Time, wire

PhaseName = Literal["queued", "starting", "running", "done"]
OutcomeName = Literal["succeeded", "failed", "canceled", "timed_out", "skipped"]
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
    size: SizeName = "nano"
    time_limit_s: Limit = Field(
        default=3600, description="After so many seconds, the pulling of its image included, it is ended."
    )
    env: Annotated[dict[str, str], Field(max_length=20)] = Field(
        default={},
        description="More environment variables, over those of the release. No secrets: they are shown to whoever "
        "may read runs.",
        examples=[{"DRY_RUN": "1"}],
    )
    trigger: Literal["api", "cli", "console", "ci"] = "api"


class RunReasonOut(Output):
    """Why a run ended as it did."""

    code: str
    message: str
    hint: str
    evidence: list[str] = Field(description="What was seen, and the command's last lines.")


class RunQueueOut(Output):
    """Its place in the queue."""

    position: int = Field(description="Open runs of the same app environment before it.")


class RunOut(Output):
    """A run: a command that runs once from a release's image."""

    id: Annotated[UUID, wire("run")]
    object: Literal["run"] = "run"
    app_environment_id: Annotated[UUID, wire("aev")]
    cron_job_id: Annotated[UUID | None, wire("crn")]
    scheduled_for: Time | None = Field(description="The time of its cron job's schedule that it stands for.")
    release: ReleaseFace | None
    command: list[str] = Field(examples=[["./manage", "migrate"]])
    env: dict[str, str]
    size: SizeName
    time_limit_s: int
    trigger: TriggerName
    actor: str
    phase: PhaseName
    outcome: OutcomeName | None
    exit_code: int | None
    reason: RunReasonOut | None
    waiting_for: str | None
    queue: RunQueueOut | None
    deadline_at: Time | None
    created_at: Time
    updated_at: Time
    started_at: Time | None
    finished_at: Time | None


class CronJobIn(Input):
    """A new cron job."""

    app_environment: Reference = Field(description="App environment id.", examples=["aev_01jdqjwz00fay8vvr14d2pf2db"])
    name: Slug = Field(description="Unique in its app environment.", examples=["nightly-report"])
    schedule: Schedule = Field(
        description="Five fields: minute, hour, day of month, month, day of week.", examples=["30 2 * * *"]
    )
    time_zone: Zone = Field(default="UTC", description="As IANA names it.", examples=["Europe/Berlin"])
    command: Command = Field(examples=[["./manage", "report"]])
    size: SizeName = "nano"
    time_limit_s: Limit = 3600
    enabled: bool = True


class CronJobPatch(Input):
    """What to change."""

    schedule: Schedule | None = Field(default=None, examples=["0 4 * * 1-5"])
    time_zone: Zone | None = Field(default=None, examples=["UTC"])
    command: Command | None = Field(default=None, examples=[["./manage", "report", "--all"]])
    size: SizeName | None = None
    time_limit_s: Limit | None = None
    enabled: bool | None = None


class CronJobOut(Output):
    """A cron job: it starts a run of the release that is live at each scheduled time, and never two at once."""

    id: Annotated[UUID, wire("crn")]
    object: Literal["cron_job"] = "cron_job"
    app_environment_id: Annotated[UUID, wire("aev")]
    name: str
    schedule: str = Field(examples=["30 2 * * *"])
    time_zone: str = Field(examples=["Europe/Berlin"])
    command: list[str] = Field(examples=[["./manage", "migrate"]])
    size: SizeName
    time_limit_s: int
    enabled: bool
    next_run_at: Time | None
    next_runs: list[Time] = Field(description="The next five times, from the next one on.")
    created_at: Time
    updated_at: Time


class RunNowIn(Input):
    """How a cron job is run besides its schedule."""

    trigger: Literal["api", "cli", "console", "ci"] = "api"
