"""Every statement about drift and isolation. Joins with environments and app environments carry a token's narrowing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, DateTime, and_, bindparam, func, select
from sqlalchemy.dialects.postgresql import JSONB, insert

from kovra.foundation.db.pages import Listing, named
from kovra.foundation.db.statements import command, statement
from kovra.foundation.events import Scope
from kovra.models.drift import drift_reports, isolation_proofs, wall_reports
from kovra.models.organizations import organizations
from kovra.models.projects import app_environments, environments, projects

_d, _w, _q, _x, _e = drift_reports.c, wall_reports.c, isolation_proofs.c, app_environments.c, environments.c


@dataclass(frozen=True, slots=True)
class ReportRow:
    """What the last look at an app environment showed, and at the walls around it."""

    state: str | None
    reason: str | None
    items: list[dict[str, Any]] | None
    applied: dict[str, Any] | None
    checked_at: datetime | None
    wall_state: str | None
    wall_reason: str | None
    wall_items: list[dict[str, Any]] | None
    walls_checked_at: datetime | None


@dataclass(frozen=True, slots=True)
class WallRow:
    """What the last look at an environment's walls showed."""

    state: str
    items: list[dict[str, Any]]
    facts: dict[str, Any]
    checked_at: datetime | None


@dataclass(frozen=True, slots=True)
class ProofRow:
    """A proof, or the wish for one."""

    id: UUID
    environment_id: UUID
    project_id: UUID
    state: str
    reason: str | None
    attempts: list[dict[str, Any]]
    simulated: bool
    actor: str
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None

    @property
    def scope(self) -> Scope:
        """Where facts about it belong."""
        return Scope(project_id=self.project_id, environment_id=self.environment_id)


@dataclass(frozen=True, slots=True)
class IsolationRow:
    """An environment with what is known of its isolation."""

    id: UUID
    project_id: UUID
    slug: str
    plan: str
    state: str | None
    reason: str | None
    items: list[dict[str, Any]] | None
    facts: dict[str, Any] | None
    checked_at: datetime | None
    proof: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Id:
    """Only an id."""

    id: UUID


_ORG: BindParameter[Any] = bindparam("org_id")
REPORT = statement(
    select(
        _d.state, _d.reason, _d["items"], _d.applied, _d.checked_at, _w.state.label("wall_state"),
        _w.reason.label("wall_reason"), _w["items"].label("wall_items"), _w.checked_at.label("walls_checked_at"),
    )
    .select_from(app_environments)
    .outerjoin(drift_reports, and_(_d.org_id == _x.org_id, _d.app_environment_id == _x.id))
    .outerjoin(wall_reports, and_(_w.org_id == _x.org_id, _w.environment_id == _x.environment_id))
    .where(_x.org_id == _ORG, _x.id == bindparam("app_environment_id")),
    ReportRow,
)  # fmt: skip
WALLS = statement(
    select(_w.state, _w["items"], _w.facts, _w.checked_at).where(
        _w.org_id == _ORG, _w.environment_id == bindparam("environment_id")
    ),
    WallRow,
)
_report = insert(drift_reports).values(
    org_id=bindparam("org"), app_environment_id=bindparam("app_environment_id"), state=bindparam("state"),
    reason=bindparam("reason"), items=bindparam("items", type_=JSONB), applied=bindparam("applied", type_=JSONB),
    checked_at=bindparam("checked_at"), updated_at=func.now(),
)  # fmt: skip
WRITE_REPORT = command(
    _report.on_conflict_do_update(
        index_elements=["org_id", "app_environment_id"],
        set_={
            name: _report.excluded[name] for name in ("state", "reason", "items", "applied", "checked_at", "updated_at")
        },
    )
)
_walls = insert(wall_reports).values(
    org_id=bindparam("org"), environment_id=bindparam("environment_id"), state=bindparam("state"),
    reason=bindparam("reason"), items=bindparam("items", type_=JSONB), facts=bindparam("facts", type_=JSONB),
    checked_at=bindparam("checked_at"), updated_at=func.now(),
)  # fmt: skip
WRITE_WALLS = command(
    _walls.on_conflict_do_update(
        index_elements=["org_id", "environment_id"],
        set_={
            name: _walls.excluded[name] for name in ("state", "reason", "items", "facts", "checked_at", "updated_at")
        },
    )
)
LOOK_AGAIN = command(
    app_environments.update()
    .where(_x.org_id == bindparam("org"), _x.id == bindparam("app_environment_id"))
    .values(drift_due_at=bindparam("due_at", type_=DateTime(timezone=True)))
)
A_LIVE_ONE = statement(
    select(_x.id)
    .where(
        _x.org_id == _ORG,
        _x.environment_id == bindparam("environment_id"),
        _x.current_release_id.is_not(None),
        _x.deleted_at.is_(None),
    )
    .order_by(_x.id)
    .limit(1),
    Id,
)

_PROOF = (
    select(
        _q.id, _q.environment_id, _e.project_id, _q.state, _q.reason, _q.attempts, _q.simulated, _q.actor, _q.created_at,
        _q.updated_at, _q.finished_at,
    )
    .join(environments, and_(_e.org_id == _q.org_id, _e.id == _q.environment_id))
    .where(_q.org_id == _ORG)
)  # fmt: skip
PROOF = statement(_PROOF.where(_q.id == bindparam("proof_id")), ProofRow)
OPEN_PROOF = statement(
    _PROOF.where(_q.environment_id == bindparam("environment_id"), _q.finished_at.is_(None)).order_by(_q.id).limit(1),
    ProofRow,
)
ADD_PROOF = command(
    isolation_proofs.insert().values(
        id=bindparam("id"), org_id=bindparam("org"), environment_id=bindparam("environment_id"),
        simulated=bindparam("simulated"), actor=func.current_setting("kovra.actor"),
    )
)  # fmt: skip
_open = (_q.org_id == bindparam("org"), _q.id == bindparam("proof_id"), _q.finished_at.is_(None))
BEGIN_PROOF = command(
    isolation_proofs.update()
    .where(*_open)
    .values(state="running", attempts=bindparam("attempts", type_=JSONB), updated_at=func.now())
)
FINISH_PROOF = command(
    isolation_proofs.update()
    .where(*_open)
    .values(
        state=bindparam("state"), reason=bindparam("reason"), attempts=bindparam("attempts", type_=JSONB),
        updated_at=func.now(), finished_at=func.now(),
    )
)  # fmt: skip
FORGET_PROOFS = command(
    isolation_proofs.delete().where(
        _q.org_id == bindparam("org"),
        _q.environment_id == bindparam("environment_id"),
        _q.finished_at.is_not(None),
        _q.id.not_in(
            select(_q.id)
            .where(_q.org_id == bindparam("org"), _q.environment_id == bindparam("environment_id"))
            .order_by(_q.id.desc())
            .limit(20)
        ),
    )
)
"""The newest of an environment are kept; the ledger keeps them all."""

_last = (
    select(
        func.jsonb_build_object(
            "id", _q.id, "state", _q.state, "reason", _q.reason, "attempts", _q.attempts, "simulated", _q.simulated,
            "created_at", _q.created_at, "finished_at", _q.finished_at,
        )
    )
    .where(_q.org_id == _e.org_id, _q.environment_id == _e.id)
    .order_by(_q.id.desc())
    .limit(1)
    .correlate(environments)
    .scalar_subquery()
)  # fmt: skip
ISOLATION = Listing(
    select(
        _e.id, _e.project_id, _e.slug,
        select(organizations.c.plan).where(organizations.c.id == _e.org_id).scalar_subquery().label("plan"),
        _w.state, _w.reason, _w["items"], _w.facts, _w.checked_at, _last.label("proof"),
    )
    .outerjoin(wall_reports, and_(_w.org_id == _e.org_id, _w.environment_id == _e.id))
    .where(
        _e.org_id == _ORG,
        _e.deleted_at.is_(None),
        named("project", _e.project_id, projects),
        named("environment", _e.id, environments),
    ),
    IsolationRow,
    key=_e.id,
    by={},
)  # fmt: skip
