"""Request and response models of change sets, and the format of kovra.yaml: made of the API's own models, field for field."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import BaseModel, Field, create_model

from kovra.features.changesets.queries import ChangeSetRow
from kovra.features.changesets.rules.differing import Values
from kovra.features.changesets.rules.wanted import Defaults
from kovra.features.changesets.states import MOST_APPS
from kovra.features.changesets.states import shown as shown_state
from kovra.features.projects.schemas import AppIn, AppPatch, Image, Processes, ProcessIn
from kovra.features.projects.schemas.app_environments import AppEnvironmentPatch
from kovra.features.runs.schemas import CronJobIn, CronJobPatch
from kovra.foundation.web.actors import shown
from kovra.foundation.web.fields import Input, Output, Reference, Slug, Text, Time, wire

LEFT_OUT: Final = {
    "auto_deploy_paused": "A rollback sets it until a person has looked; a file applied again must not clear it.",
    "maintenance": "A person switches it on for a while; a file applied meanwhile must not end it.",
}
"""Fields of an app environment that no file sets, each with its reason."""
FORMAT: Final = 1

_here: dict[str, Any] = {
    name: (field.annotation, field) for name, field in AppEnvironmentPatch.model_fields.items() if name not in LEFT_OUT
}
_Here: Any = create_model("_Here", __base__=Input, **_here)


class CronJobWish(CronJobPatch):
    """A cron job; one that is not there yet needs schedule and command."""


class _Named(_Here):  # made of the other model's fields, so that new ones appear here by themselves
    config: Annotated[dict[str, str | None], Field(max_length=200)] | None = Field(
        default=None,
        examples=[{"LOG_LEVEL": "info"}],
        description="Config vars by name: texts, in quotes where they look like something else. null removes.",
    )
    secrets: Annotated[list[Annotated[str, Field(max_length=128)]], Field(max_length=200)] | None = Field(
        default=None,
        examples=[["DATABASE_URL"]],
        description="Names of the secrets it needs. Their values are set with `kovra secrets set`, never here.",
    )
    cron_jobs: Annotated[dict[Slug, CronJobWish | None], Field(max_length=50)] | None = Field(
        default=None, description="Cron jobs by name. null removes."
    )


class AppHere(_Named):
    """What is wanted of an app in one environment, over what is said of it everywhere."""

    image: Image | None = Field(
        default=None, description="What is to run here, where that differs from the app's image."
    )


class AppWanted(AppPatch, _Named):
    """What is wanted of an app. What is not named stays as it is."""

    processes: Processes | None = Field(
        default=None,
        examples=[{"web": {"port": 8080, "checks": {"readiness": {"path": "/healthz"}}}}],
        description="By name. Processes that are not named stay, and so do fields of those that are, unless `prune` is set.",
    )


class EnvironmentWanted(Input):
    """What is wanted of one environment alone."""

    apps: Annotated[dict[Slug, AppHere], Field(max_length=MOST_APPS)] = Field(default={}, description="By slug.")


class KovraFile(Input):
    """The wanted state of a project: kovra.yaml."""

    version: Literal[1] = Field(description="Of this format.")
    project: Reference = Field(
        examples=["shop"], description="Its slug. The project and its environments must be there."
    )
    prune: bool = Field(
        default=False,
        description="Whether what is there and not named here goes: apps, and within the sections that are here processes, "
        "fields of processes, config vars, secrets, cron jobs. Without it nothing goes but what is null.",
    )
    apps: Annotated[dict[Slug, AppWanted], Field(max_length=MOST_APPS)] = Field(
        default={}, description="Apps by slug; one that is not there is made."
    )
    environments: Annotated[dict[Slug, EnvironmentWanted], Field(max_length=50)] = Field(
        default={}, description="What differs by environment, by the environment's slug."
    )


class ChangeSetIn(Input):
    """What is wanted, and of which environment."""

    environment: Reference = Field(examples=["production"], description="Id or slug.")
    state: KovraFile = Field(
        description="The content of a kovra.yaml.",
        examples=[{"version": 1, "project": "shop", "apps": {"web": {"image": "registry.test/kovra/ok:2"}}}],
    )
    prune: bool | None = Field(default=None, description="Over what the file says.")
    message: Text = Field(default="", examples=["release 42"], description="Free text; its deployments carry it.")
    trigger: Literal["api", "cli", "console", "ci"] = Field(default="api", description="From where it is asked for.")


_PARTIAL: Final = (KovraFile, EnvironmentWanted, AppWanted, AppHere, ProcessIn, CronJobWish)
"""Of these, what is not named stays; every other value is whole, with its defaults."""


def given(value: Any) -> Any:
    """What a file says, as plain values: null where it says null, and nothing where it says nothing."""
    if isinstance(value, _PARTIAL):
        return {
            name: given(getattr(value, name)) for name in type(value).model_fields if name in value.model_fields_set
        }
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_none=True)
    if isinstance(value, dict):
        return {name: given(inner) for name, inner in value.items()}
    return value


def defaults() -> Defaults:
    """What the API gives to fields that nobody names."""
    return Defaults(
        app=_defaults(AppIn, "project", "name", "slug"),
        process=ProcessIn().model_dump(),
        cron_job=_defaults(CronJobIn, "app_environment", "name"),
    )


def _defaults(model: type[Input], *but: str) -> dict[str, Any]:
    return {
        name: field.default for name, field in model.model_fields.items() if name not in but and not field.is_required()
    }


class ChangeOut(Output):
    """One field that changes."""

    app: str = Field(examples=["web"], description="The app's slug.")
    part: Literal["app", "environment", "config", "secrets", "cron_jobs", "release"] = Field(
        description="Of the app itself, of the app in this environment, of its config, secrets or cron jobs, or what it runs."
    )
    path: str = Field(examples=["processes.web.instances"], description="The field within that part.")
    action: Literal["add", "change", "remove"] = Field(description="What becomes of it.")
    before: Any = Field(default=None, examples=[1], description="Its value now; null where there is none.")
    after: Any = Field(default=None, examples=[2], description="Its value then; null where there is none.")
    hidden: bool = Field(
        default=False,
        description="Whether the values are withheld: of config vars, from who may not read them, and once applied.",
    )


class AppPlanOut(Output):
    """What becomes of one app."""

    app: str = Field(examples=["web"], description="Its slug.")
    action: Literal["create", "update", "delete", "none"] = Field(description="What becomes of it.")
    deploys: Literal["image", "scale"] | None = Field(
        description="Whether applying starts a deployment: of an image, or of other numbers of instances. null: none."
    )
    image: str | None = Field(examples=["registry.test/kovra/ok:2"], description="The image that is deployed.")
    needs: list[str] = Field(
        examples=[[]], description="Secrets without a value, for want of which it is not deployed."
    )


class ObjectFieldOut(Output):
    """One field of an object."""

    path: str = Field(examples=["spec.replicas"], description="Within the object.")
    before: str | None = Field(examples=["1"], description="null: absent, or not to be shown.")
    after: str | None = Field(examples=["2"], description="null: absent, or not to be shown.")


class ObjectOut(Output):
    """A Kubernetes object that changes."""

    app: str = Field(examples=["web"], description="The app's slug.")
    kind: str = Field(examples=["Deployment"], description="Its kind.")
    name: str = Field(examples=["aev-01jdqjwz00fay8vvr14d2pf2db-web"], description="Its name.")
    change: Literal["create", "change", "delete"] = Field(description="What becomes of it.")
    fields: list[ObjectFieldOut] = Field(description="What differs; at most 20 fields.")
    dry_run: bool = Field(description="Whether the cluster itself said so.")
    refused: str | None = Field(examples=[None], description="Why the cluster refuses it; null: it does not.")


class DemandOut(Output):
    """What instances ask for."""

    cpu_millis: int = Field(description="Thousandths of a CPU.")
    memory_mib: int = Field(description="MiB.")
    pods: int = Field(description="Instances.")


class QuotaEffectOut(Output):
    """What the whole environment asks for."""

    before: DemandOut = Field(description="Now.")
    after: DemandOut = Field(description="Once it is applied.")
    surge: DemandOut = Field(description="What rollouts ask for besides, while they last.")
    limit: DemandOut = Field(description="What the plan gives to one environment.")


class WarningOut(Output):
    """Something to know before it is applied."""

    code: str = Field(examples=["restart"], description="For programs.")
    app: str | None = Field(examples=["web"], description="Of which app; null: of the environment.")
    about: str | None = Field(examples=[None], description="What of it.")
    message: str = Field(examples=["Its instances are replaced, one after the other."], description="For people.")


class WrongOut(Output):
    """A field of the file that cannot be."""

    pointer: str = Field(examples=["/state/apps/web/processes/web/port"], description="Where (RFC 6901).")
    code: str = Field(examples=["port_needed"], description="For programs.")
    message: str = Field(description="For people.")


class ChangeSetReasonOut(Output):
    """Why what is wanted cannot be had."""

    code: str = Field(examples=["port_needed"], description="For programs.")
    message: str = Field(description="What is wrong.")
    hint: str | None = Field(description="What to do.")
    errors: list[WrongOut] = Field(description="The fields that are wrong.")


class ChangeSetOut(Output):
    """A change set: what a wanted state changes, and whether it was applied."""

    id: Annotated[UUID, wire("cs")]
    object: Literal["change_set"] = "change_set"
    project_id: Annotated[UUID, wire("prj")]
    environment_id: Annotated[UUID, wire("env")]
    project: str = Field(examples=["shop"], description="The project's slug.")
    environment: str = Field(examples=["production"], description="The environment's slug.")
    state: Literal["planning", "ready", "failed", "applied", "expired"] = Field(
        description="planning → ready → applied; `failed`: it cannot be had; `expired`: it was ready for too long."
    )
    message: str = Field(description="As it was given.")
    prune: bool = Field(description="Whether what is not named goes.")
    apps: list[AppPlanOut] = Field(description="Every app it is about; empty while it is planned.")
    changes: list[ChangeOut] = Field(description="Field by field; empty: it changes nothing.")
    objects: list[ObjectOut] | None = Field(
        description="What the cluster makes of it, by server-side dry run; null: it is not known."
    )
    quota: QuotaEffectOut | None = Field(description="What it does to the environment's use; null: not planned yet.")
    warnings: list[WarningOut] = Field(description="To know before it is applied.")
    reason: ChangeSetReasonOut | None = Field(description="Why it failed.")
    deployment_ids: list[str] = Field(examples=[[]], description="What applying it has started.")
    trigger: Literal["api", "cli", "console", "ci"] = Field(description="From where it was asked for.")
    actor: str
    applied_by: str | None = Field(description="Who applied it.")
    created_at: Time
    updated_at: Time
    planned_at: Time | None = Field(description="When it was known what it changes.")
    applied_at: Time | None = Field(description="When it was applied.")
    expires_at: Time = Field(description="From then on it is not applied any more.")

    @classmethod
    def of(cls, row: ChangeSetRow, values: Values | None = None) -> ChangeSetOut:
        """As it is shown; with values of config vars for who may read them."""
        plan = row.plan or {}
        checked: Any = {"state": shown_state(row.state, row.expires_at), "trigger": row.trigger}
        return cls(
            id=row.id, project_id=row.project_id, environment_id=row.environment_id, project=row.project_slug,
            environment=row.environment_slug, message=row.message, prune=row.prune,
            apps=[AppPlanOut(**app) for app in plan.get("apps", ())],
            changes=[_change(change, values) for change in plan.get("changes", ())],
            objects=[ObjectOut(**one) for one in plan["objects"]] if plan.get("objects") is not None else None,
            quota=QuotaEffectOut(**plan["quota"]) if plan else None,
            warnings=[WarningOut(**one) for one in plan.get("warnings", ())],
            reason=ChangeSetReasonOut(**row.reason) if row.reason else None, deployment_ids=row.deployments,
            actor=shown(row.actor), applied_by=shown(row.applied_by) if row.applied_by else None,
            created_at=row.created_at, updated_at=row.updated_at, planned_at=row.planned_at, applied_at=row.applied_at,
            expires_at=row.expires_at, **checked,
        )  # fmt: skip


def _change(change: dict[str, Any], values: Values | None) -> ChangeOut:
    if change["part"] != "config":
        return ChangeOut(**change)
    known = (values or {}).get(change["app"], {}).get(change["path"])
    if known is None:
        return ChangeOut(**{**change, "hidden": True})
    return ChangeOut(**{**change, "before": known[0], "after": known[1]})


def described() -> str:
    """The JSON Schema of kovra.yaml, as it is published."""
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **KovraFile.model_json_schema()}
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
