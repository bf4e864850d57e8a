"""Keyring: seals values to their place and opens them again, with the master keys this process was given."""

from __future__ import annotations

import hmac
import os
from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, Literal, Protocol
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from kovra.foundation import clock
from kovra.foundation.keyring import envelope
from kovra.foundation.keyring.envelope import SealBroken, canonical
from kovra.foundation.keyring.holders import CODES, Holder, HolderKey, HolderKeys, Purpose
from kovra.foundation.keyring.masters import KeyState, KeyVersionMissing, MasterKeys, MasterSet
from kovra.foundation.keyring.values import SecretValue

_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_WRAP: Final = 0
"""The purpose code of a wrapped holder key."""
_CACHE_S: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a sealed value lives; it opens nowhere else."""

    holder: Holder
    table: str
    row: UUID
    column: str
    purpose: Purpose

    def associated(self, version: int) -> bytes:
        """What the seal is bound to."""
        return canonical(
            "kovra seal v1", self.holder.kind, self.holder.id.bytes, self.table, self.row.bytes, self.column,
            self.purpose, version.to_bytes(4),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed value and the version of the holder key it needs."""

    data: bytes = field(repr=False)
    key_version: int


@dataclass(frozen=True, slots=True)
class Digest:
    """An HMAC shown to people; comparable only within one key version."""

    value: bytes
    key_version: int

    def compared(self, other: Digest) -> Literal["same", "changed", "unknown"]:
        """Whether two values are the same; across key versions nobody can say."""
        if self.key_version != other.key_version:
            return "unknown"
        return "same" if hmac.compare_digest(self.value, other.value) else "changed"


class KeyringObserver(Protocol):
    """Is told of everything that opens or does not, so that none goes unnoticed; must not raise."""

    def opened(self, place: Place) -> None:
        """A value was opened and handed out."""
        ...

    def unreadable(self, place: Place, why: SealBroken | KeyVersionMissing) -> None:
        """A value did not open: it was changed or moved, or its key is not here."""
        ...


class Keyring:
    """What this process may wrap, seal and open."""

    def __init__(self, masters: MasterKeys, *, observer: KeyringObserver | None = None, capacity: int = 4096) -> None:
        self._masters = masters
        self._observer = observer
        self._capacity = capacity
        self._unwrapped: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()

    @property
    def masters(self) -> MasterKeys:
        """The master keys, for status and rotation."""
        return self._masters

    def check_values(self) -> dict[tuple[str, int], bytes]:
        """(set, version) → check value, to be compared with what other nodes have recorded."""
        return {
            (k.set.value, k.version): k.check_value() for k in self._masters.all() if k.state is not KeyState.destroyed
        }

    def may_open(self, purpose: Purpose) -> bool:
        """Whether this process was given what opens values of the purpose; the api was not for ``secret``."""
        return self._masters.primary(_master_set(purpose)).secret is not None

    # Holder keys

    def new_holder_key(self, holder: Holder, purpose: Purpose, version: int) -> HolderKey:
        """A fresh primary version, wrapped by the primary master; of ``secret`` the private half is sealed and forgotten."""
        if purpose is Purpose.secret:
            pair = X25519PrivateKey.generate()
            return self._wrap(holder, purpose, version, pair.private_bytes_raw(), pair.public_key().public_bytes_raw())
        return self._wrap(holder, purpose, version, os.urandom(32), None)

    def new_holder_keys(self, holder: Holder) -> list[HolderKey]:
        """The first version of every purpose."""
        return [self.new_holder_key(holder, purpose, 1) for purpose in Purpose]

    def rewrap(self, holder: Holder, key: HolderKey) -> HolderKey:
        """The same key under the primary master version; records do not change."""
        return self._wrap(holder, key.purpose, key.version, self._unwrap(holder, key), key.public, state=key.state)

    def needs_rewrap(self, key: HolderKey) -> bool:
        """Whether an older master version wraps it."""
        return key.master_version != self._masters.primary(MasterSet(key.master_set)).version

    def _wrap(
        self,
        holder: Holder,
        purpose: Purpose,
        version: int,
        raw: bytes,
        public: bytes | None,
        *,
        state: KeyState = KeyState.primary,
    ) -> HolderKey:
        group = _master_set(purpose)
        master = self._masters.primary(group)
        bound = _wrapping(holder, purpose, version, master.version)
        if group is MasterSet.core:
            assert master.public is not None
            wrapped = _SUITE.encrypt(raw, X25519PublicKey.from_public_bytes(master.public), bound)
        else:
            assert master.secret is not None
            wrapped = envelope.seal(
                master.secret, purpose=_WRAP, version=master.version, plaintext=raw, associated=bound
            )
        return HolderKey(
            purpose=purpose,
            version=version,
            state=state,
            master_set=group,
            master_version=master.version,
            wrapped=wrapped,
            public=public,
        )

    def _unwrap(self, holder: Holder, key: HolderKey) -> bytes:
        # Everything the wrapping is bound to: a row whose bytes were moved to another purpose or version misses here.
        bound = _wrapping(holder, key.purpose, key.version, key.master_version)
        index = sha256(canonical(key.master_set, bound, key.wrapped)).digest()
        known = self._unwrapped.get(index)
        if known is not None and known[0] > clock.monotonic():
            return known[1]
        raw = self._unwrap_fresh(holder, key)
        self._unwrapped[index] = (clock.monotonic() + _CACHE_S, raw)
        self._unwrapped.move_to_end(index)
        if len(self._unwrapped) > self._capacity:
            self._unwrapped.popitem(last=False)
        return raw

    def _unwrap_fresh(self, holder: Holder, key: HolderKey) -> bytes:
        if key.master_set != _master_set(key.purpose):
            raise SealBroken
        master = self._masters.usable(MasterSet(key.master_set), key.master_version)
        bound = _wrapping(holder, key.purpose, key.version, master.version)
        if master.secret is None:
            raise KeyVersionMissing(f"the private half of the master set {master.set}", master.version)
        if master.set is MasterSet.core:
            return _hpke_open(master.secret, key.wrapped, bound)
        return envelope.open_(master.secret, key.wrapped, associated=bound)

    # Values

    def seal(self, value: SecretValue, place: Place, keys: HolderKeys) -> Sealed:
        """Seal under the holder's primary version."""
        key = keys.primary(place.purpose)
        bound = place.associated(key.version)
        if place.purpose is Purpose.secret:
            assert key.public is not None
            start = envelope.make_head(envelope.HPKE, CODES[place.purpose], key.version)
            box = _SUITE.encrypt(value.reveal(), X25519PublicKey.from_public_bytes(key.public), start + bound)
            return Sealed(start + box, key.version)
        raw = self._unwrap(keys.holder, key)
        data = envelope.seal(
            raw, purpose=CODES[place.purpose], version=key.version, plaintext=value.reveal(), associated=bound
        )
        return Sealed(data, key.version)

    def open(self, data: bytes, place: Place, keys: HolderKeys) -> SecretValue:
        """The value; raises SealBroken or KeyVersionMissing, for this value only."""
        value = self._opened_within(data, place, keys)
        if self._observer is not None:
            self._observer.opened(place)
        return value

    def _opened_within(self, data: bytes, place: Place, keys: HolderKeys) -> SecretValue:
        try:
            return self._open(data, place, keys)
        except (SealBroken, KeyVersionMissing) as why:
            if self._observer is not None:
                self._observer.unreadable(place, why)
            raise

    def _open(self, data: bytes, place: Place, keys: HolderKeys) -> SecretValue:
        form, code, version = envelope.head(data)
        if code != CODES[place.purpose]:
            raise SealBroken
        key = keys.usable(place.purpose, version)
        bound = place.associated(version)
        raw = self._unwrap(keys.holder, key)
        if form == envelope.HPKE and place.purpose is Purpose.secret:
            start = envelope.make_head(form, code, version)
            return SecretValue(_hpke_open(raw, data[len(start) :], start + bound))
        if form == envelope.SYMMETRIC and place.purpose is not Purpose.secret:
            return SecretValue(envelope.open_(raw, data, associated=bound))
        raise SealBroken

    def needs_reseal(self, data: bytes, purpose: Purpose, keys: HolderKeys) -> bool:
        """Whether an older version sealed it."""
        return envelope.head(data)[2] != keys.primary(purpose).version

    def reseal(self, data: bytes, place: Place, keys: HolderKeys) -> Sealed:
        """The same value under the primary version; it does not leave the keyring."""
        return self.seal(self._opened_within(data, place, keys), place, keys)

    def redigest(self, data: bytes, place: Place, name: str, keys: HolderKeys) -> Digest:
        """The digest of a sealed value under the primary version; the value does not leave the keyring."""
        return self.digest(self._opened_within(data, place, keys), name, keys)

    def digest(self, value: SecretValue, name: str, keys: HolderKeys) -> Digest:
        """What people may compare instead of the value: an HMAC, since a bare hash of a short secret can be guessed."""
        key = keys.primary(Purpose.digest)
        raw = self._unwrap(keys.holder, key)
        return Digest(hmac.digest(raw, canonical("kovra digest v1", name, value.reveal()), sha256)[:16], key.version)


def _master_set(purpose: Purpose) -> MasterSet:
    return MasterSet.core if purpose is Purpose.secret else MasterSet.edge


def _wrapping(holder: Holder, purpose: Purpose, version: int, master_version: int) -> bytes:
    return canonical(
        "kovra wrap v1", holder.kind, holder.id.bytes, purpose, version.to_bytes(4), master_version.to_bytes(4)
    )


def _hpke_open(private: bytes, box: bytes, info: bytes) -> bytes:
    try:
        return bytes(_SUITE.decrypt(box, X25519PrivateKey.from_private_bytes(private), info))
    except (InvalidTag, ValueError):
        raise SealBroken from None
