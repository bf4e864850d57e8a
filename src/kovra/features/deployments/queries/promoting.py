"""What canaries ask of the table of deployments."""

from __future__ import annotations

from sqlalchemy import bindparam, func, select

from kovra.features.deployments.queries.rows import Id
from kovra.foundation.db.statements import command, statement
from kovra.models.deployments import deployments

_d = deployments.c

EXTEND = command(
    deployments.update()
    .where(
        _d.org_id == bindparam("org"),
        _d.id == bindparam("deployment_id"),
        _d.fence == bindparam("fence_is"),
        _d.outcome.is_(None),
    )
    .values(deadline_at=bindparam("deadline_at"))
)
REQUEST_PROMOTE = command(
    deployments.update()
    .where(_d.org_id == bindparam("org"), _d.id == bindparam("deployment_id"), _d.outcome.is_(None))
    .values(promote_requested_at=func.coalesce(_d.promote_requested_at, func.now()), updated_at=func.now())
)
PROMOTED = statement(
    select(_d.id).where(
        _d.org_id == bindparam("org_id"), _d.id == bindparam("deployment_id"), _d.promote_requested_at.is_not(None)
    ),
    Id,
)
