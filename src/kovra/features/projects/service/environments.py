"""Environments: the rules and all writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from kovra.features.projects import queries
from kovra.features.projects.messages import (
    EnvironmentDeleted,
    EnvironmentRestored,
    EnvironmentUpdated,
)
from kovra.features.projects.plans import Plans
from kovra.features.projects.queries import EnvironmentRow
from kovra.features.projects.service.shared import (
    UNDO_WINDOW,
    NewEnvironment,
    add_environment,
    allow_cascade,
    changed_fields,
    complete_pairs,
    deleted_one,
    refuse_late,
    refuse_protected,
    require_environments,
    require_parent,
    retire,
    revive,
    slug_of,
)
from kovra.foundation import clock
from kovra.foundation.access import Permission
from kovra.foundation.db.session import TenantSession
from kovra.foundation.events import record


async def create_environment(
    session: TenantSession, project_id: UUID, wanted: NewEnvironment, plans: Plans, *, name_given_slug: str | None
) -> EnvironmentRow:
    """An environment, and an app environment for every app of the project."""
    await session.one(queries.PROJECT_FOR_UPDATE, org_id=session.org_id, project_id=project_id)
    made = replace(wanted, slug=slug_of(wanted.name, name_given_slug))
    if made.protected:
        (await session.access()).require(Permission.environments_use_protected)
    environment_id = await add_environment(session, project_id, made)
    await require_environments(session, plans)
    return await session.one(queries.ENVIRONMENT, org_id=session.org_id, environment_id=environment_id)


async def update_environment(
    session: TenantSession, environment: EnvironmentRow, changes: Mapping[str, Any]
) -> EnvironmentRow:
    """Change name, kind, protection or overlap policy; protection is for those who may use protected environments."""
    after = replace(environment, **changes)
    changed = changed_fields(environment, after)
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
    record(session, EnvironmentUpdated(subject_id=environment.id, changed=changed), scope=environment.scope)
    return await session.one(queries.ENVIRONMENT, org_id=session.org_id, environment_id=environment.id)


async def delete_environment(session: TenantSession, environment_id: UUID, *, cascade: str | None) -> EnvironmentRow:
    """Delete an environment; one whose project has apps needs its slug as ``cascade``."""
    await session.one(queries.PROJECT_OF_ENVIRONMENT_FOR_UPDATE, org_id=session.org_id, id=environment_id)
    environment = await session.one(
        queries.ENVIRONMENT_FOR_UPDATE, org_id=session.org_id, environment_id=environment_id
    )
    refuse_protected(environment)
    if environment.protected:
        (await session.access()).require(Permission.environments_use_protected)
    apps = await session.all(queries.APPS_OF_PROJECT, org_id=session.org_id, project_id=environment.project_id)
    allow_cascade("environment", environment.slug, cascade, [app.slug for app in apps])
    purge_at = clock.now() + UNDO_WINDOW
    await retire(session, environment_id)
    await session.execute(
        queries.MARK_ENVIRONMENT,
        org=session.org_id,
        environment_id=environment_id,
        deleted_at=clock.now(),
        purge_at=purge_at,
    )
    deleted = EnvironmentDeleted(subject_id=environment_id, slug=environment.slug, purge_at=clock.rfc3339(purge_at))
    record(session, deleted, scope=environment.scope)
    return replace(environment, deleted_at=clock.now(), purge_at=purge_at)


async def restore_environment(session: TenantSession, environment_id: UUID, plans: Plans) -> EnvironmentRow:
    """Undo a deletion within its window."""
    await session.one(queries.PROJECT_OF_ENVIRONMENT_FOR_UPDATE, org_id=session.org_id, id=environment_id)
    environment = await deleted_one(
        session, queries.ENVIRONMENT_DELETED_FOR_UPDATE, queries.ENVIRONMENT, environment_id=environment_id
    )
    refuse_late(environment.purge_at)
    await require_parent(session, environment.project_id)
    if environment.protected:
        (await session.access()).require(Permission.environments_use_protected)
    await session.execute(
        queries.MARK_ENVIRONMENT, org=session.org_id, environment_id=environment_id, deleted_at=None, purge_at=None
    )
    await complete_pairs(session, environment.project_id, environment_id=environment_id)
    await revive(session, environment_id)
    await require_environments(session, plans)
    record(session, EnvironmentRestored(subject_id=environment_id, slug=environment.slug), scope=environment.scope)
    return await session.one(queries.ENVIRONMENT, org_id=session.org_id, environment_id=environment_id)
