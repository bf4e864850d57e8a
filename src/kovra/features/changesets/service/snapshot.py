"""An environment as it is: every app with its settings, config, secrets' names and cron jobs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from kovra.features.changesets import queries
from kovra.features.changesets.rules.differing import Part
from kovra.features.projects import queries as project_queries
from kovra.features.projects.queries import AppEnvironmentRow, AppRow, EnvironmentRow, ProjectRow
from kovra.features.runs import queries as run_queries
from kovra.features.runs.queries import CronJobRow
from kovra.features.secrets import queries as secret_queries
from kovra.features.secrets.service import revisions
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.db.statements import Statement


def _settable(update: Statement[Any], *but: str) -> tuple[str, ...]:
    """What an UPDATE sets, by its parameters: a field that is added there appears here by itself."""
    return tuple(sorted(set(update.names) - {"org", *but}))


APP_FIELDS: Final = _settable(project_queries.UPDATE_APP, "app_id")
HERE_FIELDS: Final = _settable(project_queries.UPDATE_APP_ENVIRONMENT, "app_environment_id")
CRON_JOB_FIELDS: Final = _settable(run_queries.UPDATE_CRON_JOB, "cron_job_id", "next_run_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which environment of which project."""

    project: ProjectRow
    environment: EnvironmentRow


@dataclass(frozen=True, slots=True, kw_only=True)
class AppState:
    """One app in the environment."""

    row: AppRow
    pair: AppEnvironmentRow
    revision: int
    config: Mapping[str, str] | None = field(repr=False)
    """None: nobody asked for values."""
    secrets: Mapping[str, int]
    cron_jobs: Mapping[str, CronJobRow]

    def document(self) -> dict[Part, Any]:
        """Everything that can be set, part by part; what is null is left out."""
        return {
            "app": _fields(self.row, APP_FIELDS),
            "environment": _fields(self.pair, HERE_FIELDS),
            "config": dict(self.config or {}),
            "secrets": dict(self.secrets),
            "cron_jobs": {name: _fields(job, CRON_JOB_FIELDS) for name, job in self.cron_jobs.items()},
        }

    def versions(self) -> dict[str, str]:
        """Part by part, what changes with it; no values."""
        document = self.document()
        return {
            "app": _digest(document["app"]),
            "environment": _digest(document["environment"]),
            "config": str(self.revision),
            "cron_jobs": _digest(document["cron_jobs"]),
            "release": str(self.pair.current_release_id),
        }


Snapshot = Mapping[str, AppState]
"""By slug."""


def _fields(row: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(row, name)) is not None}


def _digest(document: Any) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


async def place_of(session: TenantSession, project_id: UUID, environment_id: UUID) -> Place:
    """Raises NotFound when one of them is deleted."""
    return Place(
        project=await session.one(project_queries.PROJECT, org_id=session.org_id, project_id=project_id),
        environment=await session.one(
            project_queries.ENVIRONMENT, org_id=session.org_id, environment_id=environment_id
        ),
    )


async def lock(session: TenantSession, place: Place, slugs: Sequence[str] | None) -> None:
    """Everything a change set may touch, from the top down: project, apps, app environments."""
    await session.one(project_queries.PROJECT_FOR_UPDATE, org_id=session.org_id, project_id=place.project.id)
    await session.all(queries.LOCK_APPS, org_id=session.org_id, project_id=place.project.id, slugs=slugs)
    await session.all(queries.LOCK_PAIRS, org_id=session.org_id, environment_id=place.environment.id, slugs=slugs)


async def take(
    session: TenantSession, place: Place, slugs: Sequence[str] | None, store: HolderKeyStore | None
) -> dict[str, AppState]:
    """The apps of these slugs, or all; ``store`` None: config stays sealed."""
    org = session.org_id
    apps = await session.all(queries.APPS, org_id=org, project_id=place.project.id, slugs=slugs, most=1000)
    pairs = {
        pair.app_id: pair
        for pair in await session.all(queries.PAIRS, org_id=org, environment_id=place.environment.id, slugs=slugs)
    }
    jobs: dict[UUID, dict[str, CronJobRow]] = {}
    ids = [pair.id for pair in pairs.values()]
    for job in await session.all(run_queries.CRON_JOBS_IN, org_id=org, ids=ids):
        jobs.setdefault(job.app_environment_id, {})[job.name] = job
    found = {}
    for app in apps:
        if (pair := pairs.get(app.id)) is not None:
            found[app.slug] = await _state(session, app, pair, jobs.get(pair.id, {}), store)
    return dict(sorted(found.items()))


async def _state(
    session: TenantSession,
    app: AppRow,
    pair: AppEnvironmentRow,
    cron_jobs: Mapping[str, CronJobRow],
    store: HolderKeyStore | None,
) -> AppState:
    number, secrets, config = 0, dict[str, int](), None
    row = await session.find(secret_queries.LATEST, org_id=session.org_id, app_environment_id=pair.id)
    if row is not None:
        number, secrets = row.number, row.secrets
        if store is not None:
            config = revisions.open_vars(store, await store.to_open(session, row.vars), row)
    return AppState(
        row=app, pair=pair, revision=number, config=config, secrets=secrets, cron_jobs=dict(sorted(cron_jobs.items()))
    )
