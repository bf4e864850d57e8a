"""What projects, environments and apps have in common: slugs, cascades, retiring, reviving, pairs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

from kovra.features.projects import queries
from kovra.features.projects.messages import (
    EnvironmentCreated,
    RetireAppEnvironment,
    ReviveAppEnvironment,
)
from kovra.features.projects.plans import Plans
from kovra.features.projects.queries import AppEnvironmentRow, EnvironmentRow, deleting
from kovra.features.projects.rules import check_room
from kovra.foundation import clock
from kovra.foundation.access import Permission
from kovra.foundation.db.failures import Duplicate
from kovra.foundation.db.session import TenantSession
from kovra.foundation.db.statements import Statement
from kovra.foundation.db.turns import take_turn
from kovra.foundation.errors import Conflict, FieldError, Gone, Invalid
from kovra.foundation.events import Scope, record
from kovra.foundation.ids import encode, new_id, slugify
from kovra.foundation.jobs.messages import enqueue

T = TypeVar("T")

UNDO_WINDOW: Final = timedelta(days=7)


def slug_of(name: str, slug: str | None) -> str:
    made = slug or slugify(name)
    if not made:
        raise Invalid.field("/slug", "slug_needed", "No slug can be made from this name; give one.")
    return made


def taken(duplicate: Duplicate, what: str) -> Conflict:
    return Conflict(
        f"There is {what} with this slug already, or one deleted less than seven days ago.",
        code="slug_taken",
        hint="Choose another slug, or restore the deleted one.",
        fields=[FieldError(pointer="/slug", code="slug_taken", message="This slug is taken.")],
    )


def changed_fields(before: Any, after: Any) -> list[str]:
    old, new = asdict(before), asdict(after)
    return sorted(name for name in new if new[name] != old[name])


def allow_cascade(what: str, slug: str, given: str | None, apps: list[str]) -> None:
    if apps and given != slug:
        raise Conflict(
            f"This {what} holds apps.",
            code="holds_apps",
            hint=f"Send ?cascade={slug} to delete them with it.",
            facts={"apps": apps[:50]},
        )


def refuse_protected(environment: EnvironmentRow) -> None:
    if environment.delete_protected:
        raise Conflict(
            f"The environment {environment.slug} is protected from deletion.",
            code="delete_protected",
            hint="Switch delete_protected off first.",
        )


async def deleted_one(session: TenantSession, deleted: Statement[T], alive: Statement[T], **place: UUID) -> T:
    """The deleted row, locked; raises Conflict when it is not deleted at all, NotFound when it is not there."""
    row = await session.find(deleted, org_id=session.org_id, **place)
    if row is None:
        await session.one(alive, org_id=session.org_id, **place)
        raise Conflict("It is not deleted.", code="not_deleted")
    return row


async def require_use_inside(session: TenantSession, project_id: UUID) -> None:
    """Deleting or restoring what a protected environment runs needs the same right as changing it."""
    inside = await session.one(deleting.INSIDE, org_id=session.org_id, project_id=project_id)
    if inside.protected:
        (await session.access()).require(Permission.environments_use_protected)


async def require_room(session: TenantSession, project_id: UUID, *, apps: int = 0, environments: int = 0) -> None:
    """Before so many more are made, under the project's lock."""
    inside = await session.one(deleting.INSIDE, org_id=session.org_id, project_id=project_id)
    check_room(inside.apps + apps, inside.environments + environments)


async def require_environments(session: TenantSession, plans: Plans) -> None:
    """After some were made or restored: one transaction of an organization counts at a time. Raises Conflict."""
    await take_turn(session, "environments", session.org_id)
    found = await session.one(deleting.OF_PLAN, org_id=session.org_id)
    allowed = plans.environments.get(found.plan)
    if allowed is not None and found.environments > allowed:
        raise Conflict(
            f"The plan {found.plan} includes {allowed} environments, and this would be one too many.",
            code="quota_exceeded",
            hint="Delete environments that are not used, or choose a larger plan.",
            facts={
                "plan": found.plan,
                "quota": [
                    {"resource": "environments", "asked": 1, "used": found.environments - 1, "allowed": allowed}
                ],
            },
        )  # fmt: skip


def refuse_late(purge_at: datetime | None) -> None:
    """From ``purge_at`` on a job may be removing it: what is half gone does not come back."""
    if purge_at is not None and purge_at <= clock.now():
        raise Gone("The time in which it could be restored is over.", code="undo_window_over")


async def retire(session: TenantSession, parent: UUID) -> None:
    """Hide the app environments below and take what they run out of the cluster."""
    for row in await session.all(queries.APP_ENVIRONMENTS_UNDER, org_id=session.org_id, parent=parent):
        enqueue(session, RetireAppEnvironment(id=row.id))
    await session.execute(queries.MARK_APP_ENVIRONMENTS, org=session.org_id, parent=parent)


async def revive(session: TenantSession, parent: UUID) -> None:
    for row in await session.all(queries.REVIVE_APP_ENVIRONMENTS, org=session.org_id, parent=parent):
        enqueue(session, ReviveAppEnvironment(id=row.id))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEnvironment:
    """What an environment starts with."""

    name: str
    slug: str
    kind: str
    protected: bool = False
    delete_protected: bool = False
    overlap_policy: str = "queue_latest"
    cluster_id: UUID | None = None


async def add_environment(session: TenantSession, project_id: UUID, wanted: NewEnvironment) -> UUID:
    environment_id = new_id()
    await require_room(session, project_id, environments=1)
    try:
        await session.execute(
            queries.ADD_ENVIRONMENT, id=environment_id, org_id=session.org_id, project_id=project_id, **asdict(wanted)
        )
    except Duplicate as duplicate:
        raise taken(duplicate, "an environment") from None
    record(
        session,
        EnvironmentCreated(
            subject_id=environment_id,
            project_id=encode("prj", project_id),
            slug=wanted.slug,
            kind=wanted.kind,
            protected=wanted.protected,
        ),
        scope=Scope(project_id=project_id, environment_id=environment_id),
    )
    apps = await session.all(queries.APPS_OF_PROJECT, org_id=session.org_id, project_id=project_id)
    await make_pairs(session, project_id, [(app.id, environment_id) for app in apps])
    return environment_id


async def make_pairs(session: TenantSession, project_id: UUID, pairs: list[tuple[UUID, UUID]]) -> None:
    rows = [
        {
            "id": new_id(),
            "org_id": session.org_id,
            "project_id": project_id,
            "app_id": app,
            "environment_id": environment,
        }
        for app, environment in pairs
    ]
    if rows:
        await session.execute_many(queries.ADD_APP_ENVIRONMENT, rows)


async def require_parent(session: TenantSession, project_id: UUID) -> None:
    project = await session.find(queries.PROJECT_FOR_UPDATE, org_id=session.org_id, project_id=project_id)
    if project is None:
        raise Conflict("Its project is deleted.", code="parent_deleted", hint="Restore the project first.")


async def complete_pairs(
    session: TenantSession, project_id: UUID, *, app_id: UUID | None = None, environment_id: UUID | None = None
) -> None:
    """Make the pairs with what was created while this one was deleted."""
    apps = await session.all(queries.APPS_OF_PROJECT, org_id=session.org_id, project_id=project_id)
    environments = await session.all(queries.ENVIRONMENTS_OF_PROJECT, org_id=session.org_id, project_id=project_id)
    wanted = [
        (app.id, environment.id)
        for app in apps
        for environment in environments
        if app.id == app_id or environment.id == environment_id
    ]
    existing = await session.all(queries.PAIRS_UNDER, org_id=session.org_id, parent=app_id or environment_id)
    known = {(row.app_id, row.environment_id) for row in existing}
    await make_pairs(session, project_id, [pair for pair in wanted if pair not in known])


async def require_use(session: TenantSession, row: AppEnvironmentRow) -> None:
    """Changing what a protected environment runs needs a permission of its own."""
    if row.protected:
        (await session.access()).require(Permission.environments_use_protected)
