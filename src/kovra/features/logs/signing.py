"""Grants: what the api lets the streamer do once, within 30 seconds, signed (compact JWS, EdDSA, RFC 8037).

A grant names everything that decides access; the streamer trusts nothing else a request says.
"""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from kovra.foundation import clock
from kovra.foundation.errors import Unauthenticated, Unavailable
from kovra.foundation.ids import new_id

AUDIENCE: Final = "kovra-streamer"
ISSUER: Final = "kovra-api"
TYPE: Final = "kovra-grant+jwt"
LIFETIME_S: Final = 30
SKEW_S: Final = 5
"""How far the clocks of api and streamer may be apart."""
REMEMBERED: Final = 100_000
"""Used grants are remembered until they expire; when there are more, further ones have to wait."""


class Verb(StrEnum):
    """What a grant allows."""

    logs = "logs"
    execute = "exec"
    metrics = "metrics"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One use of one verb on the pods of one app environment, further narrowed to a process or a pod."""

    verb: Verb
    org_id: UUID
    app_environment_id: UUID
    namespace: str
    process: str | None = None
    pod: str | None = None
    command: tuple[str, ...] = ()
    """For ``exec`` alone."""
    tty: bool = False


class GrantRefused(Unauthenticated):
    """Not a grant of ours, expired, used already, or older than this streamer."""

    code = "grant_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantKeys:
    """The api's signing keys."""

    signing_key_id: str
    private_keys: Mapping[str, Ed25519PrivateKey] = field(repr=False)


def private_keys(document: str) -> GrantKeys:
    """From ``{"signing": kid, "keys": {kid: base64 of 32 private bytes}}``."""
    known = json.loads(document)
    keys = {kid: Ed25519PrivateKey.from_private_bytes(base64.b64decode(raw)) for kid, raw in known["keys"].items()}
    return GrantKeys(signing_key_id=known["signing"], private_keys=keys)


def public_keys(document: str) -> dict[str, Ed25519PublicKey]:
    """From ``{"keys": {kid: base64 of 32 public bytes}}``, all the streamer holds."""
    keys = json.loads(document)["keys"]
    return {kid: Ed25519PublicKey.from_public_bytes(base64.b64decode(raw)) for kid, raw in keys.items()}


def public_document(document: str) -> str:
    """The streamer's half of the api's key document."""
    known = private_keys(document).private_keys
    halves = {k: base64.b64encode(key.public_key().public_bytes_raw()).decode() for k, key in known.items()}
    return json.dumps({"keys": halves})


class GrantSigner:
    """Signs grants; in the api."""

    def __init__(self, keys: GrantKeys) -> None:
        self._kid, self._key = keys.signing_key_id, keys.private_keys[keys.signing_key_id]

    def sign(self, grant: Grant) -> str:
        """A fresh grant, good for one use."""
        now = clock.now().timestamp()
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + LIFETIME_S,
            "jti": str(new_id()),
            "verb": grant.verb.value,
            "org": str(grant.org_id),
            "aev": str(grant.app_environment_id),
            "ns": grant.namespace,
            "process": grant.process,
            "pod": grant.pod,
            "command": list(grant.command),
            "tty": grant.tty,
        }
        return jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": self._kid, "typ": TYPE})


_REQUIRED: Final = ("iss", "aud", "iat", "exp", "jti", "verb", "org", "aev", "ns")


class GrantVerifier:
    """Checks grants and takes each at most once; in the streamer.

    What was used before this process began is not known here, so older grants are refused whole.
    """

    def __init__(self, keys: Mapping[str, Ed25519PublicKey]) -> None:
        self._keys = dict(keys)
        self._began = clock.now().timestamp()
        self._used: set[str] = set()
        self._order: deque[tuple[float, str]] = deque()

    def take(self, token: str, verb: Verb) -> Grant:
        """What the token allows, now used up; raises GrantRefused, or Unavailable when too many are remembered."""
        claims = self._claims(token)
        try:
            grant = _grant(claims)
            issued, expires, identity = float(claims["iat"]), float(claims["exp"]), str(UUID(claims["jti"]))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise GrantRefused("This is no grant.") from None
        if grant.verb is not verb:
            raise GrantRefused("The grant is for something else.")
        if issued < self._began or expires - issued > LIFETIME_S + 1:
            raise GrantRefused("The grant is not of this streamer's time.")
        self._once(identity, expires + SKEW_S)
        return grant

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys.get(str(header.get("kid")))
            if key is None or header.get("typ") != TYPE or header.get("alg") != "EdDSA":
                raise GrantRefused("This is no grant.")
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=["EdDSA"],
                audience=AUDIENCE,
                issuer=ISSUER,
                leeway=SKEW_S,
                options={"require": list(_REQUIRED), "strict_aud": True},
            )
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
            raise GrantRefused("This is no grant.") from None
        return claims

    def _once(self, identity: str, until: float) -> None:
        now = clock.now().timestamp()
        while self._order and self._order[0][0] < now:
            self._used.discard(self._order.popleft()[1])
        if identity in self._used:
            raise GrantRefused("The grant has been used.")
        if len(self._used) >= REMEMBERED:
            raise Unavailable("Too many grants at once.", code="overloaded", retry_after_s=LIFETIME_S)
        self._used.add(identity)
        self._order.append((until, identity))


def _grant(claims: Mapping[str, Any]) -> Grant:
    command = claims["command"]
    if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
        raise TypeError
    if not isinstance(claims["tty"], bool) or not isinstance(claims["ns"], str):
        raise TypeError
    for name in ("process", "pod"):
        if not isinstance(claims[name], str | None):
            raise TypeError
    return Grant(
        verb=Verb(claims["verb"]),
        org_id=UUID(claims["org"]),
        app_environment_id=UUID(claims["aev"]),
        namespace=claims["ns"],
        process=claims["process"],
        pod=claims["pod"],
        command=tuple(command),
        tty=claims["tty"],
    )
