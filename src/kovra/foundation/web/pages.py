"""Which pages may use a cookie of ours: exact origins from settings, never derived from the request."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from fastapi import Request

from kovra.foundation.errors import Forbidden


class KnownPages:
    """The dashboard's origins and the API's own."""

    def __init__(self, *, public_url: str, others: Iterable[str]) -> None:
        parts = urlsplit(public_url)
        self._allowed = frozenset({f"{parts.scheme}://{parts.netloc}", *others})

    def require(self, request: Request) -> None:
        """Raise Forbidden unless the request names an allowed origin; browsers name one with every POST."""
        given = request.headers.getlist("origin")
        if len(given) != 1 or given[0] not in self._allowed:
            raise Forbidden("A cookie is taken from pages of known origins only.", code="origin_not_allowed")
