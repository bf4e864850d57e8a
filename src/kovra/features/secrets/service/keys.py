"""The organization's own keys: turning them, and re-sealing what older versions sealed."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from kovra.features.secrets import queries
from kovra.features.secrets.messages import KeyRotated, ResealValues
from kovra.features.secrets.queries import SealedRow
from kovra.features.secrets.service.revisions import secret_place, vars_place
from kovra.foundation import clock
from kovra.foundation.db.holder_keys import CACHE_S, HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.events import record
from kovra.foundation.ids import new_id
from kovra.foundation.jobs.messages import enqueue
from kovra.foundation.keyring import HolderKeys, KeyVersionMissing, Purpose, SealBroken
from kovra.foundation.observability import logger

BATCH = 50
"""Values re-sealed in one transaction: a killed worker loses at most one batch, which is then done again."""
START: Final = UUID(int=0)
_MARGIN_S: Final = 5.0


async def rotate(session: TenantSession, store: HolderKeyStore, purposes: list[Purpose]) -> None:
    """Make a new version for new writes and ask for the re-sealing of the old."""
    actor = (await session.access()).actor
    for purpose in purposes:
        made = await store.rotate(session, purpose)
        rotation_id = new_id()
        await session.execute(
            queries.ADD_ROTATION,
            id=rotation_id,
            org_id=session.org_id,
            purpose=purpose,
            from_version=made.version - 1,
            to_version=made.version,
            actor=actor,
        )
        enqueue(session, ResealValues(id=rotation_id))
        record(session, KeyRotated(subject_id=session.org_id, purpose=purpose, version=made.version))


async def reseal_batch(
    session: TenantSession, store: HolderKeyStore, rotation_id: UUID, *, after: UUID = START
) -> UUID | None:
    """Re-seal a batch of the rows behind ``after`` under the primary version; where to go on, None when at the end.

    A value that does not open stays as it is and is counted as remaining: it must not keep the others.
    """
    rotation = await session.one(queries.ROTATION, org_id=session.org_id, rotation_id=rotation_id)
    purpose = Purpose(rotation.purpose)
    keys = await store.of_organization(session, fresh=True)
    version = keys.primary(purpose).version
    rows = await _old(session, purpose, version, after)
    broken = 0
    for row in rows:
        try:
            await _renew(session, store, keys, purpose, row)
        except (SealBroken, KeyVersionMissing) as unreadable:
            broken += 1
            logger.error("value_unreadable", purpose=purpose, row=str(row.id), reason=unreadable.message)
    at_end = len(rows) < BATCH
    await session.execute(
        queries.PROGRESS,
        org=session.org_id,
        rotation_id=rotation_id,
        done=len(rows) - broken,
        left=await _left(session, purpose, version) if at_end else None,
        finished=(rotation.finished_at or clock.now()) if at_end else rotation.finished_at,
    )
    return None if at_end else rows[-1].id


async def settles_in(session: TenantSession, rotation_id: UUID) -> float:
    """Seconds until no process may still be sealing under the version this rotation replaced."""
    rotation = await session.one(queries.ROTATION, org_id=session.org_id, rotation_id=rotation_id)
    return CACHE_S + _MARGIN_S - (clock.now() - rotation.created_at).total_seconds()


async def _old(session: TenantSession, purpose: Purpose, version: int, after: UUID) -> list[SealedRow]:
    statements = {
        Purpose.config: queries.OLD_CONFIG,
        Purpose.secret: queries.OLD_SECRETS,
        Purpose.digest: queries.OLD_DIGESTS,
    }
    return await session.all(statements[purpose], org_id=session.org_id, version=version, after=after, limit=BATCH)


async def _left(session: TenantSession, purpose: Purpose, version: int) -> int:
    statements = {
        Purpose.config: queries.CONFIG_BY_VERSION,
        Purpose.secret: queries.SECRETS_BY_VERSION,
        Purpose.digest: queries.DIGESTS_BY_VERSION,
    }
    counted = await session.all(statements[purpose], org_id=session.org_id)
    return sum(c.n for c in counted if c.version != version)


async def _renew(
    session: TenantSession, store: HolderKeyStore, keys: HolderKeys, purpose: Purpose, row: SealedRow
) -> None:
    """Compare and swap: what was written meanwhile wins."""
    if purpose is Purpose.config:
        again = store.keyring.reseal(row.data, vars_place(keys, row.id), keys)
        await session.execute(
            queries.RESEAL_CONFIG, org=session.org_id, row_id=row.id, was=row.data, vars=again.data,
            vars_key_version=again.key_version,
        )  # fmt: skip
        return
    if purpose is Purpose.secret:
        again = store.keyring.reseal(row.data, secret_place(keys, row.id), keys)
        await session.execute(
            queries.RESEAL_SECRET, org=session.org_id, row_id=row.id, was=row.data, value=again.data,
            value_key_version=again.key_version,
        )  # fmt: skip
        return
    # What people compare is made of the value itself, so only the worker can renew it.
    digest = store.keyring.digest(store.keyring.open(row.data, secret_place(keys, row.id), keys), row.name, keys)
    await session.execute(
        queries.RENEW_DIGEST, org=session.org_id, row_id=row.id, digest=digest.value,
        digest_key_version=digest.key_version,
    )  # fmt: skip
