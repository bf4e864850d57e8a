"""Every statement about change sets, and those that read an environment whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Text, Uuid, and_, bindparam, func, or_, select
from sqlalchemy.dialects.postgresql import JSONB

from kovra.features.projects.queries import selects
from kovra.features.projects.queries.rows import AppEnvironmentRow, AppRow
from kovra.foundation.db.pages import Listing, named
from kovra.foundation.db.statements import command, statement
from kovra.foundation.events import Scope
from kovra.models.changesets import change_sets
from kovra.models.deployments import deployments
from kovra.models.foundation import events
from kovra.models.projects import app_environments, apps, environments, projects

_s, _e, _a, _x, _p, _v, _d = (
    change_sets.c, environments.c, apps.c, app_environments.c, projects.c, events.c, deployments.c,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ChangeSetRow:
    """A change set; its content is sealed."""

    id: UUID
    project_id: UUID
    environment_id: UUID
    project_slug: str
    environment_slug: str
    state: str
    message: str
    prune: bool
    content: bytes = field(repr=False)
    content_key_version: int
    base: dict[str, Any]
    plan: dict[str, Any] | None
    reason: dict[str, Any] | None
    deployments: list[str]
    trigger: str
    actor: str
    applied_by: str | None
    created_at: datetime
    updated_at: datetime
    planned_at: datetime | None
    applied_at: datetime | None
    expires_at: datetime

    @property
    def scope(self) -> Scope:
        """Where facts about it belong."""
        return Scope(project_id=self.project_id, environment_id=self.environment_id)


@dataclass(frozen=True, slots=True)
class FactRow:
    """What somebody did meanwhile."""

    type: str
    actor: str
    subject: str
    app_slug: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class PendingRow:
    """What an open deployment is about to make live."""

    app_environment_id: UUID
    image: str | None


_CHANGE_SET = (
    select(
        _s.id, _s.project_id, _s.environment_id, _p.slug.label("project_slug"), _e.slug.label("environment_slug"),
        _s.state, _s.message, _s.prune, _s.content, _s.content_key_version, _s.base, _s.plan, _s.reason, _s.deployments,
        _s.trigger, _s.actor, _s.applied_by, _s.created_at, _s.updated_at, _s.planned_at, _s.applied_at, _s.expires_at,
    )
    .join(environments, and_(_e.org_id == _s.org_id, _e.id == _s.environment_id))
    .join(projects, and_(_p.org_id == _s.org_id, _p.id == _s.project_id))
    # The joins carry a token's narrowing; a change set tells of all apps, so who is narrowed to one sees none.
    .where(_s.org_id == bindparam("org_id"), func.current_setting("kovra.narrow_app", True) == "*")
)  # fmt: skip
CHANGE_SET = statement(_CHANGE_SET.where(_s.id == bindparam("change_set_id")), ChangeSetRow)
CHANGE_SET_FOR_UPDATE = statement(
    _CHANGE_SET.where(_s.id == bindparam("change_set_id")).with_for_update(of=change_sets, key_share=True), ChangeSetRow
)
_state = bindparam("state", type_=Text)
CHANGE_SETS = Listing(
    _CHANGE_SET.where(
        named("project", _s.project_id, projects),
        named("environment", _s.environment_id, environments),
        or_(_state.is_(None), _s.state == _state),
    ),
    ChangeSetRow,
    key=_s.id,
    by={},
)
ADD = command(
    change_sets.insert().values(
        id=bindparam("id"), org_id=bindparam("org_id"), project_id=bindparam("project_id"),
        environment_id=bindparam("environment_id"), message=bindparam("message"), prune=bindparam("prune"),
        content=bindparam("content"), content_key_version=bindparam("content_key_version"),
        trigger=bindparam("trigger"), actor=func.current_setting("kovra.actor"),
        expires_at=bindparam("expires_at", type_=DateTime(timezone=True)),
    )
)  # fmt: skip
_planning = (_s.org_id == bindparam("org"), _s.id == bindparam("change_set_id"), _s.state == "planning")
PLANNED = command(
    change_sets.update()
    .where(*_planning)
    .values(
        state="ready", plan=bindparam("plan", type_=JSONB), base=bindparam("base", type_=JSONB),
        content=bindparam("content"), content_key_version=bindparam("content_key_version"),
        planned_at=bindparam("planned_at", type_=DateTime(timezone=True)), updated_at=func.now(),
    )
)  # fmt: skip
FAILED = command(
    change_sets.update()
    .where(*_planning)
    .values(state="failed", reason=bindparam("reason", type_=JSONB), planned_at=func.now(), updated_at=func.now())
)
APPLIED = command(
    change_sets.update()
    .where(_s.org_id == bindparam("org"), _s.id == bindparam("change_set_id"), _s.state == "ready")
    .values(
        state="applied", deployments=bindparam("deployments", type_=JSONB), content=bindparam("content"),
        content_key_version=bindparam("content_key_version"), applied_by=func.current_setting("kovra.actor"),
        applied_at=func.now(), updated_at=func.now(),
    )
)  # fmt: skip
_newest = (
    select(_s.id)
    .where(_s.org_id == bindparam("org"), _s.environment_id == bindparam("environment_id"))
    .order_by(_s.id.desc())
    .limit(bindparam("keep"))
)
FORGET = command(
    change_sets.delete().where(
        _s.org_id == bindparam("org"), _s.environment_id == bindparam("environment_id"), _s.id.not_in(_newest)
    )
)
"""All but the newest of an environment; the ledger keeps that they were."""

_slugs = bindparam("slugs", type_=ARRAY(Text))
_IN_PROJECT = (_a.project_id == bindparam("project_id"), _a.deleted_at.is_(None))
_ASKED_FOR = or_(_slugs.is_(None), _a.slug == func.any(_slugs))
APPS = statement(selects.APP.where(*_IN_PROJECT, _ASKED_FOR).order_by(_a.id).limit(bindparam("most")), AppRow)
LOCK_APPS = statement(
    selects.APP.where(*_IN_PROJECT, _ASKED_FOR).order_by(_a.id).limit(1000).with_for_update(key_share=True), AppRow
)
_PAIRS = selects.APP_ENVIRONMENT.where(
    _x.environment_id == bindparam("environment_id"), selects.ALIVE, _a.deleted_at.is_(None), _ASKED_FOR
).order_by(_x.id)
PAIRS = statement(_PAIRS.limit(1000), AppEnvironmentRow)
LOCK_PAIRS = statement(_PAIRS.limit(1000).with_for_update(of=app_environments, key_share=True), AppEnvironmentRow)
PENDING = statement(
    select(_d.app_environment_id, _d.source["image"].astext.label("image"))
    .where(
        _d.org_id == bindparam("org_id"),
        _d.environment_id == bindparam("environment_id"),
        _d.outcome.is_(None),
    )
    .order_by(_d.number)
    .limit(1000),
    PendingRow,
)
SINCE = statement(
    select(_v.type, _v.actor, _v.subject, _a.slug.label("app_slug"), _v.created_at)
    .outerjoin(apps, and_(_a.org_id == _v.org_id, _a.id == _v.app_id))
    .where(
        _v.org_id == bindparam("org_id"),
        _v.project_id == bindparam("project_id", type_=Uuid),
        _v.created_at > bindparam("since", type_=DateTime(timezone=True)),
        or_(
            _v.environment_id.is_(None),
            _v.environment_id == bindparam("environment_id", type_=Uuid),
        ),
        or_(*(_v.type.startswith(kind) for kind in ("app", "config.", "secrets.", "cron_job.", "release."))),
    )
    .order_by(_v.seq.desc())
    .limit(20),
    FactRow,
)
"""What was changed in an environment since a moment, newest first."""
