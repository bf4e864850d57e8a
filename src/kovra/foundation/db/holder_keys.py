"""Holder keys in the database: loaded within the tenant session, cached in the process by what the row says."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import ColumnElement, LargeBinary, bindparam, literal_column, or_, select
from sqlalchemy.sql.expression import column, table

from kovra.foundation import clock
from kovra.foundation.db.session import TenantSession
from kovra.foundation.db.statements import command, statement
from kovra.foundation.errors import Conflict
from kovra.foundation.keyring import Holder, HolderKey, HolderKeys, Keyring, KeyVersionMissing, Purpose, SealBroken
from kovra.foundation.keyring.masters import KeyState
from kovra.foundation.observability import logger

_NAMES = ("org_id", "purpose", "version", "state", "master_set", "master_version", "wrapped", "public")
_KEYS = table("holder_keys", *(column(name) for name in _NAMES))


@dataclass(frozen=True, slots=True)
class HolderKeyRow:
    """A row of holder_keys."""

    purpose: str
    version: int
    state: str
    master_set: str
    master_version: int
    wrapped: bytes = field(repr=False)
    public: bytes | None
    unsettled: bool

    def key(self) -> HolderKey:
        """As the keyring takes it."""
        return HolderKey(
            purpose=Purpose(self.purpose),
            version=self.version,
            state=KeyState(self.state),
            master_set=self.master_set,
            master_version=self.master_version,
            wrapped=self.wrapped,
            public=self.public,
        )


_UNSETTLED: ColumnElement[bool] = literal_column("coalesce(xmin = pg_current_xact_id_if_assigned()::xid, false)").label(
    "unsettled"
)
"""Whether the row was written by this very transaction, which may yet be rolled back."""
_ALL = statement(
    select(*(_KEYS.c[n] for n in _NAMES[1:]), _UNSETTLED).where(_KEYS.c.org_id == bindparam("org_id")), HolderKeyRow
)
_ADD = command(_KEYS.insert().values({name: bindparam(name) for name in _NAMES}))
_ONE = (
    _KEYS.c.org_id == bindparam("org_id"),
    _KEYS.c.purpose == bindparam("purpose_is"),
    _KEYS.c.version == bindparam("version_is"),
)
_RETIRE = command(
    _KEYS.update()
    .where(
        _KEYS.c.org_id == bindparam("org_id"),
        _KEYS.c.purpose == bindparam("purpose_is"),
        _KEYS.c.state == "primary",
    )
    .values(state="enabled")
)
_REWRAP = command(
    _KEYS.update()
    # Compare and swap: whoever wrapped or destroyed it meanwhile wins.
    .where(*_ONE, _KEYS.c.master_version == bindparam("master_was"), _KEYS.c.state != "destroyed")
    .values(master_version=bindparam("master_version"), wrapped=bindparam("wrapped"))
)
_DESTROY = command(
    _KEYS.update()
    .where(*_ONE, or_(_KEYS.c.state == "enabled", _KEYS.c.state == "disabled"))
    .values(state="destroyed", wrapped=bindparam("nothing", b"", type_=LargeBinary))
)

CACHE_S = 60.0
"""A rotation made by another process is seen after at most this long; until then this one seals under the old version.

What others sealed meanwhile under the new one is opened all the same: see ``to_open``.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrapped:
    """How many keys of an organization were wrapped anew, and how many could not be."""

    changed: int
    failed: int


class HolderKeyStore:
    """Loads, makes, rotates and re-wraps the keys of the organization whose session it is given."""

    def __init__(self, keyring: Keyring, *, capacity: int = 2048) -> None:
        self.keyring = keyring
        self._capacity = capacity
        self._cache: OrderedDict[UUID, tuple[float, HolderKeys]] = OrderedDict()

    async def of_organization(self, session: TenantSession, *, fresh: bool = False) -> HolderKeys:
        """Every version the organization has."""
        known = self._cache.get(session.org_id)
        if known is not None and not fresh and known[0] > clock.monotonic():
            return known[1]
        rows = await session.all(_ALL, org_id=session.org_id)
        keys = HolderKeys(Holder("organization", session.org_id), (row.key() for row in rows))
        # A version that is rolled back after others have sealed under it would take their values with it.
        if not any(row.unsettled for row in rows):
            self._cache[session.org_id] = (clock.monotonic() + CACHE_S, keys)
            self._cache.move_to_end(session.org_id)
            if len(self._cache) > self._capacity:
                self._cache.popitem(last=False)
        return keys

    async def to_open(self, session: TenantSession, *sealed: bytes) -> HolderKeys:
        """The keys, read again when one of these values was sealed under a version this process has not seen yet."""
        keys = await self.of_organization(session)
        if all(keys.knows(data) for data in sealed):
            return keys
        return await self.of_organization(session, fresh=True)

    async def create_for_organization(self, session: TenantSession) -> None:
        """The first version of every purpose."""
        holder = Holder("organization", session.org_id)
        made = self.keyring.new_holder_keys(holder)
        await session.execute_many(_ADD, [_row(session.org_id, key) for key in made])

    async def rotate(self, session: TenantSession, purpose: Purpose) -> HolderKey:
        """A new primary version for new writes; the old one still opens. The caller enqueues the re-sealing.

        Raises Conflict when somebody else rotates it at this moment.
        """
        # First: it locks the primary's row, so that of two rotations at once the later finds no primary of its own.
        if not await session.execute(_RETIRE, org_id=session.org_id, purpose_is=purpose):
            raise Conflict("Another rotation of this key is under way.", code="rotation_running")
        keys = await self.of_organization(session, fresh=True)
        latest = max(k.version for k in keys.all() if k.purpose is purpose)
        made = self.keyring.new_holder_key(keys.holder, purpose, latest + 1)
        await session.execute(_ADD, **_row(session.org_id, made))
        self._cache.pop(session.org_id, None)
        return made

    async def rewrap(self, session: TenantSession) -> Rewrapped:
        """Wrap everything under the primary masters. Safe to repeat and to interrupt.

        A key that does not open (its master is not here, or it was changed) stays as it is and keeps no other.
        """
        keys = await self.of_organization(session, fresh=True)
        changed, failed = 0, 0
        for key in keys.all():
            if key.state is KeyState.destroyed or not self.keyring.needs_rewrap(key):
                continue
            try:
                again = self.keyring.rewrap(keys.holder, key)
            except (KeyVersionMissing, SealBroken) as why:
                failed += 1
                logger.error("key_not_rewrapped", purpose=key.purpose, key_version=key.version, reason=why.message)
                continue
            changed += await session.execute(
                _REWRAP,
                org_id=session.org_id,
                purpose_is=key.purpose,
                version_is=key.version,
                master_was=key.master_version,
                master_version=again.master_version,
                wrapped=again.wrapped,
            )
        self._cache.pop(session.org_id, None)
        return Rewrapped(changed=changed, failed=failed)

    async def destroy(self, session: TenantSession, purpose: Purpose, version: int) -> bool:
        """Forget the bytes of a version for ever; False for the primary, or one that is destroyed already.

        The caller has proven that nothing needs it.
        """
        done = await session.execute(_DESTROY, org_id=session.org_id, purpose_is=purpose, version_is=version)
        self._cache.pop(session.org_id, None)
        return bool(done)


def _row(org_id: UUID, key: HolderKey) -> dict[str, object]:
    return {
        "org_id": org_id,
        "purpose": key.purpose,
        "version": key.version,
        "state": key.state,
        "master_set": key.master_set,
        "master_version": key.master_version,
        "wrapped": key.wrapped,
        "public": key.public,
    }
