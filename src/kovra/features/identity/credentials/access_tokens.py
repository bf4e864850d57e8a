"""Access tokens: JWTs signed with EdDSA, verified without a database."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from kovra.foundation import clock
from kovra.foundation.access import Principal
from kovra.foundation.errors import Unauthenticated
from kovra.foundation.ids import NIL, new_id


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
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, OverflowError, OSError):
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
