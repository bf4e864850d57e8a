"""Cross-origin requests (Fetch standard §3.2): exact origins, answered at the edge so that refusals can be read too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from starlette.types import Scope

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
HEADERS: Final = (
    "Accept", "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-ID", "X-Request-Id",
)  # fmt: skip
_SHOWN: Final = (
    "ETag", "Location", "Link", "X-Request-Id", "RateLimit", "RateLimit-Policy", "Retry-After", "Idempotency-Replayed",
    "Kovra-Simulated",
)  # fmt: skip
_MAX_AGE_S: Final = 600


class Origins:
    """The dashboard's origins; compared byte by byte, never as patterns."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = frozenset(origin.encode() for origin in allowed)

    def headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """What an answer to this request says; nothing to an origin that is not allowed."""
        if not self._allowed or (origin := _only(scope, b"origin")) not in self._allowed:
            return []
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-credentials", b"true"),
            (b"access-control-expose-headers", ", ".join(_SHOWN).encode()),
        ]

    def preflight(self, scope: Scope) -> bool | None:
        """Whether a preflight asks for what is allowed; None when the request is none."""
        if scope["method"] != "OPTIONS" or not self._allowed:
            return None
        method = _only(scope, b"access-control-request-method")
        if not method or not _only(scope, b"origin"):
            return None
        wanted = _only(scope, b"access-control-request-headers").decode("latin-1").lower()
        names = {name.strip() for name in wanted.split(",") if name.strip()}
        return bool(self.headers(scope)) and method.decode("latin-1") in METHODS and names <= _ALLOWED

    @staticmethod
    def permissions() -> list[tuple[bytes, bytes]]:
        """What the answer to an allowed preflight adds."""
        return [
            (b"access-control-allow-methods", ", ".join(METHODS).encode()),
            (b"access-control-allow-headers", ", ".join(HEADERS).encode()),
            (b"access-control-max-age", str(_MAX_AGE_S).encode()),
        ]


_ALLOWED: Final = frozenset(name.lower() for name in HEADERS)


def _only(scope: Scope, wanted: bytes) -> bytes:
    """The header's value when it is there exactly once."""
    found = [value for name, value in scope["headers"] if name == wanted]
    return found[0] if len(found) == 1 else b""
