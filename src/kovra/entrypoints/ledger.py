"""Operators' check of the ledger: every organization's hash chain, told by ids and numbers alone."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from kovra.entrypoints.wiring import app_address
from kovra.features.organizations.roles import ROLES
from kovra.foundation.db.database import Database
from kovra.foundation.db.due import all_of
from kovra.foundation.events import verify_chain
from kovra.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One organization's chain."""

    org_id: UUID
    events: int
    broken_at: int | None
    """The first sequence number that does not follow; None: the chain holds."""


async def verify_all(settings: Settings) -> list[Checked]:
    """Check every organization's chain from its first event; takes no locks, so it may run beside the product."""
    database = await Database.connect(app_address(settings).asyncpg(), roles=ROLES, options=settings.pool())
    found: list[Checked] = []
    try:
        async for due in all_of(database, "organizations"):
            async with database.organization(due.org_id) as session:
                verdict = await verify_chain(session)
            found.append(Checked(org_id=due.org_id, events=verdict.checked, broken_at=verdict.broken))
    finally:
        await database.close()
    return found
