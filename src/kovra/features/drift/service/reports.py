"""Writing what a look showed: the report, what is news of it, and when to look again."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from kovra.features.drift import queries
from kovra.features.drift.messages import (
    AppEnvironmentDrifted,
    AppEnvironmentDriftRestored,
    EnvironmentDrifted,
    EnvironmentDriftRestored,
)
from kovra.features.drift.rules.items import RESTORES, Item, is_fought_over, news, state_of
from kovra.features.projects.queries import AppEnvironmentRow
from kovra.foundation import clock
from kovra.foundation.db.session import TenantSession
from kovra.foundation.events import record
from kovra.foundation.observability import DRIFT

_TOLD: Final = 20
"""Items of one event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """How often the cluster is looked at; from settings."""

    every_s: float = 300.0


async def look_again(session: TenantSession, app_environment_id: UUID, after_s: float) -> None:
    """The next look is due about so much later: not all at the same moment."""
    due_at = clock.now() + timedelta(seconds=after_s * random.uniform(0.8, 1.2))  # noqa: S311  # jitter
    await session.execute(queries.LOOK_AGAIN, org=session.org_id, app_environment_id=app_environment_id, due_at=due_at)


async def write_report(
    session: TenantSession,
    row: AppEnvironmentRow,
    before: Sequence[Item],
    seen: Sequence[Item],
    after: Sequence[Item],
    applied: Mapping[str, Any],
) -> None:
    """Of an app environment: ``seen`` as the look showed it, ``after`` once what could be put back was."""
    await session.execute(
        queries.WRITE_REPORT,
        org=session.org_id,
        app_environment_id=row.id,
        state=state_of(after),
        reason=_reason(after),
        items=[item.document() for item in after],
        applied=applied,
        checked_at=clock.now(),
    )
    drifted, restored = _told(before, seen, after)
    if drifted:
        record(session, AppEnvironmentDrifted(subject_id=row.id, items=drifted), scope=row.scope, origin="worker")
    if restored:
        fact = AppEnvironmentDriftRestored(subject_id=row.id, items=restored)
        record(session, fact, scope=row.scope, origin="worker")


async def write_unknown(session: TenantSession, row: AppEnvironmentRow, found: queries.ReportRow, reason: str) -> None:
    """Nothing can be said of an app environment at the moment; what was known stays."""
    await session.execute(
        queries.WRITE_REPORT,
        org=session.org_id,
        app_environment_id=row.id,
        state="unknown",
        reason=reason,
        items=found.items or [],
        applied=found.applied or {},
        checked_at=found.checked_at,
    )


async def write_walls(
    session: TenantSession,
    row: AppEnvironmentRow,
    before: Sequence[Item],
    seen: Sequence[Item],
    after: Sequence[Item],
    facts: Mapping[str, Any],
) -> None:
    """Of an environment, by any app environment in it."""
    await session.execute(
        queries.WRITE_WALLS,
        org=session.org_id,
        environment_id=row.environment_id,
        state=state_of(after),
        reason=_reason(after),
        items=[item.document() for item in after],
        facts=facts,
        checked_at=clock.now(),
    )
    scope = row.environment_scope
    drifted, restored = _told(before, seen, after)
    if drifted:
        fact = EnvironmentDrifted(subject_id=row.environment_id, items=drifted)
        record(session, fact, scope=scope, origin="worker")
    if restored:
        back = EnvironmentDriftRestored(subject_id=row.environment_id, items=restored)
        record(session, back, scope=scope, origin="worker")


def _reason(items: Sequence[Item]) -> str | None:
    """The first open item's."""
    return next((item.reason for item in items if item.counts and item.reason), None)


def _told(
    before: Sequence[Item], seen: Sequence[Item], after: Sequence[Item]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What drifted and what came back. Of what is fought over and returns all the same, the begin is told alone."""
    back = [item for item in after if not item.is_open and _is_new(before, item)]
    returned = {item.key for item in back}
    briefly = [item for item in news(before, seen) if item.key in returned]
    fresh = [*news(before, after), *(_begun(item) for item in briefly if len(item.restores) <= RESTORES)]
    back = [item for item in back if len(item.restores) <= RESTORES]
    DRIFT.labels("found").inc(len(fresh))
    DRIFT.labels("restored").inc(sum(1 for item in back if item.restores))
    DRIFT.labels("fought_over").inc(sum(1 for item in fresh if item.reason == "fought_over"))
    return [item.told() for item in fresh[:_TOLD]], [item.told() for item in back[:_TOLD]]


def _begun(item: Item) -> Item:
    return replace(item, reason="fought_over") if is_fought_over(item) else item


def _is_new(before: Sequence[Item], item: Item) -> bool:
    return all(known.key != item.key or known.restored_at != item.restored_at for known in before)
