"""Shapes of app environments. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict

from kovra.client.models.apps import AppOut
from kovra.client.models.environments import EnvironmentOut
from kovra.client.models.projects import ProjectOut


class AppEnvironmentOut(TypedDict):
    """An app in an environment."""

    id: str
    """Its id, for ever."""
    object: Literal["app_environment"]
    """What kind of object this is."""
    project_id: str
    """The project it belongs to."""
    app_id: str
    """The app it belongs to."""
    environment_id: str
    """The environment it belongs to."""
    url: str | None
    """Where the process `web` answers; null: there is none."""
    internal_host: str
    """The name at which the process `web` is reached inside the cluster, at its own port: by all of its environment,
    and where it is private by the whole organization on a plan with private networking.
    """
    scale: dict[str, int]
    """Instances by process, where they differ from the app's."""
    overlap_policy: Literal["queue_latest", "queue_all", "override", "reject"]
    """In force: its own, or the environment's."""
    watch_window_s: int
    """How long a release is watched after it went live; 0: not at all."""
    auto_rollback: bool
    """Whether what degrades within the watch window is rolled back."""
    auto_deploy_paused: bool
    """Whether automatic deployments wait; every rollback sets it."""
    drift_policy: Literal["restore", "report"]
    """What becomes of changes made by hand in the cluster."""
    exposure: Literal["public", "private"]
    """`public`, or `private`: without a route, reached inside the organization."""
    egress: Literal["internet", "none"]
    """In force: whether instances reach the internet."""
    maintenance: bool
    """Whether its address answers 503 with a page; deployments go on and do not end it."""
    rollout: RolloutOut
    """How releases take over."""
    suspended: bool
    """Whether nothing runs because somebody asked for that."""
    config_revision: int
    """The newest; 0: none yet."""
    current_release: ReleaseRef | None
    """What serves; null: nothing yet."""
    current_deployment_id: str | None
    """What made it live."""
    health: Literal["unknown", "watching", "stable", "degraded", "suspended"]
    """`unknown` (nothing was live yet), `watching`, `stable`, `degraded` or `suspended`."""
    created_at: str
    """When it was made."""
    updated_at: str
    """When it last changed."""
    project: NotRequired[ProjectOut | None]
    """Only when it was asked for with `include`."""
    app: NotRequired[AppOut | None]
    """Only when it was asked for with `include`."""
    environment: NotRequired[EnvironmentOut | None]
    """Only when it was asked for with `include`."""


class AppEnvironmentPatch(TypedDict):
    """What to change."""

    scale: NotRequired[dict[str, int] | None]
    """Instances by process; takes effect with the next deployment. To scale now: `actions/scale`."""
    overlap_policy: NotRequired[AppEnvironmentPatchOverlapPolicy]
    """null: as the environment says."""
    watch_window_s: NotRequired[int | None]
    """How long a release is watched after it went live; 0: not at all."""
    auto_rollback: NotRequired[bool | None]
    """Whether what degrades within the watch window is rolled back."""
    auto_deploy_paused: NotRequired[bool | None]
    """Whether automatic deployments wait; a rollback sets it, false clears it."""
    drift_policy: NotRequired[Literal["restore", "report"] | None]
    """Of changes made by hand in the cluster: `restore` puts back, `report` only tells. Walls always return."""
    exposure: NotRequired[Literal["public", "private"] | None]
    """`public`: the process `web` has an address that everybody reaches. `private`: no route and no public name;
    reached inside the organization alone (business plan and above). The route changes at once, and a deployment
    replaces the instances.
    """
    egress: NotRequired[Literal["internet", "none"] | None]
    """Whether instances reach the internet; null: `internet` where it is public, `none` where it is private. `none`
    needs the business plan.
    """
    maintenance: NotRequired[bool | None]
    """Whether its address answers 503 with a page and `Retry-After`, while its instances go on running."""
    rollout: NotRequired[RolloutIn | None]
    """How releases take over, from the next deployment on."""


class CanaryStepIn(TypedDict):
    """One step of a canary."""

    weight: int
    """Of a hundred requests, so many go to it."""
    pause_s: int
    """Seconds it must stay good before the next one."""


class CanaryStepOut(TypedDict):
    """One step of a canary."""

    weight: int
    """Of a hundred requests, so many go to it."""
    pause_s: int
    """Seconds it must stay good before the next one."""


class ListOfAppEnvironmentOut(TypedDict):
    """ListOfAppEnvironmentOut."""

    data: list[AppEnvironmentOut]
    """The objects of this page."""
    next: str | None
    """The `cursor` of the next page; null: there is none."""
    has_more: bool
    """Whether there is another page."""


class ReleaseRef(TypedDict):
    """The release that serves."""

    id: str
    """Its id, for ever."""
    number: int
    """Counts up within the app environment."""
    image: str
    """The reference as it was given."""
    digest: str
    """What the image's tag stood for when the release was written."""


class RolloutIn(TypedDict):
    """How a release takes over from the one before."""

    strategy: Literal["rolling", "canary"]
    """Instance by instance; or by steps beside the old one."""
    steps: NotRequired[list[CanaryStepIn] | None]
    """Of a canary: each with a larger weight than the one before."""


class RolloutOut(TypedDict):
    """How a release takes over from the one before."""

    strategy: Literal["rolling", "canary"]
    """Instance by instance; or by steps beside the old one."""
    steps: list[CanaryStepOut]
    """Of a canary."""


AppEnvironmentPatchOverlapPolicy: TypeAlias = Literal["queue_latest", "queue_all", "override", "reject"] | None
"""null: as the environment says."""
