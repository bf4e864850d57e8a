"""Ids: UUIDv7 in the database, prefix + 26 lower-case Crockford base32 characters on the wire."""

from __future__ import annotations

import os
import re
import threading
import time
from functools import lru_cache
from typing import Final
from uuid import UUID

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
# 26 characters hold two bits more than a UUID, so the first is one of eight.
_WIRE: Final = re.compile(r"[0-7][0-9a-hjkmnp-tv-z]{25}")
_DIGITS: Final = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")
"""From Crockford's digits to those int() reads."""
NIL: Final = UUID(int=0)
SLUG: Final = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")

PREFIXES: Final = frozenset(
    [
        "org",
        "usr",
        "ses",
        "mem",
        "inv",
        "tok",
        "pub",
        "prj",
        "env",
        "app",
        "aev",
        "cfg",
        "sec",
        "grp",
        "rel",
        "dep",
        "run",
        "crn",
        "bld",
        "src",
        "dom",
        "db",
        "clu",
        "cs",
        "whk",
        "dlv",
        "evt",
        "inc",
        "prf",
        "reg",
        "vol",
    ]
)

# Three characters at a time, in halves that fit a machine word: a page of a list writes dozens of ids.
_TRIPLES: Final = [a + b + c for a in _ALPHABET for b in _ALPHABET for c in _ALPHABET]
_HALF: Final = (1 << 60) - 1

_lock = threading.Lock()
_last = 0


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562 §5.7); within one process strictly increasing, by counting in the random part."""
    global _last
    with _lock:
        candidate = (time.time_ns() // 1_000_000 << 80) | int.from_bytes(os.urandom(10))
        if candidate >> 80 <= _last >> 80:
            candidate = _last + 1 + int.from_bytes(os.urandom(4))
        _last = candidate
    value = candidate & ~(0xF << 76) & ~(0x3 << 62)
    return UUID(int=value | (0x7 << 76) | (0x2 << 62))


@lru_cache(maxsize=16_384)
def encode(prefix: str, value: UUID) -> str:
    """``app`` and a UUID → ``app_01jd…``. What is polled is written again and again, so the last few are kept."""
    number, write = value.int, _TRIPLES
    head, middle, tail = write[number >> 120][1:], number >> 60 & _HALF, number & _HALF
    return (
        f"{prefix}_{head}"
        f"{write[middle >> 45]}{write[middle >> 30 & 32767]}{write[middle >> 15 & 32767]}{write[middle & 32767]}"
        f"{write[tail >> 45]}{write[tail >> 30 & 32767]}{write[tail >> 15 & 32767]}{write[tail & 32767]}"
    )


def decode(prefix: str, text: str) -> UUID | None:
    """The UUID in a wire id of that prefix, or None for anything else, however long or strange."""
    if len(text) != len(prefix) + 27 or not text.startswith(prefix) or text[len(prefix)] != "_":
        return None
    digits = text[len(prefix) + 1 :]
    return UUID(int=int(digits.translate(_DIGITS), 32)) if _WIRE.fullmatch(digits) else None


def is_slug(text: str) -> bool:
    """Whether people may type this name in place of an id: ``^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$``, no ``--``."""
    return SLUG.fullmatch(text) is not None and "--" not in text


def slugify(name: str) -> str:
    """A slug made from a display name, or an empty string when nothing usable is left."""
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-").lstrip("0123456789-")
    return words[:40].strip("-")
