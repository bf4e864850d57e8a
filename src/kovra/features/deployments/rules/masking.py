"""Evidence and output are masked for known secret values before they are stored."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from urllib.parse import quote

from kovra.foundation.keyring.values import SecretValue

_INNER = re.compile(r'(?P<webhook>admission webhook) "[^"]*"| in (?:the )?namespace:? "?kv-[0-9a-z]{26}"?')
SHORTEST = 8
"""Shorter values are too likely to be part of ordinary words."""


class Mask:
    """Replaces values, plain, in base64 and URL-encoded."""

    def __init__(self, values: Iterable[SecretValue]) -> None:
        self._values = tuple(values)
        forms: set[str] = set()
        for value in self._values:
            raw = value.reveal()
            if len(raw) < SHORTEST:
                continue
            text = raw.decode("utf-8", "replace")
            forms |= {text, quote(text, safe=""), base64.b64encode(raw).decode().rstrip("=")}
            forms |= {line for line in text.splitlines() if len(line) >= SHORTEST}
        self._forms = sorted(forms, key=len, reverse=True)

    def and_of(self, values: Iterable[SecretValue]) -> Mask:
        """One of these too."""
        return Mask([*self._values, *values])

    def __repr__(self) -> str:
        return "Mask(***)"

    def __call__(self, text: str) -> str:
        """The text without the values."""
        for form in self._forms:
            text = text.replace(form, "***")
        return text


def without_inner_names(message: str) -> str:
    """What a cluster said, without the names of the platform's webhooks and of namespaces."""
    return _INNER.sub(lambda found: found["webhook"] or "", message)
