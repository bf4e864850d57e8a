"""Bearer credentials to principals: verified once, cached by the SHA-256 of the whole token until they expire.

The cache holds only what was verified. That a session, membership or token still lives is never cached: the database
says so in each request's own transaction.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable

from kovra.foundation import clock, tokens
from kovra.foundation.access import Principal
from kovra.foundation.errors import Unauthenticated
from kovra.foundation.ids import NIL

VerifyAccessToken = Callable[[str], Principal]
"""Checks a JWT's signature, type, times and claims; raises Unauthenticated."""


class Credentials:
    """Turns an Authorization header into a principal, or raises Unauthenticated."""

    def __init__(self, verify: VerifyAccessToken, *, capacity: int = 20_000) -> None:
        self._verify = verify
        self._capacity = capacity
        self._cache: OrderedDict[bytes, Principal] = OrderedDict()

    def authenticate(self, header: bytes) -> Principal:
        """``Bearer <token>`` → who; no database is asked."""
        scheme, _, rest = header.partition(b" ")
        token = rest.strip()
        if scheme.lower() != b"bearer" or not token or b" " in token or len(token) > 4096:
            raise Unauthenticated("The Authorization header must be: Bearer <token>.", code="credential_malformed")
        key = hashlib.sha256(token).digest()
        known = self._cache.get(key)
        if known is not None:
            if known.expires_at is None or known.expires_at > clock.now():
                self._cache.move_to_end(key)
                return known
            del self._cache[key]
        principal = self._read(token)
        self._cache[key] = principal
        if len(self._cache) > self._capacity:
            self._cache.popitem(last=False)
        return principal

    def _read(self, token: bytes) -> Principal:
        try:
            text = token.decode("ascii")
        except UnicodeDecodeError:
            raise Unauthenticated("This credential is malformed.", code="credential_malformed") from None
        if not text.startswith("kvr_"):
            return self._verify(text)
        parsed = tokens.parse(text)
        if parsed is None or parsed.kind != "api" or parsed.org_id is None:
            raise Unauthenticated("This is not an API token of Kovra.", code="credential_malformed")
        return Principal(kind="token", org_id=parsed.org_id, user_id=NIL, session_id=NIL, token_hash=parsed.hash)
