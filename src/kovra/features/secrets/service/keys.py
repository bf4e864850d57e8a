"""The organization's own keys: turning them, re-sealing what older versions sealed, and the end of a version."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from kovra.features.secrets import queries
from kovra.features.secrets.messages import KeyDestroyed, KeyRotated, ResealValues, ValuesResealed
from kovra.features.secrets.queries import KeyVersionRow, RotationRow
from kovra.foundation import clock
from kovra.foundation.db.holder_keys import CACHE_S, HolderKeyStore
from kovra.foundation.db.sealed import KeyedColumn, OldRow
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Conflict
from kovra.foundation.events import record
from kovra.foundation.ids import NIL, encode, new_id
from kovra.foundation.jobs.messages import enqueue
from kovra.foundation.keyring import HolderKeys, KeyVersionMissing, Purpose, SealBroken

BATCH = 50
"""Values re-sealed in one transaction: a killed worker loses at most one batch, which is then done again."""
_MARGIN_S: Final = 5.0
_WIRE: Final = {
    "change_sets": "cs", "clusters": "clu", "config_revisions": "cfg", "secret_versions": "sec",
    "registry_credentials": "reg",
}  # fmt: skip
"""Table → prefix of its ids on the wire."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a pass over the columns of a purpose is: which column, and behind which row."""

    column: int = 0
    after: UUID = NIL


START: Final = Position()


async def rotate(session: TenantSession, store: HolderKeyStore, purposes: list[Purpose]) -> None:
    """Make a new version for new writes and ask for the re-sealing of the old.

    Raises Conflict while an earlier rotation of one of these keys is still being re-sealed: work stays bounded.
    """
    actor = (await session.access()).actor
    for purpose in purposes:
        made = await store.rotate(session, purpose)
        if await session.find(queries.RUNNING_ROTATION, org_id=session.org_id, purpose=purpose):
            raise Conflict(
                f"The values of the last rotation of {purpose} are still being sealed anew.",
                code="rotation_running",
                hint="GET /v1/organization/encryption shows how far it is.",
            )
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
    session: TenantSession, store: HolderKeyStore, rotation_id: UUID, position: Position = START
) -> Position | None:
    """Re-seal a batch of the rows behind the position under the primary version; where to go on, None at the end.

    A value that does not open stays as it is and is counted as remaining: it must not keep the others.
    """
    rotation = await session.one(queries.ROTATION, org_id=session.org_id, rotation_id=rotation_id)
    purpose = Purpose(rotation.purpose)
    columns = [column for column in queries.COLUMNS if column.key is purpose]
    if rotation.settled_at is not None or not columns:
        return None
    keys = await store.of_organization(session, fresh=True)
    version, column = keys.primary(purpose).version, columns[position.column]
    rows = await session.all(
        column.old, org_id=session.org_id, version=version, after=position.after, limit=BATCH
    )  # fmt: skip
    done = [row for row in rows if await _renew(session, store, keys, column, row)]
    if done and column.value is Purpose.secret:
        ids = [encode(_WIRE[column.table], row.id) for row in done]
        resealed = ValuesResealed(
            subject_id=session.org_id, purpose=purpose, version=version, column=column.column, rows=ids
        )
        record(session, resealed, origin="worker")
    behind = Position(position.column, rows[-1].id) if len(rows) == BATCH else Position(position.column + 1)
    at_end = behind.column == len(columns)
    await _progress(session, rotation, len(done), at_end=at_end)
    return None if at_end else behind


async def _renew(
    session: TenantSession, store: HolderKeyStore, keys: HolderKeys, column: KeyedColumn, row: OldRow
) -> bool:
    """Compare and swap: what was written meanwhile wins. False where the value does not open."""
    place = column.place(keys.holder, row.id)
    try:
        if column.is_digest:
            digest = store.keyring.redigest(row.data, place, row.label or "", keys)
            made, version = digest.value, digest.key_version
        else:
            sealed = store.keyring.reseal(row.data, place, keys)
            made, version = sealed.data, sealed.key_version
    except (SealBroken, KeyVersionMissing):
        return False  # the keyring's observer has said so
    await session.execute(
        column.swap, org=session.org_id, row_id=row.id, was=row.data, made=made, made_version=version
    )  # fmt: skip
    return True


async def _progress(session: TenantSession, rotation: RotationRow, done: int, *, at_end: bool) -> None:
    now = clock.now()
    settled = at_end and settles_in(rotation) <= 0
    await session.execute(
        queries.PROGRESS,
        org=session.org_id,
        rotation_id=rotation.id,
        done=done,
        left=await _left(session, rotation) if at_end else None,
        now=now,
        finished=rotation.finished_at or (now if at_end else None),
        settled=now if settled else None,
    )


async def rotation_of(session: TenantSession, rotation_id: UUID) -> RotationRow:
    """The rotation; raises NotFound."""
    return await session.one(queries.ROTATION, org_id=session.org_id, rotation_id=rotation_id)


def settles_in(rotation: RotationRow) -> float:
    """Seconds until no process may still be sealing under the version this rotation replaced."""
    return CACHE_S + _MARGIN_S - (clock.now() - rotation.created_at).total_seconds()


async def needed(session: TenantSession) -> dict[tuple[str, int], int]:
    """(purpose, version) → how many values of the organization need it."""
    counted = await session.all(queries.VERSION_COUNTS, org_id=session.org_id)
    return {(c.purpose, c.version): c.n for c in counted}


async def _left(session: TenantSession, rotation: RotationRow) -> int:
    return remaining(await needed(session), rotation)


def remaining(counts: dict[tuple[str, int], int], rotation: RotationRow) -> int:
    """How many values still wait for this rotation's version or a later one."""
    return sum(n for (purpose, v), n in counts.items() if purpose == rotation.purpose and v < rotation.to_version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What became of an organization's replaced key versions."""

    destroyed: int = 0
    waiting: int = 0
    """Needed by no value, but by backups that are still kept."""
    needed: int = 0


async def end_unneeded(session: TenantSession, store: HolderKeyStore, *, backups: timedelta) -> Ended:
    """Destroy replaced versions that no value needs and that no backup younger than ``backups`` can need.

    When nothing needed a version is remembered as it is first seen; a value that needs it after all starts it anew.
    """
    counts = await needed(session)
    destroyed = waiting = used = 0
    for row in await session.all(queries.KEY_VERSIONS, org_id=session.org_id):
        if row.state not in ("enabled", "disabled"):
            continue
        if counts.get((row.purpose, row.version)):
            used += 1
            await _unneeded(session, row, None)
        elif row.unneeded_since is None or row.unneeded_since + backups > clock.now():
            waiting += 1
            await _unneeded(session, row, row.unneeded_since or clock.now())
        elif await store.destroy(session, Purpose(row.purpose), row.version):
            destroyed += 1
            record(session, KeyDestroyed(subject_id=session.org_id, purpose=row.purpose, version=row.version))
    return Ended(destroyed=destroyed, waiting=waiting, needed=used)


async def _unneeded(session: TenantSession, row: KeyVersionRow, since: object) -> None:
    if since != row.unneeded_since:
        await session.execute(
            queries.SET_UNNEEDED, org=session.org_id, of=row.purpose, number=row.version, since=since
        )  # fmt: skip
