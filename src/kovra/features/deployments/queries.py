"""Every statement about releases and deployments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, Uuid, and_, bindparam, func, or_, select
from sqlalchemy import Text as SqlText
from sqlalchemy.dialects.postgresql import JSONB

from kovra.foundation.db.pages import Listing, named
from kovra.foundation.db.statements import command, statement
from kovra.foundation.events import Scope
from kovra.models.deployments import deployments, releases
from kovra.models.projects import app_environments, apps, environments


@dataclass(frozen=True, slots=True)
class ReleaseRow:
    """A release; it never changes."""

    id: UUID
    app_environment_id: UUID
    number: int
    image: str
    pinned: str
    digest: str
    config_revision_id: UUID
    config_number: int
    processes: dict[str, Any]
    release_command: list[str] | None
    drain_s: int
    warnings: list[str]
    copied_from_id: UUID | None
    actor: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DeploymentRow:
    """A deployment with its release's face and its place in the queue."""

    id: UUID
    app_environment_id: UUID
    project_id: UUID
    app_id: UUID
    environment_id: UUID
    number: int
    source: dict[str, Any]
    trigger: str
    actor: str
    message: str
    config_revision_id: UUID | None
    release_id: UUID | None
    release_number: int | None
    release_image: str | None
    release_digest: str | None
    previous_release_id: UUID | None
    phase: str
    outcome: str | None
    reason: dict[str, Any] | None
    restored_release_id: UUID | None
    phases: list[dict[str, Any]]
    progress: dict[str, Any]
    cancel_requested_at: datetime | None
    cancel_requested_by: str | None
    deadline_at: datetime | None
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    fence: int
    ahead: int
    blocked_by: UUID | None

    @property
    def scope(self) -> Scope:
        """Where facts about it belong."""
        return Scope(project_id=self.project_id, app_id=self.app_id, environment_id=self.environment_id)


@dataclass(frozen=True, slots=True)
class Id:
    """An id."""

    id: UUID


@dataclass(frozen=True, slots=True)
class Open:
    """An open deployment."""

    id: UUID
    number: int
    phase: str


@dataclass(frozen=True, slots=True)
class Number:
    """A number."""

    n: int


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease taken: every write of the step names its fence."""

    fence: int


_d, _r, _x = deployments.c, releases.c, app_environments.c
_ahead = deployments.alias("ahead").c
_AHEAD = (
    _ahead.org_id == _d.org_id,
    _ahead.app_environment_id == _d.app_environment_id,
    _ahead.outcome.is_(None),
    _ahead.number < _d.number,
)


def _deployment() -> Select[Any]:
    waiting = select(func.count()).where(*_AHEAD, _d.outcome.is_(None)).scalar_subquery()
    blocker = select(_ahead.id).where(*_AHEAD, _d.outcome.is_(None)).order_by(_ahead.number).limit(1).scalar_subquery()
    return (
        select(
            _d.id, _d.app_environment_id, _x.project_id, _d.app_id, _d.environment_id, _d.number, _d.source, _d.trigger, _d.actor,
            _d.message, _d.config_revision_id, _d.release_id, _r.number.label("release_number"),
            _r.image.label("release_image"), _r.digest.label("release_digest"), _d.previous_release_id, _d.phase,
            _d.outcome, _d.reason, _d.restored_release_id, _d.phases, _d.progress, _d.cancel_requested_at,
            _d.cancel_requested_by, _d.deadline_at, _d.created_at, _d.updated_at, _d.finished_at, _d.fence,
            waiting.label("ahead"), blocker.label("blocked_by"),
        )
        # The join carries a token's narrowing: app_environments is where its policy stands.
        .join(app_environments, and_(_x.org_id == _d.org_id, _x.id == _d.app_environment_id))
        .outerjoin(releases, and_(_r.org_id == _d.org_id, _r.id == _d.release_id))
        .where(_d.org_id == bindparam("org_id"))
    )  # fmt: skip


_DEPLOYMENT = _deployment()
DEPLOYMENT = statement(_DEPLOYMENT.where(_d.id == bindparam("deployment_id")), DeploymentRow)
DEPLOYMENT_FOR_UPDATE = statement(
    _DEPLOYMENT.where(_d.id == bindparam("deployment_id")).with_for_update(of=deployments, key_share=True),
    DeploymentRow,
)
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
    select(_d.id, _d.number, _d.phase)
    .where(
        _d.org_id == bindparam("org_id"), _d.app_environment_id == bindparam("app_environment_id"), _d.outcome.is_(None)
    )
    .order_by(_d.number)
    .limit(1000),
    Open,
)
NEXT_DEPLOYMENT = statement(
    app_environments.update()
    .where(_x.org_id == bindparam("org_id"), _x.id == bindparam("app_environment_id"))
    .values(last_deployment_number=_x.last_deployment_number + 1)
    .returning(_x.last_deployment_number.label("n")),
    Number,
)
ADD_DEPLOYMENT = command(
    deployments.insert().values(
        id=bindparam("id"), org_id=bindparam("org_id"), app_environment_id=bindparam("app_environment_id"),
        app_id=bindparam("app_id"), environment_id=bindparam("environment_id"), number=bindparam("number"),
        source=bindparam("source", type_=JSONB), trigger=bindparam("trigger"), actor=bindparam("actor"),
        message=bindparam("message"), overlap_policy=bindparam("overlap_policy"),
        config_revision_id=bindparam("config_revision_id"), release_id=bindparam("release_id"),
        previous_release_id=bindparam("previous_release_id"), deadline_at=bindparam("deadline_at"),
        phases=bindparam("phases", type_=JSONB),
    )
)  # fmt: skip
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
        or_(_d.lease_expires_at.is_(None), _d.lease_expires_at < func.now()),
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
        release_id=bindparam("release_id"), updated_at=func.now(),
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
        restored_release_id=bindparam("restored_release_id"), phases=bindparam("phases", type_=JSONB),
        finished_at=func.now(), updated_at=func.now(), lease_owner=None, lease_expires_at=None,
    )
)  # fmt: skip
SUPERSEDE = command(
    deployments.update()
    .where(_d.org_id == bindparam("org"), _d.id == bindparam("deployment_id"), or_(_d.phase == "queued", _d.phase == "waiting"))
    .values(
        phase="done", outcome="superseded", reason=bindparam("reason", type_=JSONB), finished_at=func.now(),
        updated_at=func.now(), fence=_d.fence + 1, lease_owner=None, lease_expires_at=None,
    )
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
NEXT_RELEASE = statement(
    app_environments.update()
    .where(_x.org_id == bindparam("org_id"), _x.id == bindparam("app_environment_id"))
    .values(last_release_number=_x.last_release_number + 1)
    .returning(_x.last_release_number.label("n")),
    Number,
)
ADD_RELEASE = command(
    releases.insert().values(
        id=bindparam("id"), org_id=bindparam("org_id"), app_environment_id=bindparam("app_environment_id"),
        number=bindparam("number"), image=bindparam("image"), pinned=bindparam("pinned"), digest=bindparam("digest"),
        config_revision_id=bindparam("config_revision_id"), config_number=bindparam("config_number"),
        processes=bindparam("processes", type_=JSONB), release_command=bindparam("release_command", type_=JSONB),
        drain_s=bindparam("drain_s"), warnings=bindparam("warnings", type_=JSONB),
        copied_from_id=bindparam("copied_from_id"), actor=bindparam("actor"),
    )
)  # fmt: skip
SET_CURRENT = command(
    app_environments.update()
    .where(_x.org_id == bindparam("org"), _x.id == bindparam("app_environment_id"))
    .values(
        current_release_id=bindparam("release_id"), current_deployment_id=bindparam("deployment_id"),
        health=bindparam("health"), watch_until=bindparam("watch_until"),
        inventory=bindparam("inventory", type_=JSONB), updated_at=func.now(),
    )
)  # fmt: skip
SET_INVENTORY = command(
    app_environments.update()
    .where(_x.org_id == bindparam("org"), _x.id == bindparam("app_environment_id"))
    .values(inventory=bindparam("inventory", type_=JSONB))
)
SET_HEALTH = command(
    app_environments.update()
    .where(_x.org_id == bindparam("org"), _x.id == bindparam("app_environment_id"))
    .values(health=bindparam("health"), watch_until=None, updated_at=func.now())
)
SET_SUSPENDED = command(
    app_environments.update()
    .where(_x.org_id == bindparam("org"), _x.id == bindparam("app_environment_id"))
    .values(suspended=bindparam("suspended"), updated_at=func.now())
)
SET_SCALE = command(
    app_environments.update()
    .where(_x.org_id == bindparam("org"), _x.id == bindparam("app_environment_id"))
    .values(scale=bindparam("scale", type_=JSONB), updated_at=func.now())
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
