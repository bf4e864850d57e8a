"""The envelope of a symmetric seal: ``format | purpose | key version | salt | commitment | nonce | ciphertext+tag``.

Each record has its own key, derived by HKDF-SHA256 from the holder's key and a random salt, so the bound on random
nonces of one AES-GCM key (NIST SP 800-38D) is never near; a second half of the derivation commits to the key, which GCM
alone does not. Associated data is length-prefixed, so no two places have the same.
"""

from __future__ import annotations

import hmac
import os
import struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kovra.foundation.errors import Unavailable

SYMMETRIC: Final = 1
HPKE: Final = 2
_HEAD: Final = struct.Struct(">BBI")
_SALT, _COMMITMENT, _NONCE, _TAG = 32, 32, 12, 16
_OVERHEAD: Final = _HEAD.size + _SALT + _COMMITMENT + _NONCE + _TAG
_INFO: Final = b"kovra record key v1"


class SealBroken(Unavailable):
    """A sealed value does not open: it was changed, moved, or sealed under other bytes."""

    code = "value_unreadable"

    def __init__(self) -> None:
        super().__init__("A stored value cannot be opened.", retry_after_s=60)


def canonical(*parts: bytes | str) -> bytes:
    """Length-prefixed concatenation: injective, whatever the parts contain."""
    raw = [p.encode() if isinstance(p, str) else p for p in parts]
    return b"".join(len(p).to_bytes(4) + p for p in raw)


def head(data: bytes) -> tuple[int, int, int]:
    """Format, purpose and key version of an envelope."""
    if len(data) < _HEAD.size:
        raise SealBroken
    form, purpose, version = _HEAD.unpack_from(data)
    return int(form), int(purpose), int(version)


def make_head(form: int, purpose: int, version: int) -> bytes:
    """The first six bytes of an envelope."""
    return _HEAD.pack(form, purpose, version)


def _derive(key: bytes, salt: bytes) -> tuple[bytes, bytes]:
    material = HKDF(SHA256(), 64, salt, _INFO).derive(key)
    return material[:32], material[32:]


def seal(key: bytes, *, purpose: int, version: int, plaintext: bytes, associated: bytes) -> bytes:
    """Seal under a fresh record key."""
    salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
    record_key, commitment = _derive(key, salt)
    start = make_head(SYMMETRIC, purpose, version)
    return start + salt + commitment + nonce + AESGCM(record_key).encrypt(nonce, plaintext, start + associated)


def open_(key: bytes, data: bytes, *, associated: bytes) -> bytes:
    """The plaintext; raises SealBroken for anything but the very bytes, place and key it was sealed with."""
    if len(data) < _OVERHEAD or head(data)[0] != SYMMETRIC:
        raise SealBroken
    start, rest = data[: _HEAD.size], data[_HEAD.size :]
    salt, given = rest[:_SALT], rest[_SALT : _SALT + _COMMITMENT]
    nonce, box = rest[_SALT + _COMMITMENT :][:_NONCE], rest[_SALT + _COMMITMENT + _NONCE :]
    record_key, commitment = _derive(key, salt)
    if not hmac.compare_digest(given, commitment):
        raise SealBroken
    try:
        return AESGCM(record_key).decrypt(nonce, box, start + associated)
    except InvalidTag:
        raise SealBroken from None
