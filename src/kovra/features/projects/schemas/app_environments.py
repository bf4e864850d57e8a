"""Request and response models of app environments."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from kovra.features.projects.queries.rows import AppEnvironmentRow, AppRow, EnvironmentRow, ProjectRow
from kovra.features.projects.rules import host_label, internal_host
from kovra.features.projects.schemas import AppOut, EnvironmentOut, OverlapPolicy, ProcessName, ProjectOut
from kovra.foundation.web.addresses import AppAddresses
from kovra.foundation.web.fields import Input, Output, Time, wire
from kovra.foundation.web.includes import embedded

DriftPolicy = Literal["restore", "report"]
Exposure = Literal["public", "private"]
Egress = Literal["internet", "none"]


class ReleaseRef(Output):
    """The release that serves."""

    id: Annotated[UUID, wire("rel")]
    number: int = Field(description="Counts up within the app environment.")
    image: str = Field(description="The reference as it was given.")
    digest: str


class CanaryStepIn(Input):
    """One step of a canary."""

    weight: Annotated[int, Field(ge=1, le=100)] = Field(description="Of a hundred requests, so many go to it.")
    pause_s: Annotated[int, Field(ge=0, le=86_400)] = Field(
        description="Seconds it must stay good before the next one."
    )


class RolloutIn(Input):
    """How a release takes over from the one before."""

    strategy: Literal["rolling", "canary"] = Field(description="Instance by instance; or by steps beside the old one.")
    steps: Annotated[list[CanaryStepIn], Field(min_length=1, max_length=10)] | None = Field(
        default=None, description="Of a canary: each with a larger weight than the one before."
    )

    @model_validator(mode="after")
    def _fits(self) -> RolloutIn:
        weights = [step.weight for step in self.steps or []]
        if (self.strategy == "canary") != bool(weights):
            raise PydanticCustomError("steps_misplaced", "A canary has steps, a rolling one has none.")
        if weights != sorted(set(weights)):
            raise PydanticCustomError("weights_not_growing", "Each step has a larger weight than the one before.")
        return self


class CanaryStepOut(Output):
    """One step of a canary."""

    weight: int = Field(description="Of a hundred requests, so many go to it.")
    pause_s: int = Field(description="Seconds it must stay good before the next one.")


class RolloutOut(Output):
    """How a release takes over from the one before."""

    strategy: Literal["rolling", "canary"] = Field(description="Instance by instance; or by steps beside the old one.")
    steps: list[CanaryStepOut] = Field(description="Of a canary.")


class AppEnvironmentPatch(Input):
    """What to change."""

    scale: dict[ProcessName, Annotated[int, Field(ge=0, le=50)]] | None = Field(
        default=None,
        examples=[{"web": 2}],
        description="Instances by process; takes effect with the next deployment. To scale now: `actions/scale`.",
    )
    overlap_policy: OverlapPolicy | None = Field(default=None, description="null: as the environment says.")
    watch_window_s: Annotated[int, Field(ge=0, le=3600)] | None = Field(
        default=None, description="How long a release is watched after it went live; 0: not at all."
    )
    auto_rollback: bool | None = Field(
        default=None, description="Whether what degrades within the watch window is rolled back."
    )
    auto_deploy_paused: bool | None = Field(
        default=None, description="Whether automatic deployments wait; a rollback sets it, false clears it."
    )
    drift_policy: DriftPolicy | None = Field(
        default=None,
        description="Of changes made by hand in the cluster: `restore` puts back, `report` only tells. Walls always return.",
    )
    exposure: Exposure | None = Field(
        default=None,
        examples=["private"],
        description=(
            "`public`: the process `web` has an address that everybody reaches. `private`: no route and no public name; "
            "reached inside the organization alone (business plan and above). The route changes at once, and a "
            "deployment replaces the instances."
        ),
    )
    egress: Egress | None = Field(
        default=None,
        examples=["internet"],
        description=(
            "Whether instances reach the internet; null: `internet` where it is public, `none` where it is private. "
            "`none` needs the business plan."
        ),
    )
    maintenance: bool | None = Field(
        default=None,
        examples=[True],
        description="Whether its address answers 503 with a page and `Retry-After`, while its instances go on running.",
    )
    rollout: RolloutIn | None = Field(
        default=None,
        examples=[{"strategy": "canary", "steps": [{"weight": 10, "pause_s": 60}, {"weight": 50, "pause_s": 300}]}],
        description="How releases take over, from the next deployment on.",
    )


class AppEnvironmentOut(Output):
    """An app in an environment."""

    id: Annotated[UUID, wire("aev")]
    object: Literal["app_environment"] = "app_environment"
    project_id: Annotated[UUID, wire("prj")]
    app_id: Annotated[UUID, wire("app")]
    environment_id: Annotated[UUID, wire("env")]
    url: str | None = Field(description="Where the process `web` answers; null: there is none.")
    internal_host: str = Field(
        description=(
            "The name at which the process `web` is reached inside the cluster, at its own port: by all of its "
            "environment, and where it is private by the whole organization on a plan with private networking."
        ),
        examples=["web.kv-01kb3zq5j1f0m8w2y4x6v9t7rs.svc"],
    )
    scale: dict[str, int] = Field(description="Instances by process, where they differ from the app's.")
    overlap_policy: OverlapPolicy = Field(description="In force: its own, or the environment's.")
    watch_window_s: int = Field(description="How long a release is watched after it went live; 0: not at all.")
    auto_rollback: bool = Field(description="Whether what degrades within the watch window is rolled back.")
    auto_deploy_paused: bool = Field(description="Whether automatic deployments wait; every rollback sets it.")
    drift_policy: DriftPolicy = Field(description="What becomes of changes made by hand in the cluster.")
    exposure: Exposure = Field(description="`public`, or `private`: without a route, reached inside the organization.")
    egress: Egress = Field(description="In force: whether instances reach the internet.")
    maintenance: bool = Field(
        description="Whether its address answers 503 with a page; deployments go on and do not end it."
    )
    rollout: RolloutOut = Field(description="How releases take over.")
    suspended: bool = Field(description="Whether nothing runs because somebody asked for that.")
    config_revision: int = Field(description="The newest; 0: none yet.")
    current_release: ReleaseRef | None = Field(description="What serves; null: nothing yet.")
    current_deployment_id: Annotated[UUID | None, wire("dep")] = Field(description="What made it live.")
    health: Literal["unknown", "watching", "stable", "degraded", "suspended"] = Field(
        description="`unknown` (nothing was live yet), `watching`, `stable`, `degraded` or `suspended`."
    )
    created_at: Time
    updated_at: Time
    project: ProjectOut | None = embedded()
    app: AppOut | None = embedded()
    environment: EnvironmentOut | None = embedded()

    @classmethod
    def of(
        cls,
        row: AppEnvironmentRow,
        addresses: AppAddresses,
        *,
        project: ProjectRow | None = None,
        app: AppRow | None = None,
        environment: EnvironmentRow | None = None,
    ) -> AppEnvironmentOut:
        """The app environment as it is shown."""
        is_reached = row.has_web and row.exposure == "public"
        label = host_label(row.app_slug, row.environment_slug, row.id)
        url = addresses.url(label, row.cluster_domain) if is_reached else None
        return cls(
            id=row.id, project_id=row.project_id, app_id=row.app_id, environment_id=row.environment_id, url=url,
            scale=row.scale, overlap_policy=row.overlap_policy or row.environment_overlap_policy,
            watch_window_s=row.watch_window_s, auto_rollback=row.auto_rollback,
            auto_deploy_paused=row.auto_deploy_paused, drift_policy=row.drift_policy,
            internal_host=internal_host(row.app_slug, row.environment_id), exposure=row.exposure,
            egress=row.egress_in_force, maintenance=row.maintenance,
            rollout=RolloutOut(strategy=row.rollout["strategy"], steps=[CanaryStepOut(**s) for s in row.rollout.get("steps") or []]),
            suspended=row.suspended,
            config_revision=row.last_config_number, current_release=_release(row),
            current_deployment_id=row.current_deployment_id, health=row.health, created_at=row.created_at,
            updated_at=row.updated_at, project=ProjectOut.of(project) if project else None,
            app=AppOut.of(app) if app else None, environment=EnvironmentOut.of(environment) if environment else None,
        )  # fmt: skip


def _release(row: AppEnvironmentRow) -> ReleaseRef | None:
    if row.current_release_id is None:
        return None
    return ReleaseRef(
        id=row.current_release_id, number=row.current_release_number or 0, image=row.current_release_image or "",
        digest=row.current_release_digest or "",
    )  # fmt: skip
