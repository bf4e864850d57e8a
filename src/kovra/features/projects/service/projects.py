"""Projects, and finding things by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from kovra.features.projects import queries
from kovra.features.projects.messages import (
    ProjectCreated,
    ProjectDeleted,
    ProjectRestored,
    ProjectUpdated,
)
from kovra.features.projects.plans import Plans
from kovra.features.projects.queries import EnvironmentRow, ProjectRow, deleting
from kovra.features.projects.service.shared import (
    UNDO_WINDOW,
    NewEnvironment,
    add_environment,
    allow_cascade,
    changed_fields,
    deleted_one,
    refuse_late,
    refuse_protected,
    require_environments,
    require_use_inside,
    retire,
    revive,
    slug_of,
    taken,
)
from kovra.foundation import clock
from kovra.foundation.db.failures import Duplicate
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Invalid
from kovra.foundation.events import Scope, record
from kovra.foundation.ids import NIL, decode, new_id


async def create_project(
    session: TenantSession, plans: Plans, *, name: str, slug: str | None, description: str
) -> ProjectRow:
    """A project with its first environment, ``production``."""
    project_id, made = new_id(), slug_of(name, slug)
    try:
        await session.execute(
            queries.ADD_PROJECT, id=project_id, org_id=session.org_id, name=name, slug=made, description=description
        )
    except Duplicate as duplicate:
        raise taken(duplicate, "a project") from None
    record(session, ProjectCreated(subject_id=project_id, name=name, slug=made), scope=Scope(project_id=project_id))
    first = NewEnvironment(name="Production", slug="production", kind="production")
    await add_environment(session, project_id, first)
    await require_environments(session, plans)
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
    changed = changed_fields(project, after)
    if not changed:
        return project
    await session.execute(
        queries.UPDATE_PROJECT,
        org=session.org_id,
        project_id=project.id,
        name=after.name,
        description=after.description,
    )
    record(session, ProjectUpdated(subject_id=project.id, changed=changed), scope=project.scope)
    return await session.one(queries.PROJECT, org_id=session.org_id, project_id=project.id)


async def delete_project(session: TenantSession, project_id: UUID, *, cascade: str | None) -> ProjectRow:
    """Delete a project; one that holds apps needs its slug as ``cascade``."""
    project = await session.one(queries.PROJECT_FOR_UPDATE, org_id=session.org_id, project_id=project_id)
    apps = await session.all(queries.APPS_OF_PROJECT, org_id=session.org_id, project_id=project_id)
    allow_cascade("project", project.slug, cascade, [app.slug for app in apps])
    environments = await session.all(queries.ENVIRONMENTS_OF_PROJECT, org_id=session.org_id, project_id=project_id)
    for environment in environments:
        refuse_protected(environment)
    await require_use_inside(session, project_id)
    now = clock.now()
    purge_at = now + UNDO_WINDOW
    for hide in (deleting.HIDE_APPS, deleting.HIDE_ENVIRONMENTS):
        await session.execute(hide, org=session.org_id, project=project_id, deleted_at=now)
    await retire(session, project_id)
    await session.execute(
        queries.MARK_PROJECT, org=session.org_id, project_id=project_id, deleted_at=now, purge_at=purge_at
    )
    deleted = ProjectDeleted(subject_id=project_id, slug=project.slug, purge_at=clock.rfc3339(purge_at))
    record(session, deleted, scope=project.scope)
    return replace(project, deleted_at=now, purge_at=purge_at)


async def restore_project(session: TenantSession, project_id: UUID, plans: Plans) -> ProjectRow:
    """Undo a deletion within its window; what was live comes back."""
    project = await deleted_one(session, queries.PROJECT_DELETED_FOR_UPDATE, queries.PROJECT, project_id=project_id)
    refuse_late(project.purge_at)
    await session.execute(
        queries.MARK_PROJECT, org=session.org_id, project_id=project_id, deleted_at=None, purge_at=None
    )
    for show in (deleting.SHOW_APPS, deleting.SHOW_ENVIRONMENTS):
        await session.execute(show, org=session.org_id, project=project_id)
    await require_use_inside(session, project_id)
    await revive(session, project_id)
    await require_environments(session, plans)
    record(session, ProjectRestored(subject_id=project_id, slug=project.slug), scope=project.scope)
    return await session.one(queries.PROJECT, org_id=session.org_id, project_id=project_id)
