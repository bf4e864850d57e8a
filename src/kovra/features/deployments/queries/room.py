"""Everything that takes room in an environment, in one statement: what serves, what is on its way, what runs besides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Integer,
    Select,
    Uuid,
    and_,
    bindparam,
    cast,
    func,
    literal,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy import Text as SqlText
from sqlalchemy.dialects.postgresql import JSONB

from kovra.foundation.db.statements import statement
from kovra.models.deployments import deployments, releases
from kovra.models.organizations import organizations
from kovra.models.projects import app_environments, apps
from kovra.models.runs import cron_jobs, runs
from kovra.models.volumes import volumes

_x, _r, _d, _a, _u, _k = app_environments.c, releases.c, deployments.c, apps.c, runs.c, cron_jobs.c
_v = volumes.c


@dataclass(frozen=True, slots=True)
class Taking:
    """One thing that takes room, or is asked about."""

    kind: str
    """``live``, ``open`` (a deployment), ``app`` and ``release`` (what is asked about), ``run``, ``cron``."""
    id: UUID
    app_environment_id: UUID | None
    name: str
    phase: str | None
    """Of a deployment."""
    processes: dict[str, Any] | None
    drain_s: int | None
    has_command: bool | None
    scale: dict[str, int] | None
    suspended: bool | None
    seen: dict[str, Any] | None
    size: str | None
    gib: int | None
    """Of a volume."""
    plan: str


_PLAN = select(organizations.c.plan).where(organizations.c.id == bindparam("org_id")).scalar_subquery()


def _columns(kind: str, **known: Any) -> list[Any]:
    typed = {
        "id": Uuid, "app_environment_id": Uuid, "name": SqlText, "phase": SqlText, "processes": JSONB, "drain_s": Integer,
        "has_command": Boolean, "scale": JSONB, "suspended": Boolean, "seen": JSONB, "size": SqlText, "gib": Integer,
    }  # fmt: skip
    found = [known.get(name, cast(null(), kind_of)).label(name) for name, kind_of in typed.items()]
    return [literal(kind, SqlText).label("kind"), *found, _PLAN.label("plan")]


def _live() -> Select[Any]:
    return (
        select(*_columns(
            "live", id=_x.id, app_environment_id=_x.id, name=_a.slug, processes=_r.processes, drain_s=_r.drain_s,
            has_command=_r.release_command.is_not(None), scale=_x.scale, suspended=_x.suspended, seen=_x.seen,
        ))
        .join(apps, and_(_a.org_id == _x.org_id, _a.id == _x.app_id))
        .outerjoin(releases, and_(_r.org_id == _x.org_id, _r.id == _x.current_release_id))
        .where(_x.org_id == bindparam("org_id"), _x.environment_id == bindparam("environment_id"), _x.deleted_at.is_(None))
    )  # fmt: skip


def _open() -> Select[Any]:
    """Deployments that are not over and whose release, or whose app, says what they bring."""
    return (
        select(*_columns(
            "open", id=_d.id, app_environment_id=_d.app_environment_id, name=_a.slug, phase=_d.phase,
            processes=func.coalesce(_r.processes, _a.processes), drain_s=func.coalesce(_r.drain_s, _a.drain_s),
            has_command=func.coalesce(_r.release_command, _a.release_command).is_not(None),
        ))
        .join(apps, and_(_a.org_id == _d.org_id, _a.id == _d.app_id))
        .outerjoin(releases, and_(_r.org_id == _d.org_id, _r.id == _d.release_id))
        .where(
            _d.org_id == bindparam("org_id"), _d.environment_id == bindparam("environment_id"), _d.outcome.is_(None),
            or_(_d.release_id.is_not(None), _d.source["kind"].astext == "image"),
        )
    )  # fmt: skip


def _asked() -> list[Select[Any]]:
    app = select(*_columns(
        "app", id=_a.id, name=_a.slug, processes=_a.processes, drain_s=_a.drain_s,
        has_command=_a.release_command.is_not(None),
    )).where(_a.org_id == bindparam("org_id"), _a.id == bindparam("app_id"))  # fmt: skip
    release = select(*_columns(
        "release", id=_r.id, name=literal("", SqlText), processes=_r.processes, drain_s=_r.drain_s,
        has_command=_r.release_command.is_not(None),
    )).where(_r.org_id == bindparam("org_id"), _r.id == bindparam("release_id"))  # fmt: skip
    return [app, release]


def _besides() -> list[Select[Any]]:
    """Runs at work, and cron jobs, each of which may have one at any time."""
    inside = and_(_x.environment_id == bindparam("environment_id"), _x.deleted_at.is_(None))
    working = (
        select(*_columns("run", id=_u.id, app_environment_id=_u.app_environment_id, name=_u.trigger, size=_u.size))
        .join(app_environments, and_(_x.org_id == _u.org_id, _x.id == _u.app_environment_id, inside))
        .where(
            _u.org_id == bindparam("org_id"), _u.outcome.is_(None), _u.phase != "queued", _u.cron_job_id.is_(None)
        )
    )  # fmt: skip
    ticking = (
        select(*_columns("cron", id=_k.id, app_environment_id=_k.app_environment_id, name=_k.name, size=_k.size))
        .join(app_environments, and_(_x.org_id == _k.org_id, _x.id == _k.app_environment_id, inside))
        .where(_k.org_id == bindparam("org_id"), _k.deleted_at.is_(None), _k.enabled)
    )
    kept = (
        select(*_columns(
            "volume", id=_v.id, app_environment_id=_v.app_environment_id, name=_v.process + "/" + _v.name, gib=_v.size_gib,
        ))
        .join(app_environments, and_(_x.org_id == _v.org_id, _x.id == _v.app_environment_id))
        .where(_v.org_id == bindparam("org_id"), _x.environment_id == bindparam("environment_id"))
    )  # fmt: skip
    return [working, ticking, kept]


ROOM = statement(union_all(_live(), _open(), *_asked(), *_besides()), Taking)
