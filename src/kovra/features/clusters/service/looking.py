"""Writing down what a look at a cluster found; a change of health is a fact."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, Literal

from kovra.features.clusters import queries
from kovra.features.clusters.messages import CheckCluster, ClusterHealthChanged
from kovra.features.clusters.queries import ClusterRow
from kovra.features.clusters.rules.findings import Finding
from kovra.foundation import clock
from kovra.foundation.db.session import TenantSession
from kovra.foundation.events import record
from kovra.foundation.jobs.messages import enqueue
from kovra.foundation.observability import CLUSTER_CHECKS

EVERY_S: Final = 60.0
LONGEST_S: Final = 300.0
"""A cluster that has been away for long is looked at less often."""


def next_look_s(row: ClusterRow) -> float:
    """How long from now the next look is due."""
    if row.health != "unreachable":
        return EVERY_S
    away = clock.now() - row.health_since
    return min(LONGEST_S, EVERY_S + away / timedelta(seconds=1) / 10)


async def write(
    session: TenantSession,
    seen: ClusterRow,
    found: Finding,
    *,
    server: str | None = None,
    encrypts_secrets: Literal["yes", "no", "unknown"] | None = None,
) -> None:
    """Write a finding, or look again where the cluster has been changed since; a passing refusal never unsays what was known."""
    row = await session.find(queries.CLUSTER_FOR_UPDATE, org_id=session.org_id, cluster_id=seen.id)
    if row is None:
        return
    if row.revision != seen.revision:
        enqueue(session, CheckCluster(id=row.id))
        return
    username, encrypts = found.username or row.username, encrypts_secrets or row.encrypts_secrets
    at = server or row.server
    is_new = (username, encrypts, at) != (row.username, row.encrypts_secrets, row.server)
    changed = is_new or (found.health, found.reason, found.report) != (row.health, row.health_reason, row.report)
    answered = found.health != "unreachable"
    await session.execute(
        queries.FOUND, org=session.org_id, this=row.id, revision_is=row.revision, server=at, health=found.health,
        reason=found.reason, seen_at=clock.now() if answered else row.last_seen_at, report=found.report,
        username=username, encrypts_secrets=encrypts, is_new=is_new, changed=changed,
    )  # fmt: skip
    CLUSTER_CHECKS.labels(row.kind, found.health).inc()
    if found.health != row.health:
        record(
            session,
            ClusterHealthChanged(subject_id=row.id, before=row.health, health=found.health, reason=found.reason),
            origin="worker",
        )
