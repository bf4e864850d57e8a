"""Master keys: two versioned sets from a provider. ``edge`` is symmetric; ``core`` are X25519 pairs.

The api holds ``edge`` and only the public half of ``core``; the worker holds both. States: ``primary`` wraps new holder
keys, ``enabled`` still unwraps, ``disabled`` refuses until enabled again, ``destroyed`` is gone and has no bytes left.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from kovra.foundation.errors import KovraError, Unavailable

_VERSIONS: Final = 2**31 - 1
"""The database counts versions in an integer."""


class KeyVersionMissing(Unavailable):
    """A key version that a value needs is not here, disabled or destroyed; that value alone is unreadable."""

    code = "key_version_missing"

    def __init__(self, what: str, version: int) -> None:
        super().__init__(f"Key version {version} of {what} is not available.", retry_after_s=60)
        self.version = version


class KeyBroken(KovraError):
    """The keyring file or environment does not hold usable keys; a process refuses to start with it."""

    code = "keyring_invalid"


class MasterSet(StrEnum):
    """Which set a master key belongs to."""

    edge = "edge"
    core = "core"


class KeyState(StrEnum):
    """Where a version is in its life."""

    primary = "primary"
    enabled = "enabled"
    disabled = "disabled"
    destroyed = "destroyed"


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterKey:
    """One version.

    ``secret`` is 32 symmetric bytes (edge) or the private half (core; None where only sealing is allowed). A destroyed
    version has neither half: its number stays taken.
    """

    set: MasterSet
    version: int
    state: KeyState
    secret: bytes | None = field(repr=False)
    public: bytes | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be a key; the message never shows bytes."""
        if not 1 <= self.version <= _VERSIONS:
            raise KeyBroken(f"A version of the master set {self.set} is not a number from 1.")
        if self.state is KeyState.destroyed:
            if self.secret is not None or self.public is not None:
                raise KeyBroken(f"Master key {self.set} {self.version} is destroyed and still has bytes; remove them.")
            return
        needed = (self.secret,) if self.set is MasterSet.edge else (self.public, self.secret or self.public)
        if any(half is None or len(half) != 32 for half in needed):
            raise KeyBroken(f"Master key {self.set} {self.version} does not have 32 bytes.")

    def check_value(self) -> bytes:
        """Tells two keys of one version apart without telling anything of the key (compared by all nodes)."""
        if self.set is MasterSet.core:
            return sha256(b"kovra core check" + (self.public or b"")).digest()[:16]
        assert self.secret is not None
        return hmac.digest(self.secret, b"kovra edge check", sha256)[:16]


class MasterKeySource(Protocol):
    """Where master keys come from: a file, the environment, or blobs wrapped by AWS KMS."""

    def load(self) -> list[MasterKey]:
        """All versions; raises KeyBroken for a wrong configuration and Unavailable when the provider is away.

        May block on the network: an event loop calls it in a thread.
        """
        ...


class MasterKeys:
    """The loaded versions of both sets."""

    def __init__(self, keys: Iterable[MasterKey]) -> None:
        self._keys: dict[tuple[MasterSet, int], MasterKey] = {}
        for key in keys:
            if (key.set, key.version) in self._keys:
                raise KeyBroken(f"Master key {key.set} {key.version} is given twice.")
            self._keys[key.set, key.version] = key
        for group in MasterSet:
            primaries = [k for k in self._keys.values() if k.set is group and k.state is KeyState.primary]
            if len(primaries) != 1:
                raise KeyBroken(f"The set {group} needs exactly one primary version, found {len(primaries)}.")

    def primary(self, group: MasterSet) -> MasterKey:
        """The version that wraps new keys."""
        return next(k for k in self._keys.values() if k.set is group and k.state is KeyState.primary)

    def usable(self, group: MasterSet, version: int) -> MasterKey:
        """A version that may unwrap; raises KeyVersionMissing."""
        key = self._keys.get((group, version))
        if key is None or key.state not in (KeyState.primary, KeyState.enabled):
            raise KeyVersionMissing(f"the master set {group}", version)
        return key

    def all(self) -> list[MasterKey]:
        """Every version, sorted."""
        return sorted(self._keys.values(), key=lambda k: (k.set, k.version))


def generate(group: MasterSet, version: int) -> MasterKey:
    """A fresh primary key."""
    if group is MasterSet.edge:
        return MasterKey(set=group, version=version, state=KeyState.primary, secret=os.urandom(32))
    pair = X25519PrivateKey.generate()
    return MasterKey(
        set=group,
        version=version,
        state=KeyState.primary,
        secret=pair.private_bytes_raw(),
        public=pair.public_key().public_bytes_raw(),
    )


def rotated(keys: Iterable[MasterKey], group: MasterSet, *, staged: bool = False) -> list[MasterKey]:
    """The keys with one more version: the new primary, or, staged, one that only opens until it is promoted.

    A version must be on every node before any node wraps under it; nodes that restart one by one need the staged form.
    """
    known = list(keys)
    version = max((k.version for k in known if k.set is group), default=0) + 1
    made = generate(group, version)
    if staged:
        return [*known, replace(made, state=KeyState.enabled)]
    return promoted([*known, replace(made, state=KeyState.enabled)], group, version)


def promoted(keys: Iterable[MasterKey], group: MasterSet, version: int) -> list[MasterKey]:
    """The keys with this version as primary and the present primary as enabled; raises KeyVersionMissing."""
    known = list(keys)
    MasterKeys(known).usable(group, version)
    return [k if k.set is not group else _ranked(k, version) for k in known]


def restated(keys: Iterable[MasterKey], group: MasterSet, version: int, state: KeyState) -> list[MasterKey]:
    """The keys with a version enabled, disabled or destroyed (its bytes are forgotten, its number stays taken).

    Raises KeyBroken for the primary, which another must replace first, and for a destroyed one.
    """
    known = list(keys)
    key = next((k for k in known if k.set is group and k.version == version), None)
    if key is None:
        raise KeyBroken(f"There is no master key {group} {version}.")
    if key.state is KeyState.primary or state is KeyState.primary:
        raise KeyBroken(f"Master key {group} {version} is the primary; promote another version first.")
    if key.state is KeyState.destroyed:
        raise KeyBroken(f"Master key {group} {version} is destroyed.")
    gone = state is KeyState.destroyed
    after = MasterKey(set=group, version=version, state=state, secret=None) if gone else replace(key, state=state)
    return [after if k is key else k for k in known]


def _ranked(key: MasterKey, primary: int) -> MasterKey:
    if key.version == primary:
        return replace(key, state=KeyState.primary)
    return replace(key, state=KeyState.enabled) if key.state is KeyState.primary else key
