"""A live project as the file that would make it: applied again, it changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kovra.features.changesets.service import snapshot
from kovra.features.changesets.service.snapshot import APP_FIELDS, CRON_JOB_FIELDS, HERE_FIELDS, AppState, Place
from kovra.features.changesets.states import MOST_APPS
from kovra.features.projects import queries as project_queries
from kovra.features.projects.queries import EnvironmentRow, ProjectRow
from kovra.foundation.access import Permission
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Conflict

MOST_PAIRS: Final = 500
"""Apps in environments that one export may hold."""


async def export(
    session: TenantSession,
    store: HolderKeyStore,
    project: ProjectRow,
    environments: Sequence[EnvironmentRow],
    left_out: frozenset[str],
) -> dict[str, Any]:
    """The file; config, secrets' names and cron jobs for who may read them. Raises Conflict where it would be too large."""
    apps = await session.all(project_queries.APPS_OF_PROJECT, org_id=session.org_id, project_id=project.id)
    if len(apps) > MOST_APPS or len(apps) * len(environments) > MOST_PAIRS:
        raise Conflict(
            f"At most {MOST_APPS} apps, and {MOST_PAIRS} apps in environments, are exported at once.",
            code="export_too_large",
            hint="Name one environment.",
        )
    access = await session.access()
    opens = store if access.may(Permission.config_read) else None
    own: dict[str, Any] = {}
    for environment in environments:
        found = await snapshot.take(session, Place(project=project, environment=environment), None, opens)
        parts = {slug: _here(state, left_out, access.permissions) for slug, state in found.items()}
        own[environment.slug] = {"apps": {slug: part for slug, part in parts.items() if part}}
    described = {app.slug: _given(app, APP_FIELDS) for app in sorted(apps, key=lambda app: app.slug)}
    document: dict[str, Any] = {"version": 1, "project": project.slug, "apps": described}
    filled = {slug: part for slug, part in sorted(own.items()) if part["apps"]}
    return {**document, "environments": filled} if filled else document


def _given(row: Any, names: Sequence[str]) -> dict[str, Any]:
    """What says something: null is what was never set, and so is an empty map."""
    return {name: value for name in names if (value := getattr(row, name)) is not None and value != {}}


def _here(state: AppState, left_out: frozenset[str], may: frozenset[Permission]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    live = state.pair.current_release_image
    if live is not None and live != state.row.image:
        found["image"] = live
    found |= _given(state.pair, [name for name in HERE_FIELDS if name not in left_out])
    if state.config:
        found["config"] = dict(state.config)
    if state.secrets and Permission.secrets_read in may:
        found["secrets"] = sorted(state.secrets)
    if state.cron_jobs and Permission.runs_read in may:
        jobs: Mapping[str, Any] = state.cron_jobs
        found["cron_jobs"] = {name: _given(job, CRON_JOB_FIELDS) for name, job in jobs.items()}
    return found
