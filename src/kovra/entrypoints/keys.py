"""Operators' work on what master keys wrap: wrap it anew, count it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from kovra.entrypoints.wiring import common
from kovra.foundation.db.database import Database
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.settings import Settings


@dataclass(frozen=True, slots=True)
class Wrapped:
    """How many holder keys a master version wraps, in one organization."""

    org_id: UUID
    master_set: str
    master_version: int
    n: int


async def _wrapped(database: Database) -> list[Wrapped]:
    return await database.door("wrapped_keys", Wrapped)


async def rewrap_all(settings: Settings) -> tuple[int, int]:
    """Re-wrap, organization by organization, each in its own transaction; killed anywhere, the next run goes on."""
    changed = 0
    async with common(settings) as registry:
        database, store = registry.get(Database), registry.get(HolderKeyStore)
        organizations = sorted({row.org_id for row in await _wrapped(database)})
        for org_id in organizations:
            async with database.organization(org_id) as session:
                changed += await store.rewrap(session)
    return len(organizations), changed


async def status(settings: Settings) -> list[str]:
    """One line per master version in use or configured."""
    async with common(settings) as registry:
        rows = await _wrapped(registry.get(Database))
        masters = registry.get(HolderKeyStore).keyring.masters.all()
    counts: dict[tuple[str, int], int] = {(k.set.value, k.version): 0 for k in masters}
    for row in rows:
        key = (row.master_set, row.master_version)
        counts[key] = counts.get(key, 0) + row.n
    states = {(k.set.value, k.version): k.state.value for k in masters}
    return [f"{g:5} {v:3}  {states.get((g, v), 'MISSING'):9} wraps {n}" for (g, v), n in sorted(counts.items())]
