"""What is inside a project goes and comes with it; and how much is inside."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, func, literal, select

from kovra.foundation.db.statements import command, statement
from kovra.models.organizations import organizations
from kovra.models.projects import apps, environments

_a, _e = apps.c, environments.c

# Without a time to be purged: that is how what was deleted with its project is told from what was deleted before.
HIDE_APPS = command(
    apps.update()
    .where(_a.org_id == bindparam("org"), _a.project_id == bindparam("project"), _a.deleted_at.is_(None))
    .values(deleted_at=bindparam("deleted_at"), updated_at=func.now())
)
HIDE_ENVIRONMENTS = command(
    environments.update()
    .where(_e.org_id == bindparam("org"), _e.project_id == bindparam("project"), _e.deleted_at.is_(None))
    .values(deleted_at=bindparam("deleted_at"), updated_at=func.now())
)
SHOW_APPS = command(
    apps.update()
    .where(
        _a.org_id == bindparam("org"),
        _a.project_id == bindparam("project"),
        _a.deleted_at.is_not(None),
        _a.purge_at.is_(None),
    )
    .values(deleted_at=None, updated_at=func.now())
)
SHOW_ENVIRONMENTS = command(
    environments.update()
    .where(
        _e.org_id == bindparam("org"),
        _e.project_id == bindparam("project"),
        _e.deleted_at.is_not(None),
        _e.purge_at.is_(None),
    )
    .values(deleted_at=None, updated_at=func.now())
)


@dataclass(frozen=True, slots=True)
class OfPlan:
    """How many environments an organization has, and on which plan it is."""

    environments: int
    plan: str


@dataclass(frozen=True, slots=True)
class Inside:
    """How many apps and environments a project has, deleted ones included."""

    apps: int
    environments: int
    protected: bool
    """Whether one of its living environments is protected."""


INSIDE = statement(
    select(
        select(func.count())
        .where(_a.org_id == bindparam("org_id"), _a.project_id == bindparam("project_id"))
        .scalar_subquery()
        .label("apps"),
        select(func.count())
        .where(_e.org_id == bindparam("org_id"), _e.project_id == bindparam("project_id"))
        .scalar_subquery()
        .label("environments"),
        select(literal(1))
        .where(
            _e.org_id == bindparam("org_id"),
            _e.project_id == bindparam("project_id"),
            _e.protected,
            _e.deleted_at.is_(None),
        )
        .exists()
        .label("protected"),
    ),
    Inside,
)

OF_PLAN = statement(
    select(
        select(func.count())
        .where(_e.org_id == bindparam("org_id"), _e.deleted_at.is_(None))
        .scalar_subquery()
        .label("environments"),
        organizations.c.plan,
    ).where(organizations.c.id == bindparam("org_id")),
    OfPlan,
)
