"""Passwords and access tokens; pure but for the thread pool that hashes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import bcrypt
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from kovra.foundation import clock
from kovra.foundation.access import Principal
from kovra.foundation.errors import Invalid, Unauthenticated, Unavailable
from kovra.foundation.ids import NIL, new_id

MIN_PASSWORD: Final = 10
MAX_PASSWORD_BYTES: Final = 1024
_COMMON: Final = frozenset(
    {
        "password", "passwort", "1234567890", "12345678910", "qwertyuiop", "qwerty12345", "password123", "password1234",
        "letmein123", "iloveyou12", "administrator", "changeme123", "welcome123", "kovrakovra", "kovra12345", "0123456789",
        "abcdefghij", "aaaaaaaaaa", "1111111111", "0987654321", "passw0rd123", "p@ssw0rd123", "trustno1234", "monkey12345",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordOptions:
    """How passwords are hashed."""

    pepper: bytes = field(repr=False)
    """At least 32 random bytes, kept apart from the database."""
    cost: int = 12
    """bcrypt's work factor, at least 12 outside tests; a login rehashes when it has risen."""
    waiting: int = 64
    """How many hashes may wait; more answer 503."""


class Passwords:
    """bcrypt over base64(HMAC-SHA-384(pepper, password)): 64 bytes, below bcrypt's limit of 72, nothing truncated."""

    def __init__(self, options: PasswordOptions) -> None:
        self._options = options
        self._pool = ThreadPoolExecutor(max(1, (os.cpu_count() or 2) - 1), thread_name_prefix="bcrypt")
        self._waiting = 0
        self._dummy = bcrypt.hashpw(self._prepare(os.urandom(16).hex()), bcrypt.gensalt(options.cost))

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """The stored form; raises Unavailable when too many are waiting."""
        made = await self._run(bcrypt.hashpw, self._prepare(password), bcrypt.gensalt(self._options.cost))
        return str(made, "ascii")

    async def matches(self, password: str, stored: str | None) -> bool:
        """Whether the password is right; an unknown account (None) costs the same as a wrong password."""
        known = stored.encode() if stored else self._dummy
        try:
            right = bool(await self._run(bcrypt.checkpw, self._prepare(password), known))
        except ValueError:  # a malformed hash in the database is a failure, not a crash
            return False
        return right and stored is not None

    def needs_rehash(self, stored: str) -> bool:
        """Whether the cost has risen since it was stored."""
        parts = stored.split("$")
        return len(parts) < 3 or not parts[2].isdigit() or int(parts[2]) < self._options.cost

    def _prepare(self, password: str) -> bytes:
        return base64.b64encode(
            hmac.digest(self._options.pepper, password.encode("utf-8", "surrogatepass"), hashlib.sha384)
        )

    async def _run(self, function: Any, *arguments: Any) -> Any:
        if self._waiting >= self._options.waiting:
            raise Unavailable("Too many logins at once.", code="overloaded", retry_after_s=2)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)
        finally:
            self._waiting -= 1


def check_password(password: str, *, pointer: str, email: str = "") -> None:
    """Refuse short, over-long and well-known passwords (NIST SP 800-63B: no composition rules)."""
    if len(password) < MIN_PASSWORD:
        raise Invalid.field(pointer, "password_too_short", f"At least {MIN_PASSWORD} characters.")
    if len(password.encode("utf-8", "surrogatepass")) > MAX_PASSWORD_BYTES:
        raise Invalid.field(pointer, "password_too_long", f"At most {MAX_PASSWORD_BYTES} bytes.")
    lowered = password.lower()
    if lowered in _COMMON or len(set(lowered)) < 4 or (email and lowered == email.lower()):
        raise Invalid.field(pointer, "password_too_common", "Too easy to guess: it is common, or repeats itself.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessTokenOptions:
    """How access tokens are signed and checked."""

    signing_key_id: str
    """Which key signs; the others are still accepted."""
    private_keys: Mapping[str, Ed25519PrivateKey] = field(repr=False)
    """Key id → key; remove one only when its tokens have expired."""
    issuer: str = "https://kovra.dev"
    audience: str = "kovra-api"
    lifetime: timedelta = timedelta(minutes=10)
    """At most ten minutes: a backstop, revocation is immediate by the session's row."""
    leeway: timedelta = timedelta(seconds=30)


class AccessTokens:
    """JWTs (RFC 9068: ``typ: at+jwt``) with EdDSA; the key id selects among configured keys, nothing in the token does."""

    _REQUIRED: Final = ("exp", "iat", "sub", "jti", "aud", "iss", "sid", "org")

    def __init__(self, options: AccessTokenOptions) -> None:
        self._options = options
        self._public: dict[str, Ed25519PublicKey] = {k: p.public_key() for k, p in options.private_keys.items()}

    @property
    def lifetime_s(self) -> int:
        """Seconds a fresh token is valid."""
        return int(self._options.lifetime.total_seconds())

    def issue(self, *, user_id: UUID, session_id: UUID, org_id: UUID | None) -> str:
        """A fresh token for this login, opening this organization (none: the nil uuid)."""
        now = clock.now()
        claims = {
            "iss": self._options.issuer,
            "aud": self._options.audience,
            "sub": str(user_id),
            "sid": str(session_id),
            "org": str(org_id or NIL),
            "jti": str(new_id()),
            "iat": int(now.timestamp()),
            "exp": int((now + self._options.lifetime).timestamp()),
        }
        kid = self._options.signing_key_id
        return jwt.encode(
            claims, self._options.private_keys[kid], algorithm="EdDSA", headers={"kid": kid, "typ": "at+jwt"}
        )

    def verify(self, token: str) -> Principal:
        """Who the token names; raises Unauthenticated. That the session still lives is asked of the database."""
        try:
            header = jwt.get_unverified_header(token)
            key = self._public.get(str(header.get("kid")))
            if key is None or header.get("typ") != "at+jwt":
                raise _bad()
            claims = jwt.decode(
                token,
                key,
                algorithms=["EdDSA"],
                audience=self._options.audience,
                issuer=self._options.issuer,
                leeway=self._options.leeway,
                options={"require": list(self._REQUIRED)},
            )
            return Principal(
                kind="session",
                user_id=UUID(claims["sub"]),
                org_id=UUID(claims["org"]),
                session_id=UUID(claims["sid"]),
                expires_at=datetime.fromtimestamp(claims["exp"], UTC) + self._options.leeway,
            )
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("The access token has expired; refresh it.", code="token_expired") from None
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
            raise _bad() from None

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The public keys as a JSON Web Key Set (RFC 8037)."""
        return {
            "keys": [
                {
                    "kty": "OKP",
                    "crv": "Ed25519",
                    "use": "sig",
                    "alg": "EdDSA",
                    "kid": kid,
                    "x": _b64(key.public_bytes_raw()),
                }
                for kid, key in sorted(self._public.items())
            ]
        }


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bad() -> Unauthenticated:
    return Unauthenticated("This access token is not valid.", code="token_invalid")
