"""Projects, environments and apps: the rules and all writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from kovra.features.projects import queries
from kovra.features.projects.messages import (
    AppCreated,
    AppDeleted,
    AppEnvironmentUpdated,
    AppRestored,
    AppUpdated,
    EnvironmentCreated,
    EnvironmentDeleted,
    EnvironmentRestored,
    EnvironmentUpdated,
    ProjectCreated,
    ProjectDeleted,
    ProjectRestored,
    ProjectUpdated,
    RetireAppEnvironment,
    ReviveAppEnvironment,
)
from kovra.features.projects.queries import AppEnvironmentRow, AppRow, EnvironmentRow, ProjectRow
from kovra.features.projects.rules import DEFAULT_PROCESSES, check_image, check_scale
from kovra.foundation import clock
from kovra.foundation.access import Permission
from kovra.foundation.db.failures import Duplicate
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Conflict, Invalid, NotFound
from kovra.foundation.events import record
from kovra.foundation.ids import NIL, decode, encode, new_id, slugify
from kovra.foundation.jobs.messages import enqueue

UNDO_WINDOW: Final = timedelta(days=7)


def _slug(name: str, slug: str | None) -> str:
    made = slug or slugify(name)
    if not made:
        raise Invalid.field("/slug", "slug_needed", "No slug can be made from this name; give one.")
    return made


def _taken(duplicate: Duplicate, what: str) -> Conflict:
    return Conflict(
        f"There is {what} with this slug already, or one deleted less than seven days ago.",
        code="slug_taken",
        hint="Choose another slug, or restore the deleted one.",
    )


# Projects


async def create_project(session: TenantSession, *, name: str, slug: str | None, description: str) -> ProjectRow:
    """A project with its first environment, ``production``."""
    project_id, made = new_id(), _slug(name, slug)
    try:
        await session.execute(
            queries.ADD_PROJECT, id=project_id, org_id=session.org_id, name=name, slug=made, description=description
        )
    except Duplicate as duplicate:
        raise _taken(duplicate, "a project") from None
    record(session, ProjectCreated(subject_id=project_id, name=name, slug=made))
    first = NewEnvironment(name="Production", slug="production", kind="production")
    await _add_environment(session, project_id, first)
    return await session.one(queries.PROJECT, org_id=session.org_id, project_id=project_id)


async def project_named(session: TenantSession, reference: str, *, pointer: str = "/project") -> ProjectRow:
    """A project by id or slug, for bodies and filters; raises Invalid naming the field."""
    found = await session.find(
        queries.PROJECT_NAMED, org_id=session.org_id, id=decode("prj", reference) or NIL, slug=reference
    )
    if found is None:
        raise Invalid.field(pointer, "not_found", "There is no such project.")
    return found


async def environment_named(
    session: TenantSession, project_id: UUID, reference: str, *, pointer: str = "/environment"
) -> EnvironmentRow:
    """An environment of a project by id or slug; raises Invalid naming the field."""
    found = await session.find(
        queries.ENVIRONMENT_NAMED,
        org_id=session.org_id,
        project_id=project_id,
        id=decode("env", reference) or NIL,
        slug=reference,
    )
    if found is None:
        raise Invalid.field(pointer, "not_found", "There is no such environment in this project.")
    return found


async def update_project(session: TenantSession, project: ProjectRow, changes: Mapping[str, Any]) -> ProjectRow:
    """Change name or description."""
    after = replace(project, **changes)
    changed = _changed(project, after)
    if not changed:
        return project
    await session.execute(
        queries.UPDATE_PROJECT,
        org=session.org_id,
        project_id=project.id,
        name=after.name,
        description=after.description,
    )
    record(session, ProjectUpdated(subject_id=project.id, changed=changed))
    return await session.one(queries.PROJECT, org_id=session.org_id, project_id=project.id)


def _changed(before: Any, after: Any) -> list[str]:
    old, new = asdict(before), asdict(after)
    return sorted(name for name in new if new[name] != old[name])


async def delete_project(session: TenantSession, project_id: UUID, *, cascade: str | None) -> ProjectRow:
    """Delete a project; one that holds apps needs its slug as ``cascade``."""
    project = await session.one(queries.PROJECT_FOR_UPDATE, org_id=session.org_id, project_id=project_id)
    apps = await session.all(queries.APPS_OF_PROJECT, org_id=session.org_id, project_id=project_id)
    _allow_cascade("project", project.slug, cascade, [app.slug for app in apps])
    environments = await session.all(queries.ENVIRONMENTS_OF_PROJECT, org_id=session.org_id, project_id=project_id)
    for environment in environments:
        _refuse_protected(environment)
    purge_at = clock.now() + UNDO_WINDOW
    await _retire(session, project_id)
    await session.execute(
        queries.MARK_PROJECT, org=session.org_id, project_id=project_id, deleted_at=clock.now(), purge_at=purge_at
    )
    record(session, ProjectDeleted(subject_id=project_id, slug=project.slug, purge_at=clock.rfc3339(purge_at)))
    return replace(project, deleted_at=clock.now(), purge_at=purge_at)


def _allow_cascade(what: str, slug: str, given: str | None, apps: list[str]) -> None:
    if apps and given != slug:
        raise Conflict(
            f"This {what} holds apps.",
            code="holds_apps",
            hint=f"Send ?cascade={slug} to delete them with it.",
            facts={"apps": apps[:50]},
        )


def _refuse_protected(environment: EnvironmentRow) -> None:
    if environment.delete_protected:
        raise Conflict(
            f"The environment {environment.slug} is protected from deletion.",
            code="delete_protected",
            hint="Switch delete_protected off first.",
        )


async def _retire(session: TenantSession, parent: UUID) -> None:
    """Hide the app environments below and take what they run out of the cluster."""
    for row in await session.all(queries.APP_ENVIRONMENTS_UNDER, org_id=session.org_id, parent=parent):
        enqueue(session, RetireAppEnvironment(id=row.id))
    await session.execute(queries.MARK_APP_ENVIRONMENTS, org=session.org_id, parent=parent)


async def _revive(session: TenantSession, parent: UUID) -> None:
    for row in await session.all(queries.REVIVE_APP_ENVIRONMENTS, org=session.org_id, parent=parent):
        enqueue(session, ReviveAppEnvironment(id=row.id))


async def restore_project(session: TenantSession, project_id: UUID) -> ProjectRow:
    """Undo a deletion within its window; what was live comes back."""
    project = await session.one(queries.PROJECT_DELETED_FOR_UPDATE, org_id=session.org_id, project_id=project_id)
    await session.execute(
        queries.MARK_PROJECT, org=session.org_id, project_id=project_id, deleted_at=None, purge_at=None
    )
    await _revive(session, project_id)
    record(session, ProjectRestored(subject_id=project_id, slug=project.slug))
    return await session.one(queries.PROJECT, org_id=session.org_id, project_id=project_id)


# Environments


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEnvironment:
    """What an environment starts with."""

    name: str
    slug: str
    kind: str
    protected: bool = False
    delete_protected: bool = False
    overlap_policy: str = "queue_latest"


async def create_environment(
    session: TenantSession, project_id: UUID, wanted: NewEnvironment, *, name_given_slug: str | None
) -> EnvironmentRow:
    """An environment, and an app environment for every app of the project."""
    await session.one(queries.PROJECT_FOR_UPDATE, org_id=session.org_id, project_id=project_id)
    made = replace(wanted, slug=_slug(wanted.name, name_given_slug))
    if made.protected:
        (await session.access()).require(Permission.environments_use_protected)
    environment_id = await _add_environment(session, project_id, made)
    return await session.one(queries.ENVIRONMENT, org_id=session.org_id, environment_id=environment_id)


async def _add_environment(session: TenantSession, project_id: UUID, wanted: NewEnvironment) -> UUID:
    environment_id = new_id()
    try:
        await session.execute(
            queries.ADD_ENVIRONMENT, id=environment_id, org_id=session.org_id, project_id=project_id, **asdict(wanted)
        )
    except Duplicate as duplicate:
        raise _taken(duplicate, "an environment") from None
    record(
        session,
        EnvironmentCreated(
            subject_id=environment_id,
            project_id=encode("prj", project_id),
            slug=wanted.slug,
            kind=wanted.kind,
            protected=wanted.protected,
        ),
    )
    apps = await session.all(queries.APPS_OF_PROJECT, org_id=session.org_id, project_id=project_id)
    await _pair(session, project_id, [(app.id, environment_id) for app in apps])
    return environment_id


async def _pair(session: TenantSession, project_id: UUID, pairs: list[tuple[UUID, UUID]]) -> None:
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


async def update_environment(
    session: TenantSession, environment: EnvironmentRow, changes: Mapping[str, Any]
) -> EnvironmentRow:
    """Change name, kind, protection or overlap policy; protection is for those who may use protected environments."""
    after = replace(environment, **changes)
    changed = _changed(environment, after)
    if not changed:
        return environment
    if environment.protected or after.protected:
        (await session.access()).require(Permission.environments_use_protected)
    await session.execute(
        queries.UPDATE_ENVIRONMENT,
        org=session.org_id,
        environment_id=environment.id,
        name=after.name,
        kind=after.kind,
        protected=after.protected,
        delete_protected=after.delete_protected,
        overlap_policy=after.overlap_policy,
    )
    record(session, EnvironmentUpdated(subject_id=environment.id, changed=changed))
    return await session.one(queries.ENVIRONMENT, org_id=session.org_id, environment_id=environment.id)


async def delete_environment(session: TenantSession, environment_id: UUID, *, cascade: str | None) -> EnvironmentRow:
    """Delete an environment; one whose project has apps needs its slug as ``cascade``."""
    environment = await session.one(
        queries.ENVIRONMENT_FOR_UPDATE, org_id=session.org_id, environment_id=environment_id
    )
    _refuse_protected(environment)
    if environment.protected:
        (await session.access()).require(Permission.environments_use_protected)
    apps = await session.all(queries.APPS_OF_PROJECT, org_id=session.org_id, project_id=environment.project_id)
    _allow_cascade("environment", environment.slug, cascade, [app.slug for app in apps])
    purge_at = clock.now() + UNDO_WINDOW
    await _retire(session, environment_id)
    await session.execute(
        queries.MARK_ENVIRONMENT,
        org=session.org_id,
        environment_id=environment_id,
        deleted_at=clock.now(),
        purge_at=purge_at,
    )
    deleted = EnvironmentDeleted(subject_id=environment_id, slug=environment.slug, purge_at=clock.rfc3339(purge_at))
    record(session, deleted)
    return replace(environment, deleted_at=clock.now(), purge_at=purge_at)


async def restore_environment(session: TenantSession, environment_id: UUID) -> EnvironmentRow:
    """Undo a deletion within its window."""
    environment = await session.one(
        queries.ENVIRONMENT_DELETED_FOR_UPDATE, org_id=session.org_id, environment_id=environment_id
    )
    await _parent_there(session, environment.project_id)
    await session.execute(
        queries.MARK_ENVIRONMENT, org=session.org_id, environment_id=environment_id, deleted_at=None, purge_at=None
    )
    await _complete_pairs(session, environment.project_id, environment_id=environment_id)
    await _revive(session, environment_id)
    record(session, EnvironmentRestored(subject_id=environment_id, slug=environment.slug))
    return await session.one(queries.ENVIRONMENT, org_id=session.org_id, environment_id=environment_id)


async def _parent_there(session: TenantSession, project_id: UUID) -> None:
    project = await session.find(queries.PROJECT_FOR_UPDATE, org_id=session.org_id, project_id=project_id)
    if project is None:
        raise Conflict("Its project is deleted.", code="parent_deleted", hint="Restore the project first.")


async def _complete_pairs(
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
    await _pair(session, project_id, [pair for pair in wanted if pair not in known])


# Apps


@dataclass(frozen=True, slots=True, kw_only=True)
class NewApp:
    """What an app starts with."""

    name: str
    slug: str | None
    image: str | None
    processes: dict[str, Any] | None
    release_command: list[str] | None
    drain_s: int


async def create_app(session: TenantSession, project_id: UUID, wanted: NewApp) -> AppRow:
    """An app, and an app environment for every environment of the project."""
    await session.one(queries.PROJECT_FOR_UPDATE, org_id=session.org_id, project_id=project_id)
    app_id, slug = new_id(), _slug(wanted.name, wanted.slug)
    try:
        await session.execute(
            queries.ADD_APP,
            id=app_id,
            org_id=session.org_id,
            project_id=project_id,
            name=wanted.name,
            slug=slug,
            image=check_image(wanted.image),
            processes=wanted.processes or DEFAULT_PROCESSES,
            release_command=wanted.release_command,
            drain_s=wanted.drain_s,
        )
    except Duplicate as duplicate:
        raise _taken(duplicate, "an app") from None
    environments = await session.all(queries.ENVIRONMENTS_OF_PROJECT, org_id=session.org_id, project_id=project_id)
    await _pair(session, project_id, [(app_id, environment.id) for environment in environments])
    record(session, AppCreated(subject_id=app_id, project_id=encode("prj", project_id), slug=slug))
    return await session.one(queries.APP, org_id=session.org_id, app_id=app_id)


async def update_app(session: TenantSession, app: AppRow, changes: Mapping[str, Any]) -> AppRow:
    """Change an app; what runs changes with the next deployment."""
    after = replace(app, **changes)
    check_image(after.image)
    changed = _changed(app, after)
    if not changed:
        return app
    await session.execute(
        queries.UPDATE_APP,
        org=session.org_id,
        app_id=app.id,
        name=after.name,
        image=after.image,
        processes=after.processes,
        release_command=after.release_command,
        drain_s=after.drain_s,
    )
    record(session, AppUpdated(subject_id=app.id, changed=changed))
    return await session.one(queries.APP, org_id=session.org_id, app_id=app.id)


async def delete_app(session: TenantSession, app_id: UUID) -> AppRow:
    """Delete an app; what it runs stops at once."""
    app = await session.one(queries.APP_FOR_UPDATE, org_id=session.org_id, app_id=app_id)
    purge_at = clock.now() + UNDO_WINDOW
    await _retire(session, app_id)
    await session.execute(
        queries.MARK_APP, org=session.org_id, app_id=app_id, deleted_at=clock.now(), purge_at=purge_at
    )
    record(session, AppDeleted(subject_id=app_id, slug=app.slug, purge_at=clock.rfc3339(purge_at)))
    return replace(app, deleted_at=clock.now(), purge_at=purge_at)


async def restore_app(session: TenantSession, app_id: UUID) -> AppRow:
    """Undo a deletion within its window; what was live comes back."""
    app = await session.one(queries.APP_DELETED_FOR_UPDATE, org_id=session.org_id, app_id=app_id)
    await _parent_there(session, app.project_id)
    await session.execute(queries.MARK_APP, org=session.org_id, app_id=app_id, deleted_at=None, purge_at=None)
    await _complete_pairs(session, app.project_id, app_id=app_id)
    await _revive(session, app_id)
    record(session, AppRestored(subject_id=app_id, slug=app.slug))
    return await session.one(queries.APP, org_id=session.org_id, app_id=app_id)


# App environments


async def update_app_environment(
    session: TenantSession, app_environment_id: UUID, changes: Mapping[str, Any]
) -> AppEnvironmentRow:
    """Change how the app runs here; scale takes effect with the next deployment or scale action."""
    row = await session.one(
        queries.APP_ENVIRONMENT_FOR_UPDATE, org_id=session.org_id, app_environment_id=app_environment_id
    )
    await require_use(session, row)
    app = await session.one(queries.APP, org_id=session.org_id, app_id=row.app_id)
    after = replace(row, **changes)
    check_scale(after.scale, app.processes)
    changed = _changed(row, after)
    if changed:
        await session.execute(
            queries.UPDATE_APP_ENVIRONMENT,
            org=session.org_id,
            app_environment_id=row.id,
            scale=after.scale,
            overlap_policy=after.overlap_policy,
            watch_window_s=after.watch_window_s,
            auto_rollback=after.auto_rollback,
            auto_deploy_paused=after.auto_deploy_paused,
        )
        record(session, AppEnvironmentUpdated(subject_id=row.id, changed=changed))
    return await session.one(queries.APP_ENVIRONMENT, org_id=session.org_id, app_environment_id=row.id)


async def require_use(session: TenantSession, row: AppEnvironmentRow) -> None:
    """Changing what a protected environment runs needs a permission of its own."""
    if row.protected:
        (await session.access()).require(Permission.environments_use_protected)


async def pair_of(session: TenantSession, app: AppRow, reference: str) -> AppEnvironmentRow:
    """The app environment of an app and an environment of its project, by id or slug."""
    environment = await environment_named(session, app.project_id, reference)
    row = await session.find(
        queries.APP_ENVIRONMENT_OF_PAIR, org_id=session.org_id, app_id=app.id, environment_id=environment.id
    )
    if row is None:
        raise NotFound("Not found.")
    return row
