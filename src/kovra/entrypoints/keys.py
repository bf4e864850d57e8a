"""Operators' work on what master keys wrap: wrap it anew, count it, and end versions that nothing needs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from kovra.entrypoints import keyfiles
from kovra.entrypoints.wiring import common
from kovra.features.secrets.service.keys import Ended, end_unneeded
from kovra.foundation import clock
from kovra.foundation.db import master_keys
from kovra.foundation.db.database import Database
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.master_keys import MasterUse
from kovra.foundation.errors import Conflict, NotFound
from kovra.foundation.keyring import MasterSet
from kovra.foundation.keyring.masters import KeyState
from kovra.settings import Settings


class KeyNeeded(Conflict):
    """A key version is not destroyed: rows, or backups that are still kept, need it."""

    code = "key_version_needed"


@dataclass(frozen=True, slots=True)
class Wrapped:
    """How many holder keys a master version wraps, in one organization."""

    org_id: UUID
    master_set: str
    master_version: int
    n: int


@dataclass(frozen=True, slots=True)
class Replaced:
    """An organization that has key versions besides the primary ones."""

    org_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrapping:
    """What a run did."""

    organizations: int
    changed: int
    failed: int


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[tuple[Database, HolderKeyStore]]:
    async with common(settings) as registry:
        yield registry.get(Database), registry.get(HolderKeyStore)


async def rewrap_all(settings: Settings) -> Rewrapping:
    """Re-wrap, organization by organization, each in its own transaction; killed anywhere, the next run goes on."""
    changed = failed = 0
    async with _store(settings) as (database, store):
        primary = {(group.value, store.keyring.masters.primary(group).version) for group in MasterSet}
        wrapped = await database.door("wrapped_keys", Wrapped)
        behind = sorted({row.org_id for row in wrapped if (row.master_set, row.master_version) not in primary})
        for org_id in behind:
            try:
                async with database.organization(org_id) as session:
                    done = await store.rewrap(session)
            except NotFound:  # deleted meanwhile, and its keys with it
                continue
            changed, failed = changed + done.changed, failed + done.failed
        await master_keys.look(database)
    return Rewrapping(organizations=len(behind), changed=changed, failed=failed)


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterVersion:
    """A master version that is configured, or in use."""

    set: str
    version: int
    state: str
    """``MISSING``: it wraps keys, and no file has it."""
    wraps: int
    destroyable_from: str | None
    """The day; None: it is primary, or something may need it for longer than is known."""


async def status(settings: Settings) -> list[MasterVersion]:
    """Each master version in use or configured."""
    async with _store(settings) as (database, store):
        used = {(use.master_set, use.version): use for use in await master_keys.look(database)}
        masters = {(k.set.value, k.version): k.state for k in store.keyring.masters.all()}
    found = []
    for group, version in sorted(used.keys() | masters.keys()):
        use, state = used.get((group, version)), masters.get((group, version))
        ends = use is not None and state in (KeyState.enabled, KeyState.disabled) and use.unneeded_since is not None
        day = f"{_free_from(use, settings):%Y-%m-%d}" if use is not None and ends else None
        wraps, name = use.n if use else 0, state.value if state else "MISSING"
        found.append(MasterVersion(set=group, version=version, state=name, wraps=wraps, destroyable_from=day))
    return found


def _free_from(use: MasterUse, settings: Settings) -> datetime:
    return (use.unneeded_since or clock.now()) + timedelta(days=settings.backup_retention_days)


async def destroy_master(folder: Path, group: MasterSet, version: int, settings: Settings) -> None:
    """Destroy a master version in both files; raises KeyNeeded while rows or backups that are kept need it."""
    known = settings.model_copy(update={"keyring_file": folder / keyfiles.WORKER})
    async with _store(known) as (database, store):
        if store.keyring.masters.primary(group).version == version:
            raise KeyNeeded(f"{group} {version} is the primary; promote another version first.")
        uses = [u for u in await master_keys.look(database) if (u.master_set, u.version) == (group.value, version)]
    for use in uses:
        if use.n:
            raise KeyNeeded(f"{group} {version} wraps {use.n} keys; run `kovra keys rewrap` first.")
        free_from = _free_from(use, settings)
        if free_from > clock.now():
            raise KeyNeeded(
                f"{group} {version} wraps nothing since {use.unneeded_since:%Y-%m-%d}, and backups are kept "
                f"{settings.backup_retention_days} days: it may be destroyed from {free_from:%Y-%m-%d}."
            )
    keyfiles.restate(folder, group, version, KeyState.destroyed, settings)


async def expire(settings: Settings) -> Ended:
    """Destroy organizations' replaced key versions that no value and no kept backup needs; each in its transaction."""
    total = Ended()
    backups = timedelta(days=settings.backup_retention_days)
    async with _store(settings) as (database, store):
        for found in await database.door("replaced_keys", Replaced):
            try:
                async with database.organization(found.org_id) as session:
                    ended = await end_unneeded(session, store, backups=backups)
            except NotFound:
                continue
            total = Ended(
                destroyed=total.destroyed + ended.destroyed,
                waiting=total.waiting + ended.waiting,
                needed=total.needed + ended.needed,
            )
    return total
