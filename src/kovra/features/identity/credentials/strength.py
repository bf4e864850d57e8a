"""Which passwords are refused (NIST SP 800-63B §3.1.1.2, ASVS 6.2): short or guessable ones; no composition rules."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Final

from kovra.foundation.errors import Invalid

MIN_LENGTH: Final = 10
MAX_BYTES: Final = 1024
_PRODUCT: Final = "kovra"
_BASES: Final = frozenset(
    {
        "password", "passwort", "passw", "pass", "qwerty", "qwertz", "azerty", "letmein", "welcome", "willkommen",
        "admin", "administrator", "root", "login", "iloveyou", "monkey", "dragon", "football", "baseball", "sunshine",
        "princess", "master", "shadow", "superman", "changeme", "secret", "spring", "summer", "autumn", "winter",
        "hello", "hallo", "test", "tests", "testing", "trustno", "default", "temp", "user", "guest", "abc", "abcd",
    }
)  # fmt: skip
"""Words that remain guessable with digits and signs around them."""
_AROUND: Final = 8
"""How many digits and signs around something guessable do not make it hard: a date, a few marks."""
_PLAIN: Final = str.maketrans("0134578@$!|", "oieastbasii")
"""Digits and signs as they stand for letters."""
_REPEATED: Final = re.compile(r"(.{1,4})\1+")


@cache
def common() -> frozenset[str]:
    """The 10,000 most frequent passwords of at least ten characters, in lower case.

    From Mark Burnett's list of ten million passwords (public domain); ASVS 6.2.4 asks for 3,000.
    """
    data = files("kovra.features.identity.credentials").joinpath("common_passwords.txt.gz").read_bytes()
    return frozenset(gzip.decompress(data).decode().splitlines())


def check_password(password: str, *, pointer: str, about: Iterable[str] = ()) -> None:
    """Refuse what is short, over-long or guessable; ``about``: the person's address and names, which others know."""
    if len(password) < MIN_LENGTH:
        raise Invalid.field(pointer, "password_too_short", f"At least {MIN_LENGTH} characters.")
    if len(password.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise Invalid.field(pointer, "password_too_long", f"At most {MAX_BYTES} bytes.")
    lowered = password.lower()
    if _is_common(lowered):
        raise Invalid.field(pointer, "password_too_common", "Too easy to guess: it is common, or repeats itself.")
    if _is_about(lowered, about):
        raise Invalid.field(
            pointer,
            "password_too_personal",
            "Too easy to guess: little more than your address, a name or the product's.",
        )


def _is_common(lowered: str) -> bool:
    if lowered in common() or lowered[::-1] in common():
        return True
    if len(set(lowered)) < 4 or _REPEATED.fullmatch(lowered):
        return True
    return any((base in _BASES or base in common()) and len(lowered) - len(base) <= _AROUND for base in _bases(lowered))


def _bases(lowered: str) -> set[str]:
    """What is left without digits and signs at the end, or at both ends; as written, and look-alikes read as letters."""
    end = len(lowered)
    while end and not lowered[end - 1].isalpha():
        end -= 1
    start = 0
    while start < end and not lowered[start].isalpha():
        start += 1
    found = {lowered[:end], lowered[start:end]}
    return found | {text.translate(_PLAIN) for text in found}


def _is_about(lowered: str, about: Iterable[str]) -> bool:
    """Whether little remains once what others know is taken out: few letters, few signs."""
    known = {_PRODUCT}
    for text in about:
        known |= {text.lower(), *re.split(r"[\W_]+", text.lower())}
    words = sorted((word for word in known if len(word) >= 3), key=len, reverse=True)
    for form in (lowered, lowered.translate(_PLAIN)):
        rest = form
        for word in words:
            rest = rest.replace(word, "")
        if rest != form and len(rest) <= _AROUND and sum(c.isalpha() for c in rest) < 4:
            return True
    return False
