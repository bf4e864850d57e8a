"""Shapes of apps. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

from kovra.client.models.projects import ProjectOut


class AppIn(TypedDict):
    """A new app."""

    project: str
    """Id or slug."""
    name: str
    """For people to read."""
    slug: NotRequired[str | None]
    """Default: made of the name."""
    image: NotRequired[str | None]
    """What a deployment that names no image takes."""
    processes: NotRequired[dict[str, ProcessIn] | None]
    """Default: web on port 8080."""
    release_command: NotRequired[list[str] | None]
    """Runs once before each rollout."""
    drain_s: NotRequired[int]
    """Seconds an instance has to end after it was told to."""


class AppOut(TypedDict):
    """An app."""

    id: str
    """Its id, for ever."""
    object: Literal["app"]
    """What kind of object this is."""
    project_id: str
    """The project it belongs to."""
    name: str
    """For people to read."""
    slug: str
    """For people to type; unique among its like."""
    image: str | None
    """What a deployment that names no image takes."""
    processes: dict[str, Any]
    """By name, as they were given."""
    release_command: list[str] | None
    """Runs once before each rollout."""
    drain_s: int
    """Seconds an instance has to end after it was told to."""
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


class AppPatch(TypedDict):
    """What to change; null removes where null is allowed."""

    name: NotRequired[str | None]
    """For people to read."""
    image: NotRequired[str | None]
    """What a deployment that names no image takes; null: none."""
    processes: NotRequired[dict[str, ProcessIn] | None]
    """All of them: what is left out goes with the next deployment."""
    release_command: NotRequired[list[str] | None]
    """Runs once before each rollout; null: none."""
    drain_s: NotRequired[int | None]
    """Seconds an instance has to end after it was told to."""


class AutoscaleIn(TypedDict):
    """Bounds within which the cluster decides how many instances run, by what they use."""

    min: NotRequired[int]
    """At least so many run."""
    max: int
    """At most so many; the environment's quota is counted with these."""
    cpu: NotRequired[int | None]
    """Percent of their size's CPU that instances use on average."""
    memory: NotRequired[int | None]
    """The same of memory; of both, whichever asks for more instances decides."""


class CheckIn(TypedDict):
    """A health check: by HTTP path, by TCP connect (neither given), or by a command in the container."""

    path: NotRequired[str | None]
    """Asked by HTTP; 200 to 399 is good. Not together with `command`."""
    port: NotRequired[int | None]
    """Default: the process's port."""
    command: NotRequired[list[str] | None]
    """Run in the container; exit code 0 is good."""
    initial_delay_s: NotRequired[int]
    """Seconds after the start before the first check."""
    period_s: NotRequired[int]
    """Seconds between checks."""
    timeout_s: NotRequired[int]
    """Seconds an answer may take."""
    failures: NotRequired[int]
    """So many failures in a row count."""


class ChecksIn(TypedDict):
    """The three health checks of Kubernetes."""

    startup: NotRequired[CheckIn | None]
    """Until it is good, the others wait; when it never is, the container is started anew."""
    readiness: NotRequired[CheckIn | None]
    """While it fails the instance gets no traffic; a release is live only once it is good."""
    liveness: NotRequired[CheckIn | None]
    """When it fails the container is started anew."""


class ListOfAppOut(TypedDict):
    """ListOfAppOut."""

    data: list[AppOut]
    """The objects of this page."""
    next: str | None
    """The `cursor` of the next page; null: there is none."""
    has_more: bool
    """Whether there is another page."""


class ProcessIn(TypedDict):
    """One kind of process of an app."""

    command: NotRequired[list[str] | None]
    """Default: the image's own."""
    port: NotRequired[int | None]
    """Where it listens."""
    instances: NotRequired[int]
    """How many run, until an app environment is scaled."""
    size: NotRequired[Literal["nano", "micro", "small", "medium", "large"]]
    """CPU and memory of an instance: nano 0.1 CPU and 128 MiB, micro 0.25 and 256 MiB, small 0.5 and 512 MiB, medium 1
    and 1 GiB, large 2 and 4 GiB, unless operators say otherwise (`usage` of an environment).
    """
    checks: NotRequired[ChecksIn | None]
    """Health checks; without any an instance is ready once it runs."""
    run_as_user: NotRequired[int | None]
    """Needed for images whose user is root or a name."""
    autoscale: NotRequired[AutoscaleIn | None]
    """The cluster decides how many instances run; `instances` and scale do not count then. Takes effect with the next
    deployment.
    """
    volumes: NotRequired[list[VolumeIn] | None]
    """Disks that outlive its instance. Each deployment then has a gap; a lost node means waiting until the disk can be
    had elsewhere; Kovra makes no backups of them.
    """


class VolumeIn(TypedDict):
    """A disk of a process. It has one instance then, which ends before the next one begins."""

    name: str
    """For people to read."""
    path: str
    """Where it is in the container; what the image has there is hidden."""
    size_gib: int
    """It may grow, where the cluster's storage lets it, and never shrinks."""


ListAppsSort: TypeAlias = Literal["-created_at", "created_at", "-name", "name", "-slug", "slug"]
"""The order; a minus: falling."""
