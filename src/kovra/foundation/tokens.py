"""The one format of opaque credentials: ``kvr_<kind>_<base62(body)><6 base62 characters of CRC32>``.

Scanners and the server recognise a credential offline by its prefix and checksum; only SHA-256 of the whole text
is stored (a fast hash is right for 256 bits of randomness). The body of kinds ``api``, ``dep`` and ``tix`` is the
organization's uuid followed by 32 random bytes, so a forged one finds nothing even before it is compared.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib
from dataclasses import dataclass
from typing import Final
from uuid import UUID

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_VALUES: Final = {c: i for i, c in enumerate(_DIGITS)}
_RANDOM: Final = 32
_BODY: Final = {"api": 48, "rt": 32, "inv": 32, "rst": 32, "tix": 48, "dep": 48, "pat": 32}

PATTERN: Final = re.compile(r"kvr_(?:api|rt|inv|rst|tix|dep|pat)_[0-9A-Za-z]{40,80}")
"""What a scanner looks for; ``parse`` then decides by the checksum."""


@dataclass(frozen=True, slots=True)
class Token:
    """A credential as parsed: its kind, the SHA-256 under which it is stored, and its organization if it carries one."""

    kind: str
    hash: bytes
    org_id: UUID | None


def _base62(data: bytes, width: int) -> str:
    number = int.from_bytes(data)
    out: list[str] = []
    while number:
        number, digit = divmod(number, 62)
        out.append(_DIGITS[digit])
    return "".join(reversed(out)).rjust(width, "0")


def _width(size: int) -> int:
    """How many base62 characters hold ``size`` bytes."""
    width, limit = 0, 1
    while limit < 1 << (8 * size):
        limit *= 62
        width += 1
    return width


_WIDTHS: Final = {kind: _width(size) for kind, size in _BODY.items()}


def new_token(kind: str, org_id: UUID | None = None) -> str:
    """A fresh credential; kinds ``api``, ``dep`` and ``tix`` carry their organization."""
    body = secrets.token_bytes(_RANDOM)
    if _BODY[kind] == 48:
        if org_id is None:
            raise ValueError(f"a token of kind {kind} needs an organization")
        body = org_id.bytes + body
    head = f"kvr_{kind}_{_base62(body, _WIDTHS[kind])}"
    return head + _checksum(head)


def _checksum(head: str) -> str:
    return _base62(zlib.crc32(head.encode()).to_bytes(4), 6)


def hash_token(text: str) -> bytes:
    """What is stored and compared."""
    return hashlib.sha256(text.encode()).digest()


def parse(text: str) -> Token | None:
    """The credential in this text, or None when prefix, length, alphabet or checksum is wrong; no database is asked."""
    parts = text.split("_", 2)
    if len(parts) != 3 or parts[0] != "kvr" or parts[1] not in _BODY:
        return None
    kind, payload = parts[1], parts[2]
    width = _WIDTHS[kind]
    if len(payload) != width + 6 or any(c not in _VALUES for c in payload):
        return None
    head = f"kvr_{kind}_{payload[:width]}"
    if not secrets.compare_digest(_checksum(head), payload[width:]):
        return None
    number = 0
    for character in payload[:width]:
        number = number * 62 + _VALUES[character]
    if number >= 1 << (8 * _BODY[kind]):
        return None
    body = number.to_bytes(_BODY[kind])
    return Token(kind=kind, hash=hash_token(text), org_id=UUID(bytes=body[:16]) if _BODY[kind] == 48 else None)
