"""Every statement about releases and deployments."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CTE, ColumnElement, FromClause, Select, Table, Uuid, and_, any_, bindparam, func, or_, select
from sqlalchemy import Text as SqlText
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, array
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from kovra.features.deployments.queries.rows import (
    DeploymentRow,
    Id,
    Lease,
    Numbered,
    Open,
    ReleaseRow,
    Waiting,
)
from kovra.foundation.db.pages import Listing, named
from kovra.foundation.db.statements import command, statement
from kovra.models.deployments import deployments, releases
from kovra.models.projects import app_environments, apps, environments
from kovra.models.secrets import config_revisions

__all__ = [
    "ACCEPT",
    "ADD_RELEASE",
    "DEPLOYMENT",
    "DEPLOYMENTS",
    "FINISH",
    "MOVE",
    "OPEN_DEPLOYMENTS",
    "OTHER_COPIED_APP",
    "PAUSE_AUTO_DEPLOY",
    "PURGE_APP_ENVIRONMENT",
    "PURGE_DEPLOYMENTS",
    "PURGE_RELEASES",
    "QUEUE",
    "RELEASE",
    "RELEASES",
    "RELEASE_LEASE",
    "RELEASE_NUMBERED",
    "REMEMBER",
    "REQUEST_CANCEL",
    "RUNNING_FROM",
    "SET_CURRENT",
    "SET_HEALTH",
    "SET_INVENTORY",
    "SET_SEEN",
    "SET_WANTED",
    "SUPERSEDE",
    "TAKE_LEASE",
    "DeploymentRow",
    "Id",
    "Lease",
    "Numbered",
    "Open",
    "ReleaseRow",
    "Waiting",
]

_d, _r, _x, _c, _a = deployments.c, releases.c, app_environments.c, config_revisions.c, apps.c
_ahead = deployments.alias("ahead").c
_ACTOR = func.current_setting("kovra.actor")
"""Who acts, as the entering function found it."""


def _shown(d: ReadOnlyColumnCollection[str, Any]) -> list[ColumnElement[Any]]:
    """The columns of a DeploymentRow; ``d`` are those of the table, or of a row just written."""
    before = (
        _ahead.org_id == d.org_id,
        _ahead.app_environment_id == d.app_environment_id,
        _ahead.outcome.is_(None),
        _ahead.number < d.number,
        d.outcome.is_(None),
    )
    waiting = select(func.count()).where(*before).scalar_subquery()
    blocker = select(_ahead.id).where(*before).order_by(_ahead.number).limit(1).scalar_subquery()
    return [
        d.id, d.app_environment_id, _x.project_id, d.app_id, d.environment_id, d.number, d.source, d.trigger, d.actor,
        d.message, d.config_revision_id, d.release_id, _r.number.label("release_number"),
        _r.image.label("release_image"), _r.digest.label("release_digest"), d.previous_release_id, d.phase,
        d.outcome, d.reason, d.restored_release_id, d.phases, d.progress, d.cancel_requested_at,
        d.cancel_requested_by, d.deadline_at, d.created_at, d.updated_at, d.finished_at, d.fence,
        waiting.label("ahead"), blocker.label("blocked_by"),
    ]  # fmt: skip


def _seen(d: ReadOnlyColumnCollection[str, Any]) -> Select[Any]:
    return (
        select(*_shown(d))
        # The join carries a token's narrowing: app_environments is where its policy stands.
        .join(app_environments, and_(_x.org_id == d.org_id, _x.id == d.app_environment_id))
        .outerjoin(releases, and_(_r.org_id == d.org_id, _r.id == d.release_id))
    )


def _numbered(counter: ColumnElement[int]) -> CTE:
    """The next number of the app environment; the caller holds its row."""
    return (
        app_environments.update()
        .where(_x.org_id == bindparam("org_id"), _x.id == bindparam("app_environment_id"))
        .values({counter: counter + 1})
        .returning(counter.label("n"))
        .cte("numbered")
    )


def _newest_revision() -> Select[Any]:
    return (
        select(_c.id, _c.number)
        .where(_c.org_id == bindparam("org_id"), _c.app_environment_id == bindparam("app_environment_id"))
        .order_by(_c.number.desc())
        .limit(1)
    )


def _insert(table: Table, values: dict[str, Any], *sources: FromClause) -> CTE:
    """``insert … select``, where the values come from parameters and from other parts of the statement."""
    chosen = select(*(value.label(name) for name, value in values.items())).select_from(*sources)
    return table.insert().from_select(list(values), chosen).returning(*table.c).cte("made")


def _accepted() -> Select[Any]:
    """Number, write and read back a deployment in one round trip: its app environment is locked meanwhile."""
    numbered = _numbered(_x.last_deployment_number)
    made = _insert(
        deployments,
        {
            **{name: bindparam(name, type_=_d[name].type) for name in (
                "id", "org_id", "app_environment_id", "app_id", "environment_id", "source", "trigger", "message",
                "overlap_policy", "release_id", "phases", "progress",
            )},
            "number": numbered.c.n,
            "actor": _ACTOR,
            "config_revision_id": _newest_revision().with_only_columns(_c.id).scalar_subquery(),
        },
        numbered,
    )  # fmt: skip
    return _seen(made.c)


_DEPLOYMENT = _seen(_d).where(_d.org_id == bindparam("org_id"))
DEPLOYMENT = statement(_DEPLOYMENT.where(_d.id == bindparam("deployment_id")), DeploymentRow)
DEPLOYMENTS = Listing(
    _DEPLOYMENT.where(
        named("app", _d.app_id, apps),
        named("environment", _d.environment_id, environments),
        or_(bindparam("phase", type_=SqlText).is_(None), _d.phase == bindparam("phase")),
        or_(bindparam("outcome", type_=SqlText).is_(None), _d.outcome == bindparam("outcome")),
    ),
    DeploymentRow,
    key=_d.id,
    by={},
)
OPEN_DEPLOYMENTS = statement(
    select(_d.id, _d.number, _d.phase, _d.source, _d.cancel_requested_at)
    .where(
        _d.org_id == bindparam("org_id"), _d.app_environment_id == bindparam("app_environment_id"), _d.outcome.is_(None)
    )
    .order_by(_d.number)
    .limit(1000),
    Open,
)
# The open ones as somebody finds them who asks for one more: whether one is all that is asked for, and has not begun.
QUEUE = statement(
    select(
        _d.id, _d.number, _d.phase, _d.source, _d.cancel_requested_at,
        and_(
            _d.phase == "queued",
            _d.cancel_requested_at.is_(None),
            _d.source == bindparam("source", type_=JSONB),
            _d.trigger == bindparam("trigger"),
            _d.message == bindparam("message"),
            _d.config_revision_id == _newest_revision().with_only_columns(_c.id).scalar_subquery(),
            _d.created_at >= select(_a.updated_at).where(_a.org_id == _d.org_id, _a.id == _d.app_id).scalar_subquery(),
        ).label("same"),
    )
    .where(
        _d.org_id == bindparam("org_id"), _d.app_environment_id == bindparam("app_environment_id"), _d.outcome.is_(None)
    )
    .order_by(_d.number)
    .limit(1000),
    Waiting,
)  # fmt: skip
OPEN_UNDER = statement(
    _DEPLOYMENT.where(
        _d.outcome.is_(None),
        or_(bindparam("project_id", type_=Uuid).is_(None), _x.project_id == bindparam("project_id")),
        or_(bindparam("app_id", type_=Uuid).is_(None), _d.app_id == bindparam("app_id")),
        or_(bindparam("environment_id", type_=Uuid).is_(None), _d.environment_id == bindparam("environment_id")),
    )
    .order_by(_d.id)
    .limit(200),
    DeploymentRow,
)
ACCEPT = statement(_accepted(), DeploymentRow)
REQUEST_CANCEL = command(
    deployments.update()
    .where(_d.org_id == bindparam("org"), _d.id == bindparam("deployment_id"), _d.outcome.is_(None))
    .values(cancel_requested_at=func.now(), cancel_requested_by=bindparam("by"), updated_at=func.now())
)
TAKE_LEASE = statement(
    deployments.update()
    .where(
        _d.org_id == bindparam("org"),
        _d.id == bindparam("deployment_id"),
        _d.outcome.is_(None),
        # A process does one step of a deployment at a time: what it still holds it could not give back.
        or_(_d.lease_expires_at.is_(None), _d.lease_expires_at < func.now(), _d.lease_owner == bindparam("owner")),
    )
    .values(lease_owner=bindparam("owner"), lease_expires_at=bindparam("until"), fence=_d.fence + 1)
    .returning(_d.fence),
    Lease,
)
_FENCED = (
    _d.org_id == bindparam("org"),
    _d.id == bindparam("deployment_id"),
    _d.fence == bindparam("fence_is"),
    _d.outcome.is_(None),
)
RELEASE_LEASE = command(
    deployments.update()
    .where(_d.org_id == bindparam("org"), _d.id == bindparam("deployment_id"), _d.fence == bindparam("fence_is"))
    .values(lease_owner=None, lease_expires_at=None)
)
MOVE = command(
    deployments.update()
    .where(*_FENCED)
    .values(
        phase=bindparam("phase"), phases=bindparam("phases", type_=JSONB), progress=bindparam("progress", type_=JSONB),
        release_id=bindparam("release_id"), previous_release_id=bindparam("previous_release_id"),
        deadline_at=bindparam("deadline_at"), updated_at=func.now(),
    )
)  # fmt: skip
REMEMBER = command(
    deployments.update().where(*_FENCED).values(progress=bindparam("progress", type_=JSONB), updated_at=func.now())
)
FINISH = command(
    deployments.update()
    .where(*_FENCED)
    .values(
        phase="done", outcome=bindparam("outcome"), reason=bindparam("reason", type_=JSONB),
        release_id=bindparam("release_id"), restored_release_id=bindparam("restored_release_id"), phases=bindparam("phases", type_=JSONB),
        finished_at=func.now(), updated_at=func.now(), lease_owner=None, lease_expires_at=None,
    )
)  # fmt: skip
SUPERSEDE = statement(
    deployments.update()
    .where(
        _d.org_id == bindparam("org"),
        _d.id == any_(bindparam("ids", type_=ARRAY(Uuid))),
        or_(_d.phase == "queued", _d.phase == "waiting"),
    )
    .values(
        phase="done", outcome="superseded", finished_at=func.now(), updated_at=func.now(), fence=_d.fence + 1,
        # The phase it had been in.
        reason=bindparam("reason", type_=JSONB).op("||", return_type=JSONB)(func.jsonb_build_object("phase", _d.phase)),
        phases=func.jsonb_set(_d.phases, array(["-1", "ended_at"]), func.to_jsonb(bindparam("at", type_=SqlText))),
        lease_owner=None, lease_expires_at=None,
    )
    .returning(_d.id),
    Id,
)  # fmt: skip

_RELEASE = (
    select(
        _r.id, _r.app_environment_id, _r.number, _r.image, _r.pinned, _r.digest, _r.config_revision_id, _r.config_number,
        _r.processes, _r.release_command, _r.drain_s, _r.warnings, _r.copied_from_id, _r.actor, _r.created_at,
    )
    .join(app_environments, and_(_x.org_id == _r.org_id, _x.id == _r.app_environment_id))
    .where(_r.org_id == bindparam("org_id"))
)  # fmt: skip
RELEASE = statement(_RELEASE.where(_r.id == bindparam("release_id")), ReleaseRow)
RELEASE_NUMBERED = statement(
    _RELEASE.where(_r.app_environment_id == bindparam("app_environment_id"), _r.number == bindparam("number")),
    ReleaseRow,
)
RUNNING_FROM = statement(
    select(_x.id)
    .join(releases, and_(_r.org_id == _x.org_id, _r.id == _x.current_release_id))
    .where(
        _x.org_id == bindparam("org_id"),
        _x.deleted_at.is_(None),
        func.starts_with(_r.pinned, bindparam("below", type_=SqlText)),
    )
    .order_by(_x.id)
    .limit(5000),
    Id,
)
# The newest one of another app of the organization that runs from below an address.
OTHER_COPIED_APP = statement(
    select(_x.app_id.label("id"))
    .select_from(releases)
    .join(app_environments, and_(_x.org_id == _r.org_id, _x.id == _r.app_environment_id))
    .where(
        _r.org_id == bindparam("org_id"),
        _x.app_id != bindparam("app_id"),
        func.starts_with(_r.pinned, bindparam("below", type_=SqlText)),
    )
    .order_by(_r.id.desc())
    .limit(1),
    Id,
)
RELEASES = Listing(
    _RELEASE.where(
        or_(
            bindparam("app_environment_id", type_=Uuid).is_(None),
            _r.app_environment_id == bindparam("app_environment_id"),
        ),
    ),
    ReleaseRow,
    key=_r.id,
    by={},
)


def _released() -> Select[Any]:
    """Number and write a release; without a revision given, with the newest one."""
    numbered = _numbered(_x.last_release_number)
    given = bindparam("config_revision_id", type_=Uuid)
    revision = _newest_revision().where(or_(given.is_(None), _c.id == given)).cte("revision")
    made = _insert(
        releases,
        {
            **{name: bindparam(name, type_=_r[name].type) for name in (
                "id", "org_id", "app_environment_id", "image", "pinned", "digest", "processes", "release_command",
                "drain_s", "warnings", "copied_from_id",
            )},
            "number": numbered.c.n,
            "config_revision_id": revision.c.id,
            "config_number": revision.c.number,
            "actor": func.coalesce(bindparam("actor", type_=SqlText), _ACTOR),
        },
        numbered,
        revision,
    )  # fmt: skip
    return select(made.c.number, made.c.config_number)


ADD_RELEASE = statement(_released(), Numbered)
SET_CURRENT = command(
    app_environments.update()
    .where(_x.org_id == bindparam("org"), _x.id == bindparam("app_environment_id"))
    .values(
        current_release_id=bindparam("release_id"), current_deployment_id=bindparam("deployment_id"),
        health=bindparam("health"), watch_until=bindparam("watch_until"),
        inventory=bindparam("inventory", type_=JSONB), seen=bindparam("seen", type_=JSONB), updated_at=func.now(),
    )
)  # fmt: skip
# What another has written meanwhile is not written over: nothing that was recorded is forgotten.
SET_INVENTORY = command(
    app_environments.update()
    .where(
        _x.org_id == bindparam("org"),
        _x.id == bindparam("app_environment_id"),
        _x.inventory == bindparam("before", type_=JSONB),
    )
    .values(inventory=bindparam("inventory", type_=JSONB))
)
SET_WANTED = command(
    app_environments.update()
    .where(_x.org_id == bindparam("org"), _x.id == bindparam("app_environment_id"))
    .values(suspended=bindparam("suspended"), scale=bindparam("scale", type_=JSONB), updated_at=func.now())
)
SET_SEEN = command(
    app_environments.update()
    .where(_x.org_id == bindparam("org"), _x.id == bindparam("app_environment_id"))
    .values(seen=bindparam("seen", type_=JSONB))
)
SET_HEALTH = command(
    app_environments.update()
    .where(_x.org_id == bindparam("org"), _x.id == bindparam("app_environment_id"))
    .values(health=bindparam("health"), watch_until=None, updated_at=func.now())
)
PAUSE_AUTO_DEPLOY = command(
    app_environments.update()
    .where(_x.org_id == bindparam("org"), _x.id == bindparam("app_environment_id"))
    .values(auto_deploy_paused=True)
)
PURGE_DEPLOYMENTS = command(
    deployments.delete().where(_d.org_id == bindparam("org"), _d.app_environment_id == bindparam("aev"))
)
PURGE_RELEASES = command(
    releases.delete().where(_r.org_id == bindparam("org"), _r.app_environment_id == bindparam("aev"))
)
PURGE_APP_ENVIRONMENT = command(
    app_environments.delete().where(_x.org_id == bindparam("org"), _x.id == bindparam("aev"))
)
