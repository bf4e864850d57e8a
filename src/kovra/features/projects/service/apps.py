"""Apps and app environments: the rules and all writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from kovra.features.organizations import queries as organization_queries
from kovra.features.projects import queries
from kovra.features.projects.messages import (
    AppCreated,
    AppDeleted,
    AppEnvironmentUpdated,
    AppRestored,
    AppUpdated,
    MaintenanceChanged,
    RouteAppEnvironment,
)
from kovra.features.projects.queries import AppEnvironmentRow, AppRow
from kovra.features.projects.rules import (
    DEFAULT_PROCESSES,
    ImageRules,
    check_processes,
    check_reach,
    check_scale,
    check_sizes_kept,
)
from kovra.features.projects.service.shared import (
    UNDO_WINDOW,
    changed_fields,
    complete_pairs,
    deleted_one,
    make_pairs,
    refuse_late,
    require_parent,
    require_room,
    require_use,
    require_use_inside,
    retire,
    revive,
    slug_of,
    taken,
)
from kovra.foundation import clock
from kovra.foundation.db.failures import Duplicate
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Conflict
from kovra.foundation.events import Scope, record
from kovra.foundation.ids import encode, new_id
from kovra.foundation.jobs.messages import enqueue


@dataclass(frozen=True, slots=True, kw_only=True)
class NewApp:
    """What an app starts with."""

    name: str
    slug: str | None
    image: str | None
    processes: dict[str, Any] | None
    release_command: list[str] | None
    drain_s: int


async def create_app(session: TenantSession, project_id: UUID, wanted: NewApp, images: ImageRules) -> AppRow:
    """An app, and an app environment for every environment of the project."""
    await session.one(queries.PROJECT_FOR_UPDATE, org_id=session.org_id, project_id=project_id)
    app_id, slug = new_id(), slug_of(wanted.name, wanted.slug)
    check_processes(wanted.processes or {})
    await require_room(session, project_id, apps=1)
    try:
        await session.execute(
            queries.ADD_APP,
            id=app_id,
            org_id=session.org_id,
            project_id=project_id,
            name=wanted.name,
            slug=slug,
            image=images.check(wanted.image),
            processes=wanted.processes or DEFAULT_PROCESSES,
            release_command=wanted.release_command,
            drain_s=wanted.drain_s,
        )
    except Duplicate as duplicate:
        raise taken(duplicate, "an app") from None
    environments = await session.all(queries.ENVIRONMENTS_OF_PROJECT, org_id=session.org_id, project_id=project_id)
    await make_pairs(session, project_id, [(app_id, environment.id) for environment in environments])
    created = AppCreated(subject_id=app_id, project_id=encode("prj", project_id), slug=slug)
    record(session, created, scope=Scope(project_id=project_id, app_id=app_id))
    return await session.one(queries.APP, org_id=session.org_id, app_id=app_id)


async def update_app(session: TenantSession, app: AppRow, changes: Mapping[str, Any], images: ImageRules) -> AppRow:
    """Change an app; what runs changes with the next deployment."""
    after = replace(app, **changes)
    images.check(changes.get("image"))
    check_processes(changes.get("processes") or {})
    check_sizes_kept(app.processes, changes.get("processes") or {})
    changed = changed_fields(app, after)
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
    record(session, AppUpdated(subject_id=app.id, changed=changed), scope=app.scope)
    return await session.one(queries.APP, org_id=session.org_id, app_id=app.id)


async def delete_app(session: TenantSession, app_id: UUID) -> AppRow:
    """Delete an app; what it runs stops at once."""
    await session.one(queries.PROJECT_OF_APP_FOR_UPDATE, org_id=session.org_id, id=app_id)
    app = await session.one(queries.APP_FOR_UPDATE, org_id=session.org_id, app_id=app_id)
    await require_use_inside(session, app.project_id)
    purge_at = clock.now() + UNDO_WINDOW
    await retire(session, app_id)
    await session.execute(
        queries.MARK_APP, org=session.org_id, app_id=app_id, deleted_at=clock.now(), purge_at=purge_at
    )
    deleted = AppDeleted(subject_id=app_id, slug=app.slug, purge_at=clock.rfc3339(purge_at))
    record(session, deleted, scope=app.scope)
    return replace(app, deleted_at=clock.now(), purge_at=purge_at)


async def restore_app(session: TenantSession, app_id: UUID) -> AppRow:
    """Undo a deletion within its window; what was live comes back."""
    await session.one(queries.PROJECT_OF_APP_FOR_UPDATE, org_id=session.org_id, id=app_id)
    app = await deleted_one(session, queries.APP_DELETED_FOR_UPDATE, queries.APP, app_id=app_id)
    refuse_late(app.purge_at)
    await require_parent(session, app.project_id)
    await require_use_inside(session, app.project_id)
    await session.execute(queries.MARK_APP, org=session.org_id, app_id=app_id, deleted_at=None, purge_at=None)
    await complete_pairs(session, app.project_id, app_id=app_id)
    await revive(session, app_id)
    record(session, AppRestored(subject_id=app_id, slug=app.slug), scope=app.scope)
    return await session.one(queries.APP, org_id=session.org_id, app_id=app_id)


async def update_app_environment(
    session: TenantSession, row: AppEnvironmentRow, changes: Mapping[str, Any]
) -> AppEnvironmentRow:
    """Change how the app runs here; scale takes effect with the next deployment or scale action, exposure at once. The row
    is locked. Raises QuotaExceeded for what the plan does not have.
    """
    await require_use(session, row)
    if "scale" in changes:
        app = await session.one(queries.APP, org_id=session.org_id, app_id=row.app_id)
        check_scale(changes["scale"], app.processes)
    after = replace(row, **changes)
    changed = changed_fields(row, after)
    if not changed:
        return row
    await _reroute(session, row, after)
    await session.execute(
        queries.UPDATE_APP_ENVIRONMENT,
        org=session.org_id,
        app_environment_id=row.id,
        scale=after.scale,
        overlap_policy=after.overlap_policy,
        watch_window_s=after.watch_window_s,
        auto_rollback=after.auto_rollback,
        auto_deploy_paused=after.auto_deploy_paused,
        drift_policy=after.drift_policy,
        exposure=after.exposure,
        egress=after.egress,
        maintenance=after.maintenance,
        rollout=after.rollout,
    )
    record(session, AppEnvironmentUpdated(subject_id=row.id, changed=changed), scope=row.scope)
    return await session.one(queries.APP_ENVIRONMENT, org_id=session.org_id, app_environment_id=row.id)


async def _reroute(session: TenantSession, before: AppEnvironmentRow, after: AppEnvironmentRow) -> None:
    """Ask for another way to the app, where one is wanted and allowed."""
    if after.reach != before.reach:
        plan = (await session.one(organization_queries.ORGANIZATION, org_id=session.org_id)).plan
        check_reach(after.exposure, after.egress_in_force, plan)
    if after.maintenance != before.maintenance:
        if after.maintenance and not (after.has_web and after.exposure == "public"):
            raise Conflict(
                "No address leads to it.", code="not_routed", hint="It is private, or has no process called web."
            )
        record(session, MaintenanceChanged(subject_id=after.id, maintenance=after.maintenance), scope=after.scope)
    if (after.reach, after.maintenance) != (before.reach, before.maintenance):
        enqueue(session, RouteAppEnvironment(id=after.id))
