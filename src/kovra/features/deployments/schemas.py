"""Request and response models of deployments, releases and actions."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from kovra.features.projects.schemas import AppEnvironmentOut, AppOut, EnvironmentOut
from kovra.foundation.web.fields import Input, Output, Reference, Text, Time, wire
from kovra.foundation.web.includes import embedded


class DeploymentIn(Input):
    """What to make live, and where."""

    environment: Reference = Field(examples=["production"])
    image: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = Field(
        default=None, description="Default: the app's own image.", examples=["registry.test/kovra/ok:1"]
    )
    release: Reference | Annotated[int, Field(ge=1, le=2_147_483_647)] | None = Field(
        default=None, description="Deploy this release's image again, by id or number, with the newest config."
    )
    message: Annotated[Text, StringConstraints(max_length=500)] = ""
    trigger: Literal["api", "cli", "console", "ci"] = "api"

    @model_validator(mode="after")
    def _one_source(self) -> DeploymentIn:
        if self.image is not None and self.release is not None:
            raise PydanticCustomError("source_ambiguous", "Give an image or a release, not both.")
        return self


class ReleaseFace(Output):
    """A release in a deployment."""

    id: Annotated[UUID, wire("rel")]
    number: int
    image: str
    digest: str


class ReasonOut(Output):
    """Why a deployment ended as it did."""

    code: str
    phase: str
    message: str
    hint: str
    evidence: list[str]


class PhaseOut(Output):
    """A phase with its times."""

    name: str
    started_at: str
    ended_at: str | None


class InstancesOut(Output):
    """How far a process of a deployment's release has come."""

    ready: int
    wanted: int


class QueueOut(Output):
    """Its place in the queue."""

    position: int
    blocked_by: Annotated[UUID | None, wire("dep")]


class DeploymentOut(Output):
    """A deployment."""

    id: Annotated[UUID, wire("dep")]
    object: Literal["deployment"] = "deployment"
    app_id: Annotated[UUID, wire("app")]
    environment_id: Annotated[UUID, wire("env")]
    app_environment_id: Annotated[UUID, wire("aev")]
    number: int
    source: dict[str, Any]
    release: ReleaseFace | None
    previous_release_id: Annotated[UUID | None, wire("rel")]
    trigger: str
    actor: str
    message: str
    phase: str
    outcome: str | None
    reason: ReasonOut | None
    restored_release: Annotated[UUID | None, wire("rel")]
    waiting_for: str | None
    phases: list[PhaseOut]
    instances: dict[str, InstancesOut] | None = Field(
        description="By process, as the cluster last showed them; null before `verifying`.",
        examples=[{"web": {"ready": 2, "wanted": 3}}],
    )
    queue: QueueOut | None
    deadline_at: Time | None
    created_at: Time
    updated_at: Time
    finished_at: Time | None
    app: AppOut | None = embedded()
    environment: EnvironmentOut | None = embedded()
    app_environment: AppEnvironmentOut | None = embedded()


class RollbackableOut(Output):
    """Whether a release can be rolled back to."""

    value: bool
    reasons: list[str]


class ReleaseOut(Output):
    """A release."""

    id: Annotated[UUID, wire("rel")]
    object: Literal["release"] = "release"
    app_environment_id: Annotated[UUID, wire("aev")]
    number: int
    image: str
    digest: str
    config_revision: int
    processes: dict[str, Any]
    release_command: list[str] | None
    warnings: list[str]
    copied_from: Annotated[UUID | None, wire("rel")]
    actor: str
    created_at: Time
    rollbackable: RollbackableOut | None = None
    app_environment: AppEnvironmentOut | None = embedded()


class RestoreIn(Input):
    """What of the old release is wanted back."""

    image: bool = True
    config: bool = True
    secrets: bool = True


class RollbackIn(Input):
    """Which release to go back to."""

    release: Reference | Annotated[int, Field(ge=1, le=2_147_483_647)] = Field(examples=[3])
    restore: RestoreIn = RestoreIn()
    dry_run: bool = False
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
    image: dict[str, str] | None
    processes: list[str] = Field(examples=[["web"]])
    config: dict[str, list[str]] = Field(examples=[{"added": [], "changed": ["GREETING"], "removed": []}])
    secrets: dict[str, SecretChangeOut] = Field(examples=[{"TOKEN": {"from": 2, "to": 1, "value": "changed"}}])
    cannot_restore: list[str]


class ScaleIn(Input):
    """Instances by process."""

    scale: Annotated[
        dict[str, Annotated[int, Field(ge=0, le=50)]], Field(min_length=1, max_length=10, examples=[{"web": 2}])
    ]
