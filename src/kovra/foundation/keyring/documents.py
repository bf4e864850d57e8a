"""The keyring document: JSON with every master version, in the clear or wrapped by a provider.

    {"edge": [{"version": 1, "state": "primary", "key": "<base64>"}],
     "core": [{"version": 1, "state": "primary", "public": "<base64>", "private": "<base64>"}]}

The api's copy has no ``private``. Where a provider (AWS KMS) wraps the keys, ``wrapped`` stands in the place of ``key``
and ``private``; a document is wrapped as a whole or not at all. A destroyed version keeps its number and state alone.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from kovra.foundation.keyring.masters import KeyBroken, KeyState, MasterKey, MasterSet

Turn = Callable[[MasterSet, int, bytes], bytes]
"""Wraps or unwraps the secret bytes of one version of a set."""

_LARGEST: Final = 1024 * 1024


def to_document(keys: Iterable[MasterKey], *, private: bool = True, wrap: Turn | None = None) -> dict[str, Any]:
    """The JSON form; with ``private`` False the api's, with ``wrap`` the wrapped one."""
    document: dict[str, Any] = {group.value: [] for group in MasterSet}
    for key in keys:
        document[key.set.value].append(_entry(key, private=private, wrap=wrap))
    return document


def _entry(key: MasterKey, *, private: bool, wrap: Turn | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"version": key.version, "state": key.state.value}
    if key.public is not None:
        entry["public"] = base64.b64encode(key.public).decode()
    if key.secret is not None and (private or key.set is MasterSet.edge):
        clear = "key" if key.set is MasterSet.edge else "private"
        raw = key.secret if wrap is None else wrap(key.set, key.version, key.secret)
        entry["wrapped" if wrap else clear] = base64.b64encode(raw).decode()
    return entry


def from_document(document: Mapping[str, Any], *, unwrap: Turn | None = None) -> list[MasterKey]:
    """Read the JSON form; raises KeyBroken naming the entry, never its bytes."""
    return [_key(group, entry, unwrap) for group in MasterSet for entry in _entries(document, group)]


def _entries(document: Mapping[str, Any], group: MasterSet) -> list[Mapping[str, Any]]:
    entries = document.get(group.value)
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise KeyBroken(f"The keyring has no list of versions for the set {group}.")
    return entries


def _key(group: MasterSet, entry: Mapping[str, Any], unwrap: Turn | None) -> MasterKey:
    version, state = _numbered(group, entry)
    where = f"Master key {group} {version}"
    clear = "key" if group is MasterSet.edge else "private"
    if unwrap is None and "wrapped" in entry:
        raise KeyBroken(f"{where} is wrapped by a provider, and none is configured.")
    if unwrap is not None and clear in entry:
        raise KeyBroken(f"{where} is in the clear although a provider is configured to wrap it.")
    secret, public = _bytes(entry, clear if unwrap is None else "wrapped", where), _bytes(entry, "public", where)
    if secret is not None and unwrap is not None:
        secret = unwrap(group, version, secret)
    if group is MasterSet.core and state is not KeyState.destroyed:
        _check_halves(where, secret, public)
    return MasterKey(set=group, version=version, state=state, secret=secret, public=public)


def _numbered(group: MasterSet, entry: Mapping[str, Any]) -> tuple[int, KeyState]:
    version, state = entry.get("version"), entry.get("state")
    if type(version) is not int or state not in list(KeyState):
        raise KeyBroken(f"A version of the master set {group} has no number or no known state.")
    return version, KeyState(state)


def _bytes(entry: Mapping[str, Any], name: str, where: str) -> bytes | None:
    text = entry.get(name)
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise KeyBroken(f"{where}: {name} is not base64.") from None


def _check_halves(where: str, secret: bytes | None, public: bytes | None) -> None:
    try:
        X25519PublicKey.from_public_bytes(public or b"")
        if secret is None:
            return
        derived = X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
    except ValueError:
        raise KeyBroken(f"{where} is not an X25519 key.") from None
    if derived != public:
        raise KeyBroken(f"{where}: the private and the public half do not belong together.")


def parse(text: str) -> dict[str, Any]:
    """JSON text to a document; raises KeyBroken."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise KeyBroken("The keyring is not JSON.") from None
    if not isinstance(document, dict):
        raise KeyBroken("The keyring is not a JSON object.")
    return document


def read_file(path: Path) -> dict[str, Any]:
    """A keyring file's document; raises KeyBroken when others may read it too."""
    try:
        with path.open("rb") as file:
            _check_private(os.fstat(file.fileno()))
            return parse(file.read(_LARGEST).decode())
    except OSError as error:
        raise KeyBroken(f"The keyring file cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise KeyBroken("The keyring is not JSON.") from None


def _check_private(status: os.stat_result) -> None:
    mode = stat.S_IMODE(status.st_mode)
    # A Kubernetes Secret volume with fsGroup belongs to root, and the kubelet lets the pod's own group read it.
    mounted = status.st_uid == 0 and os.geteuid() != 0
    allowed = stat.S_IRWXU | (stat.S_IRGRP if mounted else 0)
    if mode & ~allowed:
        raise KeyBroken("The keyring file may be read by others; set its mode to 0600.")


@dataclass(frozen=True, slots=True)
class FileSource:
    """A JSON file that only its owner may read."""

    path: Path

    def load(self) -> list[MasterKey]:
        """Read it; raises KeyBroken when others may read it too."""
        return from_document(read_file(self.path))


@dataclass(frozen=True, slots=True)
class TextSource:
    """The same JSON from an environment variable."""

    text: str = field(repr=False)

    def load(self) -> list[MasterKey]:
        """Parse it."""
        return from_document(parse(self.text))


def write_file(path: Path, keys: Iterable[MasterKey], *, private: bool = True, wrap: Turn | None = None) -> None:
    """Write a keyring file with mode 0600, whole or not at all."""
    text = json.dumps(to_document(keys, private=private, wrap=wrap), indent=1)
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)  # an older draft may have another mode
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    _sync_folder(path.parent)


def create_file(path: Path, keys: Iterable[MasterKey], *, private: bool = True, wrap: Turn | None = None) -> None:
    """Like write_file, for the first time: raises KeyBroken where a keyring is, since losing it loses every value."""
    if path.exists():
        raise KeyBroken(f"{path.name} exists already; a keyring is never written over. Use `kovra keys rotate`.")
    write_file(path, keys, private=private, wrap=wrap)


def _sync_folder(folder: Path) -> None:
    """Without it a power cut may undo the rename, and with it the only copy of a new version."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
