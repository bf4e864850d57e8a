"""The organization's own keys: turning them, and re-sealing what older versions sealed."""

from __future__ import annotations

from uuid import UUID

from kovra.features.secrets import queries
from kovra.features.secrets.messages import KeyRotated, ResealValues
from kovra.features.secrets.service.revisions import secret_place, vars_place
from kovra.foundation import clock
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.events import record
from kovra.foundation.ids import new_id
from kovra.foundation.jobs.messages import enqueue
from kovra.foundation.keyring import Purpose

BATCH = 50
"""Values re-sealed in one transaction: a killed worker loses at most one batch, which is then done again."""


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


async def reseal_batch(session: TenantSession, store: HolderKeyStore, rotation_id: UUID) -> bool:
    """Re-seal up to a batch under the primary version; True when nothing is left."""
    rotation = await session.one(queries.ROTATION, org_id=session.org_id, rotation_id=rotation_id)
    if rotation.finished_at is not None:
        return True
    purpose = Purpose(rotation.purpose)
    done = await _reseal(session, store, purpose) if purpose in (Purpose.config, Purpose.secret) else 0
    finished = done < BATCH
    await session.execute(
        queries.PROGRESS,
        org=session.org_id,
        rotation_id=rotation_id,
        done=done,
        left=0 if finished else None,
        finished=clock.now() if finished else None,
    )
    return finished


async def _reseal(session: TenantSession, store: HolderKeyStore, purpose: Purpose) -> int:
    keys = await store.of_organization(session, fresh=True)
    version = keys.primary(purpose).version
    if purpose is Purpose.config:
        rows = await session.all(queries.OLD_CONFIG, org_id=session.org_id, version=version, limit=BATCH)
        for row in rows:
            again = store.keyring.reseal(row.data, vars_place(keys, row.id), keys)
            await session.execute(
                queries.RESEAL_CONFIG, org=session.org_id, row_id=row.id, was=row.data, vars=again.data,
                vars_key_version=again.key_version,
            )  # fmt: skip
        return len(rows)
    rows = await session.all(queries.OLD_SECRETS, org_id=session.org_id, version=version, limit=BATCH)
    for row in rows:
        again = store.keyring.reseal(row.data, secret_place(keys, row.id), keys)
        await session.execute(
            queries.RESEAL_SECRET, org=session.org_id, row_id=row.id, was=row.data, value=again.data,
            value_key_version=again.key_version,
        )  # fmt: skip
    return len(rows)
