"""Shapes of environments. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict

from kovra.client.models.projects import ProjectOut


class AppUsageOut(TypedDict):
    """What an app needs at most, while its instances are being replaced."""

    cpu_millis: int
    """Thousandths of a CPU."""
    memory_mib: int
    """MiB of memory."""
    pods: int
    """Instances."""
    app_environment_id: str
    """The app environment it belongs to."""
    app: str
    """The app's slug."""


class EnvironmentIn(TypedDict):
    """A new environment."""

    project: str
    """Id or slug."""
    name: str
    """For people to read."""
    slug: NotRequired[str | None]
    """Default: made of the name."""
    kind: NotRequired[Literal["development", "preview", "staging", "production"]]
    """What it is for."""
    protected: NotRequired[bool]
    """Changing what runs here needs environments:use_protected."""
    delete_protected: NotRequired[bool]
    """While true it cannot be deleted."""
    overlap_policy: NotRequired[Literal["queue_latest", "queue_all", "override", "reject"]]
    """What a deployment does that meets another one: wait and make way for later ones, wait its turn, call the other
    one off, or be refused.
    """
    cluster: NotRequired[str | None]
    """A cluster of the organization's own, id or slug, for good; default: Kovra's."""


class EnvironmentOut(TypedDict):
    """An environment."""

    id: str
    """Its id, for ever."""
    object: Literal["environment"]
    """What kind of object this is."""
    project_id: str
    """The project it belongs to."""
    name: str
    """For people to read."""
    slug: str
    """For people to type; unique among its like."""
    kind: Literal["development", "preview", "staging", "production"]
    """What it is for."""
    protected: bool
    """Changing what runs here needs environments:use_protected."""
    delete_protected: bool
    """While true it cannot be deleted."""
    overlap_policy: Literal["queue_latest", "queue_all", "override", "reject"]
    """For app environments that say nothing themselves."""
    cluster_id: str | None
    """The organization's own cluster it is placed on; null: Kovra's."""
    created_at: str
    """When it was made."""
    updated_at: str
    """When it last changed."""
    deleted_at: str | None
    """When it was deleted; null: it is not."""
    purge_at: str | None
    """Until then it can be restored; null: it is not deleted."""
    project: NotRequired[ProjectOut | None]
    """Only when it was asked for with `include`."""


class EnvironmentPatch(TypedDict):
    """What to change."""

    name: NotRequired[str | None]
    """For people to read."""
    kind: NotRequired[EnvironmentPatchKind]
    """What it is for."""
    protected: NotRequired[bool | None]
    """Changing what runs here needs environments:use_protected."""
    delete_protected: NotRequired[bool | None]
    """While true it cannot be deleted."""
    overlap_policy: NotRequired[EnvironmentPatchOverlapPolicy]
    """For app environments that say nothing themselves."""


class EnvironmentUsageOut(TypedDict):
    """What an environment may use, and what it needs at most: every instance that may be there while all apps are
    replaced, autoscaled ones at their most, runs at work and one run of each cron job.
    """

    object: Literal["environment_usage"]
    """What kind of object this is."""
    environment_id: str
    """The environment it belongs to."""
    plan: str
    """The organization's."""
    quota: QuotaOut
    """What the plan allows here; the cluster enforces it."""
    used: NeedOut
    """What all of it needs at most; what would go beyond the quota is refused."""
    apps: list[AppUsageOut]
    """Of that, each app's; those that a narrowed credential does not see are missing."""
    runs: NeedOut
    """Of that, what runs at work and cron jobs need."""
    sizes: dict[str, SizeOut]
    """How large sizes are in this installation."""


class ListOfEnvironmentOut(TypedDict):
    """ListOfEnvironmentOut."""

    data: list[EnvironmentOut]
    """The objects of this page."""
    next: str | None
    """The `cursor` of the next page; null: there is none."""
    has_more: bool
    """Whether there is another page."""


class NeedOut(TypedDict):
    """So much at the same time."""

    cpu_millis: int
    """Thousandths of a CPU."""
    memory_mib: int
    """MiB of memory."""
    pods: int
    """Instances."""


class QuotaOut(TypedDict):
    """What the plan allows."""

    cpu_millis: int
    """Thousandths of a CPU."""
    memory_mib: int
    """MiB of memory."""
    pods: int
    """Instances."""
    instance_cpu_millis: int
    """Of one instance, at most: larger sizes are refused."""
    instance_memory_mib: int
    """The same of memory."""
    runs: int
    """One-off and scheduled runs of one app at the same time; further ones wait."""


class SizeOut(TypedDict):
    """What an instance of a size may use."""

    cpu_millis: int
    """Thousandths of a CPU."""
    memory_mib: int
    """MiB of memory."""


EnvironmentPatchKind: TypeAlias = Literal["development", "preview", "staging", "production"] | None
"""What it is for."""

EnvironmentPatchOverlapPolicy: TypeAlias = Literal["queue_latest", "queue_all", "override", "reject"] | None
"""For app environments that say nothing themselves."""

ListEnvironmentsSort: TypeAlias = Literal["-created_at", "created_at", "-name", "name", "-slug", "slug"]
"""The order; a minus: falling."""
