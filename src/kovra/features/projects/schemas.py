"""Request and response models of projects, environments, apps and app environments."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from kovra.features.projects.queries.rows import AppEnvironmentRow, AppRow, EnvironmentRow, ProjectRow
from kovra.features.projects.rules import host_label
from kovra.foundation.web.addresses import AppAddresses
from kovra.foundation.web.fields import Input, Name, Output, Reference, Slug, Text, Time, wire
from kovra.foundation.web.includes import embedded

Kind = Literal["development", "preview", "staging", "production"]
OverlapPolicy = Literal["queue_latest", "queue_all", "override", "reject"]
SizeName = Literal["nano", "micro", "small", "medium", "large"]
ProcessName = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$")]


def _word(value: str) -> str:
    if "\x00" in value:
        raise PydanticCustomError("control_character", "NUL is not allowed.")
    return value


Word = Annotated[str, StringConstraints(min_length=1, max_length=2000), AfterValidator(_word)]
Command = Annotated[list[Word], Field(min_length=1, max_length=100)]
Image = Annotated[str, StringConstraints(min_length=1, max_length=512)]


class CheckIn(Input):
    """A health check: by HTTP path, by TCP connect (neither given), or by a command in the container."""

    path: Annotated[str, StringConstraints(pattern=r"^/[!-~]{0,500}$")] | None = None
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(default=None, description="Default: the process's port.")
    command: Command | None = None
    initial_delay_s: Annotated[int, Field(ge=0, le=600)] = 0
    period_s: Annotated[int, Field(ge=1, le=300)] = 5
    timeout_s: Annotated[int, Field(ge=1, le=60)] = 3
    failures: Annotated[int, Field(ge=1, le=60)] = 3

    @model_validator(mode="after")
    def _one_kind(self) -> CheckIn:
        if self.path is not None and self.command is not None:
            raise PydanticCustomError("check_ambiguous", "Give a path or a command, not both.")
        return self


class ChecksIn(Input):
    """The three health checks of Kubernetes."""

    startup: CheckIn | None = None
    readiness: CheckIn | None = None
    liveness: CheckIn | None = None


class ProcessIn(Input):
    """One kind of process of an app."""

    command: Command | None = Field(default=None, description="Default: the image's own.")
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(default=None, description="Where it listens.")
    instances: Annotated[int, Field(ge=0, le=50)] = 1
    size: SizeName = "nano"
    checks: ChecksIn | None = None
    run_as_user: Annotated[int, Field(ge=1, le=4_294_967_294)] | None = Field(
        default=None, description="Needed for images whose user is root or a name."
    )


Processes = Annotated[dict[ProcessName, ProcessIn], Field(min_length=1, max_length=10)]


class ProjectIn(Input):
    """A new project."""

    name: Name = Field(examples=["Shop"])
    slug: Slug | None = Field(default=None, examples=["shop"])
    description: Text = ""


class ProjectPatch(Input):
    """What to change."""

    name: Name | None = Field(default=None, examples=["Shop"])
    description: Text | None = Field(default=None, examples=["The shop and what belongs to it."])


class ProjectOut(Output):
    """A project."""

    id: Annotated[UUID, wire("prj")]
    object: Literal["project"] = "project"
    name: str
    slug: str
    description: str
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

    project: Reference = Field(examples=["shop"])
    name: Name = Field(examples=["Staging"])
    slug: Slug | None = Field(default=None, examples=["staging"])
    kind: Kind = Field(default="development", examples=["staging"])
    protected: bool = Field(default=False, description="Changing what runs here needs environments:use_protected.")
    delete_protected: bool = False
    overlap_policy: OverlapPolicy = "queue_latest"


class EnvironmentPatch(Input):
    """What to change."""

    name: Name | None = Field(default=None, examples=["Staging"])
    kind: Kind | None = Field(default=None, examples=["staging"])
    protected: bool | None = Field(default=None, examples=[True])
    delete_protected: bool | None = None
    overlap_policy: OverlapPolicy | None = None


class EnvironmentOut(Output):
    """An environment."""

    id: Annotated[UUID, wire("env")]
    object: Literal["environment"] = "environment"
    project_id: Annotated[UUID, wire("prj")]
    name: str
    slug: str
    kind: Kind
    protected: bool
    delete_protected: bool
    overlap_policy: OverlapPolicy
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
            protected=row.protected, delete_protected=row.delete_protected, overlap_policy=row.overlap_policy,
            created_at=row.created_at, updated_at=row.updated_at, deleted_at=row.deleted_at, purge_at=row.purge_at,
            project=ProjectOut.of(project) if project else None,
        )  # fmt: skip


class AppIn(Input):
    """A new app."""

    project: Reference = Field(examples=["shop"])
    name: Name = Field(examples=["Web"])
    slug: Slug | None = Field(default=None, examples=["web"])
    image: Image | None = Field(default=None, examples=["registry.test/kovra/ok:1"])
    processes: Processes | None = Field(
        default=None,
        description="Default: web on port 8080.",
        examples=[{"web": {"port": 8080, "checks": {"readiness": {"path": "/healthz"}}}}],
    )
    release_command: Command | None = Field(default=None, description="Runs once before each rollout.")
    drain_s: Annotated[int, Field(ge=0, le=120)] = 10


class AppPatch(Input):
    """What to change; null removes where null is allowed."""

    name: Name | None = None
    image: Image | None = Field(default=None, examples=["registry.test/kovra/ok:2"])
    processes: Processes | None = Field(
        default=None, examples=[{"web": {"port": 8080, "instances": 2, "size": "small"}}]
    )
    release_command: Command | None = Field(default=None, examples=[["./migrate"]])
    drain_s: Annotated[int, Field(ge=0, le=120)] | None = None


class AppOut(Output):
    """An app."""

    id: Annotated[UUID, wire("app")]
    object: Literal["app"] = "app"
    project_id: Annotated[UUID, wire("prj")]
    name: str
    slug: str
    image: str | None
    processes: dict[str, Any]
    release_command: list[str] | None
    drain_s: int
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


class ReleaseRef(Output):
    """The release that serves."""

    id: Annotated[UUID, wire("rel")]
    number: int
    image: str
    digest: str


class AppEnvironmentPatch(Input):
    """What to change."""

    scale: dict[ProcessName, Annotated[int, Field(ge=0, le=50)]] | None = Field(default=None, examples=[{"web": 2}])
    overlap_policy: OverlapPolicy | None = Field(default=None, description="null: as the environment says.")
    watch_window_s: Annotated[int, Field(ge=0, le=3600)] | None = None
    auto_rollback: bool | None = None
    auto_deploy_paused: bool | None = None


class AppEnvironmentOut(Output):
    """An app in an environment."""

    id: Annotated[UUID, wire("aev")]
    object: Literal["app_environment"] = "app_environment"
    project_id: Annotated[UUID, wire("prj")]
    app_id: Annotated[UUID, wire("app")]
    environment_id: Annotated[UUID, wire("env")]
    url: str | None
    scale: dict[str, int]
    overlap_policy: OverlapPolicy
    watch_window_s: int
    auto_rollback: bool
    auto_deploy_paused: bool
    suspended: bool
    config_revision: int
    current_release: ReleaseRef | None
    current_deployment_id: Annotated[UUID | None, wire("dep")]
    health: str
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
        url = addresses.url(host_label(row.app_slug, row.environment_slug, row.id)) if row.has_web else None
        return cls(
            id=row.id, project_id=row.project_id, app_id=row.app_id, environment_id=row.environment_id, url=url,
            scale=row.scale, overlap_policy=row.overlap_policy or row.environment_overlap_policy,
            watch_window_s=row.watch_window_s, auto_rollback=row.auto_rollback,
            auto_deploy_paused=row.auto_deploy_paused, suspended=row.suspended,
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
