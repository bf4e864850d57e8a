"""Request and response models of deployments, releases and actions."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from kovra.features.deployments.states import Outcome, Phase
from kovra.features.projects.schemas import AppOut, EnvironmentOut
from kovra.features.projects.schemas.app_environments import AppEnvironmentOut
from kovra.foundation.web.fields import Input, Output, Reference, Text, Time, wire
from kovra.foundation.web.includes import embedded


class DeploymentIn(Input):
    """What to make live, and where."""

    environment: Reference = Field(examples=["production"], description="Id or slug.")
    image: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = Field(
        default=None, description="Default: the app's own image.", examples=["registry.test/kovra/ok:1"]
    )
    release: Reference | Annotated[int, Field(ge=1, le=2_147_483_647)] | None = Field(
        default=None, description="Deploy this release's image again, by id or number, with the newest config."
    )
    message: Annotated[Text, StringConstraints(max_length=500)] = Field(
        default="", description="Why, for those who look later."
    )
    trigger: Literal["api", "cli", "console", "ci"] = Field(
        default="api", description="Who asks, for those who look later."
    )

    @model_validator(mode="after")
    def _one_source(self) -> DeploymentIn:
        if self.image is not None and self.release is not None:
            raise PydanticCustomError("source_ambiguous", "Give an image or a release, not both.")
        return self


class ReleaseFace(Output):
    """A release in a deployment."""

    id: Annotated[UUID, wire("rel")]
    number: int = Field(description="Counts up within the app environment.")
    image: str = Field(description="The reference as it was given.")
    digest: str


class ReasonOut(Output):
    """Why a deployment ended as it did."""

    code: str = Field(description="One of the reasons why deployments end.")
    phase: str = Field(description="Where it happened.")
    message: str = Field(description="What happened, in a sentence.")
    hint: str = Field(description="What to do.")
    evidence: list[str] = Field(
        description="What was seen: exit codes, the cluster's words, the last lines. Known values are masked."
    )


class PhaseOut(Output):
    """A phase with its times."""

    name: Phase = Field(description="As in `phase`.")
    started_at: str = Field(description="When it was entered.")
    ended_at: str | None = Field(description="When it was left; null: it lasts.")


class InstancesOut(Output):
    """How far a process of a deployment's release has come."""

    ready: int = Field(description="Of this release, ready now.")
    wanted: int = Field(description="How many there should be.")


class QueueOut(Output):
    """Its place in the queue."""

    position: int = Field(description="How many are before it.")
    blocked_by: Annotated[UUID | None, wire("dep")] = Field(description="The deployment whose end it waits for.")


class CanaryOut(Output):
    """How far a canary has come."""

    step: int = Field(description="Which of its steps, from 1.")
    steps: int = Field(description="How many there are.")
    weight: int = Field(
        description="Of a hundred requests, so many go to the new release now; to no instance of it once it ended."
    )


class DeploymentOut(Output):
    """A deployment."""

    id: Annotated[UUID, wire("dep")]
    object: Literal["deployment"] = "deployment"
    app_id: Annotated[UUID, wire("app")]
    environment_id: Annotated[UUID, wire("env")]
    app_environment_id: Annotated[UUID, wire("aev")]
    number: int = Field(description="Counts up within the app environment.")
    source: dict[str, Any] = Field(
        description=(
            "`kind` says what is made live: image, release, rollback, config, restart, scale, suspend, resume, restore or exposure; "
            "beside it what it takes."
        )
    )
    release: ReleaseFace | None = Field(description="What it makes live; null: not written yet.")
    previous_release_id: Annotated[UUID | None, wire("rel")] = Field(description="What served when its turn came.")
    trigger: str = Field(description="`api`, `cli`, `console`, `ci`, `rollback` or `auto_rollback`.")
    actor: str
    message: str = Field(description="Why, as who asked has said.")
    phase: Phase = Field(description="queued → waiting → preparing → releasing → rolling_out → verifying → done.")
    outcome: Outcome | None = Field(
        description="`live`, `failed`, `canceled`, `superseded` or `skipped`; null: not yet. Final."
    )
    reason: ReasonOut | None = Field(description="Why it ended as it did; null: it is live, or goes on.")
    restored_release: Annotated[UUID | None, wire("rel")] = Field(
        description="What serves again because this one did not succeed."
    )
    waiting_for: str | None = Field(description="What the present step waits for.")
    phases: list[PhaseOut] = Field(description="Each phase it was in.")
    instances: dict[str, InstancesOut] | None = Field(
        description="By process, as the cluster last showed them; null before `verifying`.",
        examples=[{"web": {"ready": 2, "wanted": 3}}],
    )
    canary: CanaryOut | None = Field(description="How far a canary has come; null: there is none.")
    queue: QueueOut | None = Field(description="null: it is its turn, or over.")
    deadline_at: Time | None = Field(description="It fails then; null: it is not its turn yet.")
    created_at: Time
    updated_at: Time
    finished_at: Time | None = Field(description="When it ended.")
    app: AppOut | None = embedded()
    environment: EnvironmentOut | None = embedded()
    app_environment: AppEnvironmentOut | None = embedded()


class RollbackableOut(Output):
    """Whether a release can be rolled back to."""

    value: bool = Field(description="Whether it can.")
    reasons: list[str] = Field(description="What is in the way.")


class ReleaseOut(Output):
    """A release."""

    id: Annotated[UUID, wire("rel")]
    object: Literal["release"] = "release"
    app_environment_id: Annotated[UUID, wire("aev")]
    number: int = Field(description="Counts up within the app environment.")
    image: str = Field(description="The reference as it was given.")
    digest: str = Field(description="What that reference named.")
    runs_from: str = Field(
        description="The reference that pods run, by digest: of the same repository, or of the platform's copy of it.",
        examples=["docker.io/library/nginx@sha256:" + "0a" * 32],
    )
    config_revision: int = Field(description="The config it runs with.")
    processes: dict[str, Any] = Field(description="By name, as the app had them.")
    release_command: list[str] | None = Field(description="Runs once before its rollout.")
    warnings: list[str] = Field(description="What was noticed about the image.")
    copied_from: Annotated[UUID | None, wire("rel")] = Field(description="The release whose image this one repeats.")
    actor: str
    created_at: Time
    rollbackable: RollbackableOut | None = Field(
        default=None, description="Whether one can go back to it; null: in lists."
    )
    app_environment: AppEnvironmentOut | None = embedded()


class RestoreIn(Input):
    """What of the old release is wanted back."""

    image: bool = Field(default=True, description="The image and its processes.")
    config: bool = Field(default=True, description="The config vars.")
    secrets: bool = Field(default=True, description="The secrets, by version.")


class RollbackIn(Input):
    """Which release to go back to."""

    release: Reference | Annotated[int, Field(ge=1, le=2_147_483_647)] = Field(
        examples=[3], description="Its number, or id."
    )
    restore: RestoreIn = Field(default=RestoreIn(), description="Which parts; the others stay as they are.")
    dry_run: bool = Field(default=False, description="Only answer what would change (200).")
    override: bool = Field(
        default=True,
        description=(
            "What is under way is called off (`superseded`), so that the rollback need not wait for it. "
            "`false`: the overlap policy decides."
        ),
    )


class SecretChangeOut(Output):
    """A secret whose version would change."""

    before: int | None = Field(serialization_alias="from", description="The version now; null: not there.")
    after: int | None = Field(serialization_alias="to", description="The version then; null: not there.")
    value: Literal["same", "changed", "unknown"] = Field(
        description="By keyed digests; `unknown` where they were made under different key versions."
    )


class DiffOut(Output):
    """What a rollback would change: names only."""

    object: Literal["rollback_diff"] = "rollback_diff"
    image: dict[str, str] | None = Field(description="`from` and `to`; null: the same.")
    processes: list[str] = Field(examples=[["web"]], description="Those that would change.")
    config: dict[str, list[str]] = Field(
        examples=[{"added": [], "changed": ["GREETING"], "removed": []}],
        description="Names that are added, changed, removed.",
    )
    secrets: dict[str, SecretChangeOut] = Field(
        examples=[{"TOKEN": {"from": 2, "to": 1, "value": "changed"}}], description="By name."
    )
    cannot_restore: list[str] = Field(description="What is in the way.")


class ScaleIn(Input):
    """Instances by process."""

    scale: Annotated[
        dict[str, Annotated[int, Field(ge=0, le=50)]], Field(min_length=1, max_length=10, examples=[{"web": 2}])
    ] = Field(description="Instances by process; those not named stay.")


class NeedOut(Output):
    """So much at the same time."""

    cpu_millis: int = Field(description="Thousandths of a CPU.")
    memory_mib: int = Field(description="MiB of memory.")
    pods: int = Field(description="Instances.")


class AppUsageOut(NeedOut):
    """What an app needs at most, while its instances are being replaced."""

    app_environment_id: Annotated[UUID, wire("aev")]
    app: str = Field(description="The app's slug.", examples=["web"])


class QuotaOut(NeedOut):
    """What the plan allows."""

    instance_cpu_millis: int = Field(description="Of one instance, at most: larger sizes are refused.")
    instance_memory_mib: int = Field(description="The same of memory.")
    runs: int = Field(description="One-off and scheduled runs of one app at the same time; further ones wait.")


class SizeOut(Output):
    """What an instance of a size may use."""

    cpu_millis: int = Field(description="Thousandths of a CPU.")
    memory_mib: int = Field(description="MiB of memory.")


class EnvironmentUsageOut(Output):
    """What an environment may use, and what it needs at most: every instance that may be there while all apps are replaced,
    autoscaled ones at their most, runs at work and one run of each cron job.
    """

    object: Literal["environment_usage"] = "environment_usage"
    environment_id: Annotated[UUID, wire("env")]
    plan: str = Field(description="The organization's.", examples=["free"])
    quota: QuotaOut = Field(description="What the plan allows here; the cluster enforces it.")
    used: NeedOut = Field(description="What all of it needs at most; what would go beyond the quota is refused.")
    apps: list[AppUsageOut] = Field(
        description="Of that, each app's; those that a narrowed credential does not see are missing."
    )
    runs: NeedOut = Field(description="Of that, what runs at work and cron jobs need.")
    sizes: dict[str, SizeOut] = Field(description="How large sizes are in this installation.")


class VolumeOut(Output):
    """A disk that outlives instances and releases."""

    id: Annotated[UUID, wire("vol")]
    object: Literal["volume"] = "volume"
    app_environment_id: Annotated[UUID, wire("aev")]
    process: str = Field(examples=["web"])
    name: str = Field(examples=["data"])
    size_gib: int = Field(description="The most it was ever asked to be.")
    state: Literal["attached", "detached", "removing"] = Field(
        description="Whether what serves mounts it; a detached one keeps what is in it."
    )
    created_at: Time
    updated_at: Time
