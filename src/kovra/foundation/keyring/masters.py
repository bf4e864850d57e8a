"""Master keys: two versioned sets from a provider. ``edge`` is symmetric; ``core`` are X25519 pairs.

The api holds ``edge`` and only the public half of ``core``; the worker holds both. States: ``primary`` wraps new holder
keys, ``enabled`` still unwraps, ``disabled`` refuses until enabled again, ``destroyed`` is gone.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from kovra.foundation.errors import KovraError, Unavailable


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
    """One version. ``secret`` is 32 symmetric bytes (edge) or the private half (core; None where only sealing is allowed)."""

    set: MasterSet
    version: int
    state: KeyState
    secret: bytes | None = field(repr=False)
    public: bytes | None = None

    def check_value(self) -> bytes:
        """Tells two keys of one version apart without telling anything of the key (compared by all nodes)."""
        if self.set is MasterSet.core:
            return sha256(b"kovra core check" + (self.public or b"")).digest()[:16]
        assert self.secret is not None
        return hmac.digest(self.secret, b"kovra edge check", sha256)[:16]


class MasterKeySource(Protocol):
    """Where master keys come from: a file, the environment, or blobs wrapped by AWS KMS."""

    def load(self) -> list[MasterKey]:
        """All versions; raises KeyBroken for a wrong configuration and Unavailable when the provider is away."""
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


def to_document(keys: Iterable[MasterKey], *, private: bool = True) -> dict[str, Any]:
    """The keyring file's JSON: ``{"edge": [{version, state, key}], "core": [{version, state, public, private?}]}``."""
    document: dict[str, Any] = {"edge": [], "core": []}
    for key in keys:
        entry: dict[str, Any] = {"version": key.version, "state": key.state.value}
        if key.set is MasterSet.edge:
            entry["key"] = _encode(key.secret)
        else:
            entry["public"] = _encode(key.public)
            if private and key.secret is not None:
                entry["private"] = _encode(key.secret)
        document[key.set.value].append(entry)
    return document


def from_document(document: Mapping[str, Any]) -> list[MasterKey]:
    """Read the JSON form; raises KeyBroken naming the entry, never its bytes."""
    try:
        edge = [_edge(entry) for entry in document["edge"]]
        core = [_core(entry) for entry in document["core"]]
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise KeyBroken(f"The keyring is not of the documented form ({type(error).__name__}).") from None
    return edge + core


def _edge(entry: Mapping[str, Any]) -> MasterKey:
    return MasterKey(
        set=MasterSet.edge, version=int(entry["version"]), state=KeyState(entry["state"]), secret=_decode(entry["key"])
    )


def _core(entry: Mapping[str, Any]) -> MasterKey:
    private = _decode(entry["private"]) if entry.get("private") else None
    public = _decode(entry["public"])
    X25519PublicKey.from_public_bytes(public)
    if private is not None and X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw() != public:
        raise ValueError("halves do not match")
    return MasterKey(
        set=MasterSet.core,
        version=int(entry["version"]),
        state=KeyState(entry["state"]),
        secret=private,
        public=public,
    )


def _encode(raw: bytes | None) -> str:
    return base64.b64encode(raw or b"").decode()


def _decode(text: str) -> bytes:
    raw = base64.b64decode(text, validate=True)
    if len(raw) != 32:
        raise ValueError("a key has 32 bytes")
    return raw


@dataclass(frozen=True, slots=True)
class FileSource:
    """A JSON file that only its owner may read."""

    path: Path

    def load(self) -> list[MasterKey]:
        """Read it; raises KeyBroken when others may read it too."""
        try:
            mode = self.path.stat().st_mode
            text = self.path.read_text()
        except OSError as error:
            raise KeyBroken(f"The keyring file cannot be read: {error.strerror}.") from None
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyBroken("The keyring file may be read by others; set its mode to 0600.")
        return _parse(text)


@dataclass(frozen=True, slots=True)
class TextSource:
    """The same JSON from an environment variable."""

    text: str = field(repr=False)

    def load(self) -> list[MasterKey]:
        """Parse it."""
        return _parse(self.text)


def _parse(text: str) -> list[MasterKey]:
    try:
        document = json.loads(text)
    except ValueError:
        raise KeyBroken("The keyring is not JSON.") from None
    if not isinstance(document, dict):
        raise KeyBroken("The keyring is not a JSON object.")
    return from_document(document)


def write_file(path: Path, keys: Iterable[MasterKey], *, private: bool = True) -> None:
    """Write a keyring file with mode 0600, whole or not at all."""
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(to_document(keys, private=private), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
