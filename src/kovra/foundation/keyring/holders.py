"""Holder keys: random keys of one organization, user or the platform, versioned, wrapped by a master version."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal
from uuid import UUID

from kovra.foundation.keyring import envelope
from kovra.foundation.keyring.masters import KeyState, KeyVersionMissing


class Purpose(StrEnum):
    """What a key seals. Only ``secret`` is asymmetric."""

    config = "config"
    oauth = "oauth"
    webhook = "webhook"
    cloud = "cloud"
    totp = "totp"
    digest = "digest"
    secret = "secret"  # noqa: S105  # a word, not a credential


CODES: Final = {purpose: code for code, purpose in enumerate(Purpose, start=1)}
"""The byte in the envelope; append only."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose keys they are."""

    kind: Literal["organization", "user", "platform"]
    id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderKey:
    """One version, as its row stores it."""

    purpose: Purpose
    version: int
    state: KeyState
    master_set: str
    master_version: int
    wrapped: bytes = field(repr=False)
    public: bytes | None = None


class HolderKeys:
    """All versions of one holder, by purpose."""

    def __init__(self, holder: Holder, keys: Iterable[HolderKey]) -> None:
        self.holder = holder
        self._keys = {(k.purpose, k.version): k for k in keys}

    def primary(self, purpose: Purpose) -> HolderKey:
        """The version new values are sealed under."""
        for key in self._keys.values():
            if key.purpose is purpose and key.state is KeyState.primary:
                return key
        raise KeyVersionMissing(f"the purpose {purpose}", 0)

    def usable(self, purpose: Purpose, version: int) -> HolderKey:
        """A version that may open; raises KeyVersionMissing."""
        key = self._keys.get((purpose, version))
        if key is None or key.state not in (KeyState.primary, KeyState.enabled):
            raise KeyVersionMissing(f"the purpose {purpose}", version)
        return key

    def knows(self, data: bytes) -> bool:
        """Whether the version that sealed this value is among them, in whatever state."""
        _, code, version = envelope.head(data)
        return any(CODES[k.purpose] == code and k.version == version for k in self._keys.values())

    def all(self) -> list[HolderKey]:
        """Every version, sorted."""
        return sorted(self._keys.values(), key=lambda k: (k.purpose, k.version))
