"""Asking for a proof of isolation, and writing down what it found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from kovra.features.drift import queries
from kovra.features.drift.messages import IsolationBroken, IsolationProven, ProveIsolation
from kovra.features.drift.queries import ProofRow
from kovra.features.drift.rules.attempts import is_proven
from kovra.features.projects import queries as project_queries
from kovra.foundation.access import Permission
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Conflict
from kovra.foundation.events import record
from kovra.foundation.ids import encode, new_id
from kovra.foundation.jobs.messages import enqueue
from kovra.foundation.observability import ISOLATION_PROOFS


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """What proves: from settings. ``image`` None: nothing does."""

    image: str | None = None
    command: tuple[str, ...] = ("/testapp", "connect")
    """Called with HOST:PORT words; writes a line for each that begins with ``open`` or ``closed``."""
    simulated: bool = False


class CanaryMissing(Conflict):
    """This installation names no image that tries to connect."""

    code = "canary_not_configured"


class NothingLive(Conflict):
    """The environment runs nothing, so there is no namespace to prove anything in."""

    code = "nothing_live"


async def request_proof(session: TenantSession, environment_id: UUID, canary: Canary) -> ProofRow:
    """Ask for a proof; the one that is under way, where there is one. Raises CanaryMissing, NothingLive, NotFound."""
    place = {"org_id": session.org_id, "environment_id": environment_id}
    environment = await session.one(project_queries.ENVIRONMENT_FOR_UPDATE, **place)
    if environment.protected:  # something runs there for it
        (await session.access()).require(Permission.environments_use_protected)
    if canary.image is None:
        raise CanaryMissing(
            "This installation has no image that tries to connect.", hint="Operators set KOVRA_CANARY_IMAGE."
        )
    if await session.find(queries.A_LIVE_ONE, **place) is None:
        raise NothingLive("Nothing is live in this environment.", hint="Deploy an app to it first.")
    known = await session.find(queries.OPEN_PROOF, **place)
    if known is not None:
        return known
    proof_id = new_id()
    await session.execute(
        queries.ADD_PROOF, id=proof_id, org=session.org_id, environment_id=environment_id, simulated=canary.simulated
    )
    enqueue(session, ProveIsolation(id=proof_id, environment_id=environment_id))
    return await session.one(queries.PROOF, org_id=session.org_id, proof_id=proof_id)


async def finish(session: TenantSession, proof: ProofRow, attempts: Sequence[Mapping[str, Any]]) -> None:
    """Everything was tried: the isolation is proven, or broken."""
    good = is_proven(attempts)
    if not await _end(session, proof, "proven" if good else "broken", None, attempts):
        return
    fact = (IsolationProven if good else IsolationBroken)(
        subject_id=proof.environment_id,
        isolation_proof_id=encode("prf", proof.id),
        attempts=[dict(attempt) for attempt in attempts],
        simulated=proof.simulated,
    )
    record(session, fact, scope=proof.scope, actor=proof.actor, origin="worker")


async def fail(session: TenantSession, proof: ProofRow, reason: str) -> None:
    """It could not be tried: nothing is said of the isolation."""
    await _end(session, proof, "failed", reason, proof.attempts)


async def _end(
    session: TenantSession, proof: ProofRow, state: str, reason: str | None, attempts: Sequence[Mapping[str, Any]]
) -> bool:
    ended = await session.execute(
        queries.FINISH_PROOF, org=session.org_id, proof_id=proof.id, state=state, reason=reason, attempts=attempts
    )
    await session.execute(queries.FORGET_PROOFS, org=session.org_id, environment_id=proof.environment_id)
    ISOLATION_PROOFS.labels(state).inc(ended)
    return bool(ended)
