"""Shapes of change sets. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

from kovra.client.models.app_environments import RolloutIn
from kovra.client.models.apps import ProcessIn


class AppHere(TypedDict):
    """What is wanted of an app in one environment, over what is said of it everywhere."""

    scale: NotRequired[dict[str, int] | None]
    """Instances by process; takes effect with the next deployment. To scale now: `actions/scale`."""
    overlap_policy: NotRequired[AppHereOverlapPolicy]
    """null: as the environment says."""
    watch_window_s: NotRequired[int | None]
    """How long a release is watched after it went live; 0: not at all."""
    auto_rollback: NotRequired[bool | None]
    """Whether what degrades within the watch window is rolled back."""
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
    rollout: NotRequired[RolloutIn | None]
    """How releases take over, from the next deployment on."""
    config: NotRequired[dict[str, str | None] | None]
    """Config vars by name: texts, in quotes where they look like something else. null removes."""
    secrets: NotRequired[list[str] | None]
    """Names of the secrets it needs. Their values are set with `kovra secrets set`, never here."""
    cron_jobs: NotRequired[dict[str, CronJobWish | None] | None]
    """Cron jobs by name. null removes."""
    image: NotRequired[str | None]
    """What is to run here, where that differs from the app's image."""


class AppPlanOut(TypedDict):
    """What becomes of one app."""

    app: str
    """Its slug."""
    action: Literal["create", "update", "delete", "none"]
    """What becomes of it."""
    deploys: Literal["image", "scale"] | None
    """Whether applying starts a deployment: of an image, or of other numbers of instances. null: none."""
    image: str | None
    """The image that is deployed."""
    needs: list[str]
    """Secrets without a value, for want of which it is not deployed."""


class AppWanted(TypedDict):
    """What is wanted of an app. What is not named stays as it is."""

    scale: NotRequired[dict[str, int] | None]
    """Instances by process; takes effect with the next deployment. To scale now: `actions/scale`."""
    overlap_policy: NotRequired[AppWantedOverlapPolicy]
    """null: as the environment says."""
    watch_window_s: NotRequired[int | None]
    """How long a release is watched after it went live; 0: not at all."""
    auto_rollback: NotRequired[bool | None]
    """Whether what degrades within the watch window is rolled back."""
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
    rollout: NotRequired[RolloutIn | None]
    """How releases take over, from the next deployment on."""
    config: NotRequired[dict[str, str | None] | None]
    """Config vars by name: texts, in quotes where they look like something else. null removes."""
    secrets: NotRequired[list[str] | None]
    """Names of the secrets it needs. Their values are set with `kovra secrets set`, never here."""
    cron_jobs: NotRequired[dict[str, CronJobWish | None] | None]
    """Cron jobs by name. null removes."""
    name: NotRequired[str | None]
    """For people to read."""
    image: NotRequired[str | None]
    """What a deployment that names no image takes; null: none."""
    processes: NotRequired[dict[str, ProcessIn] | None]
    """By name. Processes that are not named stay, and so do fields of those that are, unless `prune` is set."""
    release_command: NotRequired[list[str] | None]
    """Runs once before each rollout; null: none."""
    drain_s: NotRequired[int | None]
    """Seconds an instance has to end after it was told to."""


class ChangeOut(TypedDict):
    """One field that changes."""

    app: str
    """The app's slug."""
    part: ChangeOutPart
    """Of the app itself, of the app in this environment, of its config, secrets or cron jobs, or what it runs."""
    path: str
    """The field within that part."""
    action: Literal["add", "change", "remove"]
    """What becomes of it."""
    before: Any
    """Its value now; null where there is none."""
    after: Any
    """Its value then; null where there is none."""
    hidden: bool
    """Whether the values are withheld: of config vars, from who may not read them, and once applied."""


class ChangeSetIn(TypedDict):
    """What is wanted, and of which environment."""

    environment: str
    """Id or slug."""
    state: KovraFile
    """The content of a kovra.yaml."""
    prune: NotRequired[bool | None]
    """Over what the file says."""
    message: NotRequired[str]
    """Free text; its deployments carry it."""
    trigger: NotRequired[Literal["api", "cli", "console", "ci"]]
    """From where it is asked for."""


class ChangeSetOut(TypedDict):
    """A change set: what a wanted state changes, and whether it was applied."""

    id: str
    """Its id, for ever."""
    object: Literal["change_set"]
    """What kind of object this is."""
    project_id: str
    """The project it belongs to."""
    environment_id: str
    """The environment it belongs to."""
    project: str
    """The project's slug."""
    environment: str
    """The environment's slug."""
    state: Literal["planning", "ready", "failed", "applied", "expired"]
    """planning → ready → applied; `failed`: it cannot be had; `expired`: it was ready for too long."""
    message: str
    """As it was given."""
    prune: bool
    """Whether what is not named goes."""
    apps: list[AppPlanOut]
    """Every app it is about; empty while it is planned."""
    changes: list[ChangeOut]
    """Field by field; empty: it changes nothing."""
    objects: list[ObjectOut] | None
    """What the cluster makes of it, by server-side dry run; null: it is not known."""
    quota: QuotaEffectOut | None
    """What it does to the environment's use; null: not planned yet."""
    warnings: list[WarningOut]
    """To know before it is applied."""
    reason: ChangeSetReasonOut | None
    """Why it failed."""
    deployment_ids: list[str]
    """What applying it has started."""
    trigger: Literal["api", "cli", "console", "ci"]
    """From where it was asked for."""
    actor: str
    """Who did it: the id of a person or an api token, or `system`."""
    applied_by: str | None
    """Who applied it."""
    created_at: str
    """When it was made."""
    updated_at: str
    """When it last changed."""
    planned_at: str | None
    """When it was known what it changes."""
    applied_at: str | None
    """When it was applied."""
    expires_at: str
    """From then on it is not applied any more."""


class ChangeSetReasonOut(TypedDict):
    """Why what is wanted cannot be had."""

    code: str
    """For programs."""
    message: str
    """What is wrong."""
    hint: str | None
    """What to do."""
    errors: list[WrongOut]
    """The fields that are wrong."""


class CronJobWish(TypedDict):
    """A cron job; one that is not there yet needs schedule and command."""

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


class DemandOut(TypedDict):
    """What instances ask for."""

    cpu_millis: int
    """Thousandths of a CPU."""
    memory_mib: int
    """MiB."""
    pods: int
    """Instances."""


class EnvironmentWanted(TypedDict):
    """What is wanted of one environment alone."""

    apps: NotRequired[dict[str, AppHere]]
    """By slug."""


class KovraFile(TypedDict):
    """The wanted state of a project: kovra.yaml."""

    version: Literal[1]
    """Of this format."""
    project: str
    """Its slug. The project and its environments must be there."""
    prune: NotRequired[bool]
    """Whether what is there and not named here goes: apps, and within the sections that are here processes, fields of
    processes, config vars, secrets, cron jobs. Without it nothing goes but what is null.
    """
    apps: NotRequired[dict[str, AppWanted]]
    """Apps by slug; one that is not there is made."""
    environments: NotRequired[dict[str, EnvironmentWanted]]
    """What differs by environment, by the environment's slug."""


class ListOfChangeSetOut(TypedDict):
    """ListOfChangeSetOut."""

    data: list[ChangeSetOut]
    """The objects of this page."""
    next: str | None
    """The `cursor` of the next page; null: there is none."""
    has_more: bool
    """Whether there is another page."""


class ObjectFieldOut(TypedDict):
    """One field of an object."""

    path: str
    """Within the object."""
    before: str | None
    """null: absent, or not to be shown."""
    after: str | None
    """null: absent, or not to be shown."""


class ObjectOut(TypedDict):
    """A Kubernetes object that changes."""

    app: str
    """The app's slug."""
    kind: str
    """Its kind."""
    name: str
    """Its name."""
    change: Literal["create", "change", "delete"]
    """What becomes of it."""
    fields: list[ObjectFieldOut]
    """What differs; at most 20 fields."""
    dry_run: bool
    """Whether the cluster itself said so."""
    refused: str | None
    """Why the cluster refuses it; null: it does not."""


class QuotaEffectOut(TypedDict):
    """What the whole environment asks for."""

    before: DemandOut
    """Now."""
    after: DemandOut
    """Once it is applied."""
    surge: DemandOut
    """What rollouts ask for besides, while they last."""
    limit: DemandOut
    """What the plan gives to one environment."""


class WarningOut(TypedDict):
    """Something to know before it is applied."""

    code: str
    """For programs."""
    app: str | None
    """Of which app; null: of the environment."""
    about: str | None
    """What of it."""
    message: str
    """For people."""


class WrongOut(TypedDict):
    """A field of the file that cannot be."""

    pointer: str
    """Where (RFC 6901)."""
    code: str
    """For programs."""
    message: str
    """For people."""


AppHereOverlapPolicy: TypeAlias = Literal["queue_latest", "queue_all", "override", "reject"] | None
"""null: as the environment says."""

AppWantedOverlapPolicy: TypeAlias = Literal["queue_latest", "queue_all", "override", "reject"] | None
"""null: as the environment says."""

ChangeOutPart: TypeAlias = Literal["app", "environment", "config", "secrets", "cron_jobs", "release"]
"""Of the app itself, of the app in this environment, of its config, secrets or cron jobs, or what it runs."""
