"""Every statement about runs and cron jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Integer, Select, Uuid, and_, bindparam, func, or_, select
from sqlalchemy import Text as SqlText
from sqlalchemy.dialects.postgresql import JSONB

from kovra.foundation.db.pages import Listing
from kovra.foundation.db.statements import command, statement
from kovra.foundation.events import Scope
from kovra.models.deployments import releases
from kovra.models.projects import app_environments
from kovra.models.runs import cron_jobs, runs


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run with its release's face and its place in the queue."""

    id: UUID
    app_environment_id: UUID
    project_id: UUID
    app_id: UUID
    environment_id: UUID
    is_deleted: bool
    """The app or the environment is."""
    cron_job_id: UUID | None
    scheduled_for: datetime | None
    release_id: UUID | None
    release_number: int | None
    release_image: str | None
    release_digest: str | None
    command: list[str]
    env: dict[str, str]
    size: str
    time_limit_s: int
    trigger: str
    actor: str
    phase: str
    outcome: str | None
    reason: dict[str, Any] | None
    exit_code: int | None
    progress: dict[str, Any]
    cancel_requested_at: datetime | None
    deadline_at: datetime | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    tidied_at: datetime | None
    ahead: int
    """Open runs of the same app environment that came before, while it is open."""

    @property
    def scope(self) -> Scope:
        """Where facts about it belong."""
        return Scope(project_id=self.project_id, app_id=self.app_id, environment_id=self.environment_id)


@dataclass(frozen=True, slots=True)
class CronJobRow:
    """A cron job that is not deleted."""

    id: UUID
    app_environment_id: UUID
    project_id: UUID
    app_id: UUID
    environment_id: UUID
    name: str
    schedule: str
    time_zone: str
    command: list[str]
    size: str
    time_limit_s: int
    enabled: bool
    next_run_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def scope(self) -> Scope:
        """Where facts about it belong."""
        return Scope(project_id=self.project_id, app_id=self.app_id, environment_id=self.environment_id)


@dataclass(frozen=True, slots=True)
class Id:
    """An id."""

    id: UUID


@dataclass(frozen=True, slots=True)
class Count:
    """How many."""

    n: int


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease taken: every write of the step names its fence."""

    fence: int


_u, _r, _x, _c = runs.c, releases.c, app_environments.c, cron_jobs.c
_ahead = runs.alias("ahead").c
_ACTOR = func.current_setting("kovra.actor")
"""Who acts, as the entering function found it."""


def _run() -> Select[Any]:
    ahead = (
        select(func.count())
        .where(
            _ahead.org_id == _u.org_id,
            _ahead.app_environment_id == _u.app_environment_id,
            _ahead.outcome.is_(None),
            _ahead.id < _u.id,
            _u.outcome.is_(None),
        )
        .scalar_subquery()
    )
    return (
        select(
            _u.id, _u.app_environment_id, _x.project_id, _x.app_id, _x.environment_id,
            _x.deleted_at.is_not(None).label("is_deleted"), _u.cron_job_id, _u.scheduled_for, _u.release_id,
            _r.number.label("release_number"), _r.image.label("release_image"), _r.digest.label("release_digest"),
            _u.command, _u.env, _u.size, _u.time_limit_s, _u.trigger, _u.actor, _u.phase, _u.outcome, _u.reason,
            _u.exit_code, _u.progress, _u.cancel_requested_at, _u.deadline_at, _u.created_at, _u.updated_at,
            _u.started_at, _u.finished_at, _u.tidied_at, ahead.label("ahead"),
        )
        # The join carries a token's narrowing: app_environments is where its policy stands.
        .join(app_environments, and_(_x.org_id == _u.org_id, _x.id == _u.app_environment_id))
        .outerjoin(releases, and_(_r.org_id == _u.org_id, _r.id == _u.release_id))
        .where(_u.org_id == bindparam("org_id"))
    )  # fmt: skip


def _unless_null(name: str, column: Any, kind: Any = SqlText) -> Any:
    wanted = bindparam(name, type_=kind)
    return or_(wanted.is_(None), column == wanted)


RUN = statement(_run().where(_u.id == bindparam("run_id")), RunRow)
RUNS = Listing(
    _run().where(
        _unless_null("app_environment_id", _u.app_environment_id, Uuid),
        _unless_null("cron_job_id", _u.cron_job_id, Uuid),
        _unless_null("phase", _u.phase),
        _unless_null("outcome", _u.outcome),
    ),
    RunRow,
    key=_u.id,
    by={},
)
ADD_RUN = command(
    runs.insert().values(
        id=bindparam("id"), org_id=bindparam("org_id"), app_environment_id=bindparam("app_environment_id"),
        cron_job_id=bindparam("cron_job_id"), scheduled_for=bindparam("scheduled_for"),
        release_id=bindparam("release_id"), command=bindparam("command", type_=JSONB),
        env=bindparam("env", type_=JSONB), size=bindparam("size"), time_limit_s=bindparam("time_limit_s"),
        trigger=bindparam("trigger"), actor=_ACTOR, phase=bindparam("phase"), outcome=bindparam("outcome"),
        reason=bindparam("reason", type_=JSONB), finished_at=bindparam("finished_at"),
        tidied_at=bindparam("finished_at"),
    )
)  # fmt: skip
"""``finished_at``: of a tick that is skipped, which leaves nothing to tidy."""
OPEN_RUNS = statement(
    select(func.count().label("n")).where(
        _u.org_id == bindparam("org_id"),
        _u.app_environment_id == bindparam("app_environment_id"),
        _u.outcome.is_(None),
    ),
    Count,
)
OPEN_OF_CRON_JOB = statement(
    select(_u.id)
    .where(_u.org_id == bindparam("org_id"), _u.cron_job_id == bindparam("cron_job_id"), _u.outcome.is_(None))
    .limit(1),
    Id,
)
NEXT_QUEUED = statement(
    select(_u.id)
    .where(
        _u.org_id == bindparam("org_id"),
        _u.app_environment_id == bindparam("app_environment_id"),
        _u.phase == "queued",
    )
    .order_by(_u.id)
    .limit(1),
    Id,
)
REQUEST_CANCEL = command(
    runs.update()
    .where(_u.org_id == bindparam("org"), _u.id == bindparam("run_id"), _u.outcome.is_(None))
    .values(cancel_requested_at=func.coalesce(_u.cancel_requested_at, func.now()), updated_at=func.now())
)
TAKE_LEASE = statement(
    runs.update()
    .where(
        _u.org_id == bindparam("org"),
        _u.id == bindparam("run_id"),
        _u.outcome.is_(None),
        or_(_u.lease_expires_at.is_(None), _u.lease_expires_at < func.now()),
    )
    .values(
        lease_owner=bindparam("owner"),
        lease_expires_at=bindparam("until", type_=DateTime(timezone=True)),
        fence=_u.fence + 1,
    )
    .returning(_u.fence),
    Lease,
)
RELEASE_LEASE = command(
    runs.update()
    .where(_u.org_id == bindparam("org"), _u.id == bindparam("run_id"), _u.fence == bindparam("fence_is"))
    .values(lease_owner=None, lease_expires_at=None)
)
_FENCED = (
    _u.org_id == bindparam("org"),
    _u.id == bindparam("run_id"),
    _u.fence == bindparam("fence_is"),
    _u.outcome.is_(None),
)
MOVE = command(
    runs.update()
    .where(*_FENCED)
    .values(
        phase=bindparam("phase"), progress=bindparam("progress", type_=JSONB), deadline_at=bindparam("deadline_at"),
        started_at=bindparam("started_at"), updated_at=func.now(),
    )
)  # fmt: skip
REMEMBER = command(
    runs.update().where(*_FENCED).values(progress=bindparam("progress", type_=JSONB), updated_at=func.now())
)
FINISH = command(
    runs.update()
    .where(*_FENCED)
    .values(
        phase="done", outcome=bindparam("outcome"), reason=bindparam("reason", type_=JSONB),
        exit_code=bindparam("exit_code"), finished_at=bindparam("finished_at"), updated_at=func.now(), lease_owner=None,
        lease_expires_at=None,
    )
)  # fmt: skip
TIDIED = command(
    runs.update()
    .where(_u.org_id == bindparam("org"), _u.id == bindparam("run_id"), _u.tidied_at.is_(None))
    .values(tidied_at=func.now())
)
_kept = bindparam("cron_job_id", type_=Uuid)
_older = (
    select(_u.id)
    .where(
        _u.org_id == bindparam("org"),
        _u.app_environment_id == bindparam("aev"),
        _u.cron_job_id.is_not_distinct_from(_kept),
        _u.tidied_at.is_not(None),
    )
    .order_by(_u.id.desc())
    .offset(bindparam("keep", type_=Integer))
    .limit(100)
)
FORGET_OLD = command(runs.delete().where(_u.org_id == bindparam("org"), _u.id.in_(_older)))
"""The oldest of what is kept of a cron job, or of those that none started; never one that is not tidied."""


_CRON_JOB = (
    select(
        _c.id, _c.app_environment_id, _x.project_id, _x.app_id, _x.environment_id, _c.name, _c.schedule, _c.time_zone,
        _c.command, _c.size, _c.time_limit_s, _c.enabled, _c.next_run_at, _c.created_at, _c.updated_at,
    )
    .join(app_environments, and_(_x.org_id == _c.org_id, _x.id == _c.app_environment_id))
    .where(_c.org_id == bindparam("org_id"), _c.deleted_at.is_(None))
)  # fmt: skip
CRON_JOB = statement(_CRON_JOB.where(_c.id == bindparam("cron_job_id"), _x.deleted_at.is_(None)), CronJobRow)
ANY_CRON_JOB = statement(_CRON_JOB.where(_c.id == bindparam("cron_job_id")), CronJobRow)
"""Also of a deleted app or environment."""
CRON_JOB_FOR_UPDATE = statement(
    _CRON_JOB.where(_c.id == bindparam("cron_job_id")).with_for_update(of=cron_jobs, key_share=True), CronJobRow
)
CRON_JOBS = Listing(
    _CRON_JOB.where(
        _x.deleted_at.is_(None),
        _unless_null("app_environment_id", _c.app_environment_id, Uuid),
    ),
    CronJobRow,
    key=_c.id,
    by={},
)
CRON_JOBS_IN = statement(
    _CRON_JOB.where(
        _c.app_environment_id == func.any(bindparam("ids", type_=ARRAY(Uuid))), _x.deleted_at.is_(None)
    ).order_by(_c.id),
    CronJobRow,
)
"""Of several app environments, each of which has at most MOST_CRON_JOBS."""
CRON_JOBS_OF = statement(
    select(func.count().label("n")).where(
        _c.org_id == bindparam("org_id"),
        _c.app_environment_id == bindparam("app_environment_id"),
        _c.deleted_at.is_(None),
    ),
    Count,
)
ADD_CRON_JOB = command(
    cron_jobs.insert().values(
        id=bindparam("id"), org_id=bindparam("org_id"), app_environment_id=bindparam("app_environment_id"),
        name=bindparam("name"), schedule=bindparam("schedule"), time_zone=bindparam("time_zone"),
        command=bindparam("command", type_=JSONB), size=bindparam("size"), time_limit_s=bindparam("time_limit_s"),
        enabled=bindparam("enabled"), next_run_at=bindparam("next_run_at"),
    )
)  # fmt: skip
UPDATE_CRON_JOB = command(
    cron_jobs.update()
    .where(_c.org_id == bindparam("org"), _c.id == bindparam("cron_job_id"))
    .values(
        schedule=bindparam("schedule"), time_zone=bindparam("time_zone"), command=bindparam("command", type_=JSONB),
        size=bindparam("size"), time_limit_s=bindparam("time_limit_s"), enabled=bindparam("enabled"),
        next_run_at=bindparam("next_run_at"), updated_at=func.now(),
    )
)  # fmt: skip
TICKED = command(
    cron_jobs.update()
    .where(_c.org_id == bindparam("org"), _c.id == bindparam("cron_job_id"))
    .values(next_run_at=bindparam("next_run_at"))
)
DELETE_CRON_JOB = command(
    cron_jobs.update()
    .where(_c.org_id == bindparam("org"), _c.id == bindparam("cron_job_id"))
    .values(deleted_at=func.now(), next_run_at=None, enabled=False, updated_at=func.now())
)
