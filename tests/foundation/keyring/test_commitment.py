"""A ciphertext that AES-GCM accepts under two keys is still refused under all but one."""

from __future__ import annotations

import os

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kovra.foundation.keyring import SealBroken, envelope

_R = 0xE1 << 120
_ONE = 1 << 127


def _times(x: int, y: int) -> int:
    """Multiplication in the field of GCM (NIST SP 800-38D, 6.3)."""
    product, shifted = 0, y
    for bit in range(127, -1, -1):
        if x >> bit & 1:
            product ^= shifted
        shifted = shifted >> 1 ^ _R if shifted & 1 else shifted >> 1
    return product


def _inverse(x: int) -> int:
    result, power = _ONE, x
    for _ in range(127):  # x^(2^128 - 2)
        power = _times(power, power)
        result = _times(result, power)
    return result


def _block(key: bytes, block: bytes) -> int:
    return int.from_bytes(Cipher(AES(key), ECB()).encryptor().update(block))


def _ghash(h: int, blocks: list[int]) -> int:
    value = 0
    for block in blocks:
        value = _times(value ^ block, h)
    return value


def _accepted_under_both(one: bytes, two: bytes, nonce: bytes, associated: bytes) -> bytes:
    """One block and a tag that authenticate under both keys: the tags are equal by choice of the block."""
    padded = associated + bytes(-len(associated) % 16)
    said = [int.from_bytes(padded[i : i + 16]) for i in range(0, len(padded), 16)]
    length = len(associated) * 8 << 64 | 128
    h = [_block(key, bytes(16)) for key in (one, two)]
    masks = [_block(key, nonce + b"\0\0\0\1") for key in (one, two)]
    without = [_ghash(h[i], [*said, 0, length]) ^ masks[i] for i in (0, 1)]
    squares = [_times(h[i], h[i]) for i in (0, 1)]
    chosen = _times(without[0] ^ without[1], _inverse(squares[0] ^ squares[1]))
    tag = _ghash(h[0], [*said, chosen, length]) ^ masks[0]
    return chosen.to_bytes(16) + tag.to_bytes(16)


def test_a_ciphertext_made_for_two_keys_opens_under_the_committed_one_alone() -> None:
    """T088."""
    keys, salt, nonce, place = (os.urandom(32), os.urandom(32)), os.urandom(32), os.urandom(12), b"place"
    derived = [HKDF(SHA256(), 64, salt, b"kovra record key v1").derive(key) for key in keys]
    start = envelope.make_head(envelope.SYMMETRIC, 1, 1)
    box = _accepted_under_both(derived[0][:32], derived[1][:32], nonce, start + place)
    for material in derived:  # AES-GCM alone is content with both
        assert len(AESGCM(material[:32]).decrypt(nonce, box, start + place)) == 16
    forged = start + salt + derived[0][32:] + nonce + box
    assert len(envelope.open_(keys[0], forged, associated=place)) == 16
    with pytest.raises(SealBroken):
        envelope.open_(keys[1], forged, associated=place)
