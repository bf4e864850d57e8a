"""Request and response models of projects, environments and apps."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from kovra.features.projects.queries.rows import AppRow, EnvironmentRow, ProjectRow
from kovra.foundation.web.fields import Input, Name, Output, Reference, Slug, Text, Time, wire
from kovra.foundation.web.includes import embedded

Kind = Literal["development", "preview", "staging", "production"]
OverlapPolicy = Literal["queue_latest", "queue_all", "override", "reject"]
SizeName = Literal["nano", "micro", "small", "medium", "large"]
ProcessName = Annotated[str, StringConstraints(pattern=r"^[a-z](-?[a-z0-9])*$", max_length=20)]


def _word(value: str) -> str:
    if "\x00" in value:
        raise PydanticCustomError("control_character", "NUL is not allowed.")
    return value


Word = Annotated[str, StringConstraints(min_length=1, max_length=2000), AfterValidator(_word)]
Command = Annotated[list[Word], Field(min_length=1, max_length=100)]
Image = Annotated[str, StringConstraints(min_length=1, max_length=512)]


class CheckIn(Input):
    """A health check: by HTTP path, by TCP connect (neither given), or by a command in the container."""

    path: Annotated[str, StringConstraints(pattern=r"^/[!-~]{0,500}$")] | None = Field(
        default=None, description="Asked by HTTP; 200 to 399 is good. Not together with `command`."
    )
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(default=None, description="Default: the process's port.")
    command: Command | None = Field(default=None, description="Run in the container; exit code 0 is good.")
    initial_delay_s: Annotated[int, Field(ge=0, le=600)] = Field(
        default=0, description="Seconds after the start before the first check."
    )
    period_s: Annotated[int, Field(ge=1, le=300)] = Field(default=5, description="Seconds between checks.")
    timeout_s: Annotated[int, Field(ge=1, le=60)] = Field(default=3, description="Seconds an answer may take.")
    failures: Annotated[int, Field(ge=1, le=60)] = Field(default=3, description="So many failures in a row count.")

    @model_validator(mode="after")
    def _one_kind(self) -> CheckIn:
        if self.path is not None and self.command is not None:
            raise PydanticCustomError("check_ambiguous", "Give a path or a command, not both.")
        return self


class ChecksIn(Input):
    """The three health checks of Kubernetes."""

    startup: CheckIn | None = Field(
        default=None, description="Until it is good, the others wait; when it never is, the container is started anew."
    )
    readiness: CheckIn | None = Field(
        default=None, description="While it fails the instance gets no traffic; a release is live only once it is good."
    )
    liveness: CheckIn | None = Field(default=None, description="When it fails the container is started anew.")


class AutoscaleIn(Input):
    """Bounds within which the cluster decides how many instances run, by what they use."""

    min: Annotated[int, Field(ge=1, le=50)] = Field(default=1, examples=[2], description="At least so many run.")
    max: Annotated[int, Field(ge=1, le=50)] = Field(
        examples=[6], description="At most so many; the environment's quota is counted with these."
    )
    cpu: Annotated[int, Field(ge=1, le=100)] | None = Field(
        default=None, examples=[70], description="Percent of their size's CPU that instances use on average."
    )
    memory: Annotated[int, Field(ge=1, le=100)] | None = Field(
        default=None, description="The same of memory; of both, whichever asks for more instances decides."
    )

    @model_validator(mode="after")
    def _bounded(self) -> AutoscaleIn:
        if self.max < self.min:
            raise PydanticCustomError("autoscale_bounds", "max must not be less than min.")
        if self.cpu is None and self.memory is None:
            raise PydanticCustomError("autoscale_target_needed", "Give cpu, memory or both, in percent.")
        return self


class VolumeIn(Input):
    """A disk of a process. It has one instance then, which ends before the next one begins."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$")] = Field(examples=["data"])
    path: Annotated[str, StringConstraints(pattern=r"^(/[A-Za-z0-9_][A-Za-z0-9._-]{0,63}){1,8}$")] = Field(
        examples=["/var/lib/app"], description="Where it is in the container; what the image has there is hidden."
    )
    size_gib: Annotated[int, Field(ge=1, le=10_000)] = Field(
        examples=[5], description="It may grow, where the cluster's storage lets it, and never shrinks."
    )


class ProcessIn(Input):
    """One kind of process of an app."""

    command: Command | None = Field(default=None, description="Default: the image's own.")
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(default=None, description="Where it listens.")
    instances: Annotated[int, Field(ge=0, le=50)] = Field(
        default=1, description="How many run, until an app environment is scaled."
    )
    size: SizeName = Field(
        default="nano",
        description=(
            "CPU and memory of an instance: nano 0.1 CPU and 128 MiB, micro 0.25 and 256 MiB, small 0.5 and 512 MiB, "
            "medium 1 and 1 GiB, large 2 and 4 GiB, unless operators say otherwise (`usage` of an environment)."
        ),
    )
    checks: ChecksIn | None = Field(
        default=None, description="Health checks; without any an instance is ready once it runs."
    )
    run_as_user: Annotated[int, Field(ge=1, le=4_294_967_294)] | None = Field(
        default=None, description="Needed for images whose user is root or a name."
    )
    autoscale: AutoscaleIn | None = Field(
        default=None,
        description=(
            "The cluster decides how many instances run; `instances` and scale do not count then. Takes effect with the "
            "next deployment."
        ),
    )
    volumes: Annotated[list[VolumeIn], Field(min_length=1, max_length=5)] | None = Field(
        default=None,
        description=(
            "Disks that outlive its instance. Each deployment then has a gap; a lost node means waiting until the disk can "
            "be had elsewhere; Kovra makes no backups of them."
        ),
    )


Processes = Annotated[dict[ProcessName, ProcessIn], Field(min_length=1, max_length=10)]


class ProjectIn(Input):
    """A new project."""

    name: Name = Field(examples=["Shop"])
    slug: Slug | None = Field(default=None, examples=["shop"], description="Default: made of the name.")
    description: Text = Field(default="", description="Free text.")


class ProjectPatch(Input):
    """What to change."""

    name: Name | None = Field(default=None, examples=["Shop"])
    description: Text | None = Field(
        default=None, examples=["The shop and what belongs to it."], description="Free text."
    )


class ProjectOut(Output):
    """A project."""

    id: Annotated[UUID, wire("prj")]
    object: Literal["project"] = "project"
    name: str = Field(examples=["Shop"])
    slug: str = Field(examples=["shop"])
    description: str = Field(description="Free text.")
    created_at: Time
    updated_at: Time
    deleted_at: Time | None = None
    purge_at: Time | None = None

    @classmethod
    def of(cls, row: ProjectRow) -> ProjectOut:
        """The project as it is shown."""
        return cls(
            id=row.id, name=row.name, slug=row.slug, description=row.description, created_at=row.created_at,
            updated_at=row.updated_at, deleted_at=row.deleted_at, purge_at=row.purge_at,
        )  # fmt: skip


class EnvironmentIn(Input):
    """A new environment."""

    project: Reference = Field(examples=["shop"], description="Id or slug.")
    name: Name = Field(examples=["Staging"])
    slug: Slug | None = Field(default=None, examples=["staging"], description="Default: made of the name.")
    kind: Kind = Field(default="development", examples=["staging"], description="What it is for.")
    protected: bool = Field(default=False, description="Changing what runs here needs environments:use_protected.")
    delete_protected: bool = Field(default=False, description="While true it cannot be deleted.")
    overlap_policy: OverlapPolicy = Field(
        default="queue_latest",
        description=(
            "What a deployment does that meets another one: wait and make way for later ones, wait its turn, "
            "call the other one off, or be refused."
        ),
    )
    cluster: Reference | None = Field(
        default=None,
        description="A cluster of the organization's own, id or slug, for good; default: Kovra's.",
    )


class EnvironmentPatch(Input):
    """What to change."""

    name: Name | None = Field(default=None, examples=["Staging"])
    kind: Kind | None = Field(default=None, examples=["staging"], description="What it is for.")
    protected: bool | None = Field(
        default=None, examples=[True], description="Changing what runs here needs environments:use_protected."
    )
    delete_protected: bool | None = Field(default=None, description="While true it cannot be deleted.")
    overlap_policy: OverlapPolicy | None = Field(
        default=None, description="For app environments that say nothing themselves."
    )


class EnvironmentOut(Output):
    """An environment."""

    id: Annotated[UUID, wire("env")]
    object: Literal["environment"] = "environment"
    project_id: Annotated[UUID, wire("prj")]
    name: str = Field(examples=["Production"])
    slug: str = Field(examples=["production"])
    kind: Kind = Field(description="What it is for.", examples=["production"])
    protected: bool = Field(description="Changing what runs here needs environments:use_protected.")
    delete_protected: bool = Field(description="While true it cannot be deleted.")
    overlap_policy: OverlapPolicy = Field(description="For app environments that say nothing themselves.")
    cluster_id: Annotated[UUID | None, wire("clu")] = Field(
        default=None, description="The organization's own cluster it is placed on; null: Kovra's."
    )
    created_at: Time
    updated_at: Time
    deleted_at: Time | None = None
    purge_at: Time | None = None
    project: ProjectOut | None = embedded()

    @classmethod
    def of(cls, row: EnvironmentRow, project: ProjectRow | None = None) -> EnvironmentOut:
        """The environment as it is shown."""
        return cls(
            id=row.id, project_id=row.project_id, name=row.name, slug=row.slug, kind=row.kind,
            protected=row.protected, delete_protected=row.delete_protected, overlap_policy=row.overlap_policy, cluster_id=row.cluster_id,
            created_at=row.created_at, updated_at=row.updated_at, deleted_at=row.deleted_at, purge_at=row.purge_at,
            project=ProjectOut.of(project) if project else None,
        )  # fmt: skip


class AppIn(Input):
    """A new app."""

    project: Reference = Field(examples=["shop"], description="Id or slug.")
    name: Name = Field(examples=["Web"])
    slug: Slug | None = Field(default=None, examples=["web"], description="Default: made of the name.")
    image: Image | None = Field(
        default=None, examples=["registry.test/kovra/ok:1"], description="What a deployment that names no image takes."
    )
    processes: Processes | None = Field(
        default=None,
        description="Default: web on port 8080.",
        examples=[{"web": {"port": 8080, "checks": {"readiness": {"path": "/healthz"}}}}],
    )
    release_command: Command | None = Field(default=None, description="Runs once before each rollout.")
    drain_s: Annotated[int, Field(ge=0, le=120)] = Field(
        default=10, description="Seconds an instance has to end after it was told to."
    )


class AppPatch(Input):
    """What to change; null removes where null is allowed."""

    name: Name | None = None
    image: Image | None = Field(
        default=None,
        examples=["registry.test/kovra/ok:2"],
        description="What a deployment that names no image takes; null: none.",
    )
    processes: Processes | None = Field(
        default=None,
        examples=[{"web": {"port": 8080, "instances": 2, "size": "small"}}],
        description="All of them: what is left out goes with the next deployment.",
    )
    release_command: Command | None = Field(
        default=None, examples=[["./migrate"]], description="Runs once before each rollout; null: none."
    )
    drain_s: Annotated[int, Field(ge=0, le=120)] | None = Field(
        default=None, description="Seconds an instance has to end after it was told to."
    )


class AppOut(Output):
    """An app."""

    id: Annotated[UUID, wire("app")]
    object: Literal["app"] = "app"
    project_id: Annotated[UUID, wire("prj")]
    name: str
    slug: str = Field(examples=["web"])
    image: str | None = Field(
        description="What a deployment that names no image takes.", examples=["registry.test/kovra/ok:1"]
    )
    processes: dict[str, Any] = Field(description="By name, as they were given.")
    release_command: list[str] | None = Field(description="Runs once before each rollout.")
    drain_s: int = Field(description="Seconds an instance has to end after it was told to.")
    created_at: Time
    updated_at: Time
    deleted_at: Time | None = None
    purge_at: Time | None = None
    project: ProjectOut | None = embedded()

    @classmethod
    def of(cls, row: AppRow, project: ProjectRow | None = None) -> AppOut:
        """The app as it is shown."""
        return cls(
            id=row.id, project_id=row.project_id, name=row.name, slug=row.slug, image=row.image,
            processes=row.processes, release_command=row.release_command, drain_s=row.drain_s,
            created_at=row.created_at, updated_at=row.updated_at, deleted_at=row.deleted_at, purge_at=row.purge_at,
            project=ProjectOut.of(project) if project else None,
        )  # fmt: skip
