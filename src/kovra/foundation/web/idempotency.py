"""Idempotency keys: the key's row is written in the effect's own transaction; a replay returns the first answer.

The answer is known after serialization and before the commit, so the route class stores it through the request's own
session. A second request in flight meets an advisory lock and gets 409; one that comes later finds the row. Answers
that show a secret once are stored without their body and say so when replayed; answers that show config values are
stored sealed. Requests are compared by a keyed digest: a bare hash of a short secret can be guessed.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

from fastapi import Request, Response

from kovra.foundation import clock
from kovra.foundation.access import Principal
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Conflict, Invalid, KovraError, Malformed
from kovra.foundation.keyring import Holder, Place, Purpose, SecretValue

E = TypeVar("E", bound=Callable[..., Any])

KEPT: Final = timedelta(hours=24)
_SHOWS: Final = "__kovra_shows__"
_UNSAFE: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_REPLAYED: Final = ("location", "etag", "content-type")


@dataclass(frozen=True, slots=True)
class Kept:
    """The first answer, or that it is being made right now."""

    in_flight: bool
    fingerprint: bytes
    status: int
    headers: dict[str, str]
    body: bytes | None


class InFlight(Conflict):
    """The first request with this key has not been answered yet; come back for its answer."""

    code = "idempotency_in_flight"
    retryable = True


@dataclass(frozen=True, slots=True)
class _Key:
    org_id: UUID
    principal: str
    route: str
    key: str
    row: UUID
    fingerprint: bytes


class Replay(Exception):  # not an error: leaves the transaction with the first answer
    """Carries the first answer out of the transaction, which is rolled back unused."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


class Idempotency:
    """Finds and keeps first answers; one per process, with the same key on every replica."""

    def __init__(self, key: bytes, store: HolderKeyStore) -> None:
        self._key = hmac.digest(key, b"kovra idempotency", hashlib.sha256)
        self._store = store

    async def begin(self, request: Request, session: TenantSession, principal: Principal) -> None:
        """Called as the session opens: replays, refuses, or remembers the key for ``finish``."""
        key = await self._key_of(request, principal)
        if key is None:
            return
        found = await session.door("kept_answer", Kept, key.principal, key.route, key.key, clock.now())
        if not found:
            request.scope["kovra.idempotency"] = key
            return
        stored = found[0]
        if stored.in_flight:
            raise InFlight("A request with this key is being answered.")
        if not hmac.compare_digest(stored.fingerprint, key.fingerprint):
            raise Invalid("This key was used with another body.", code="idempotency_key_reused")
        response = Response(
            await self._opened(request, session, key, stored), status_code=stored.status, headers=stored.headers
        )
        response.headers["Idempotency-Replayed"] = "true"
        raise Replay(response)

    async def finish(self, request: Request, response: Response) -> None:
        """Leave the answer to the effect's own transaction, which writes it just before it commits."""
        key: _Key | None = request.scope.get("kovra.idempotency")
        session: TenantSession | None = request.scope.get("kovra.session")
        if key is None or session is None or response.status_code >= 400:
            return
        body = await self._closed(request, session, key, bytes(response.body))
        session.outbox.answer = {
            "principal": key.principal,
            "route": key.route,
            "key": key.key,
            "fingerprint": key.fingerprint.hex(),
            "status": response.status_code,
            "headers": {n: response.headers[n] for n in _REPLAYED if n in response.headers},
            "body": None if body is None else base64.b64encode(body).decode(),
            "now": clock.rfc3339(clock.now()),
            "expires_at": clock.rfc3339(clock.now() + KEPT),
        }

    async def _closed(self, request: Request, session: TenantSession, key: _Key, body: bytes) -> bytes | None:
        match _shows(request):
            case "secret":
                return None
            case "values":
                keys = await self._store.of_organization(session)
                return self._store.keyring.seal(SecretValue(body), _place(key), keys).data
            case _:
                return body

    async def _opened(self, request: Request, session: TenantSession, key: _Key, stored: Kept) -> bytes:
        if stored.body is not None and _shows(request) != "values":
            return stored.body
        if stored.body is not None:
            with contextlib.suppress(KovraError):
                keys = await self._store.to_open(session, stored.body)
                return self._store.keyring.open(stored.body, _place(key), keys).reveal()
        raise Conflict("This was done already; its answer was not kept.", code="idempotency_answer_not_kept")

    async def _key_of(self, request: Request, principal: Principal) -> _Key | None:
        given = request.headers.getlist("idempotency-key")
        if not given or request.method not in _UNSAFE:
            return None
        text = given[0].strip()
        if len(text) >= 2 and text[0] == text[-1] == '"':
            text = text[1:-1]
        if len(given) > 1 or not 1 <= len(text) <= 255 or not (text.isascii() and text.isprintable()):
            raise Malformed(
                "Idempotency-Key must be one printable text of 1 to 255 characters.", code="idempotency_key_invalid"
            )
        path = request.scope["path"]
        who = self._digest(principal.token_hash).hex() if principal.kind == "token" else str(principal.user_id)
        route = f"{request.method} {path}"
        named = self._digest(principal.org_id.bytes, who.encode(), route.encode(), text.encode())
        wanted = self._digest(path.encode(), request.scope.get("query_string", b""), await request.body())
        return _Key(principal.org_id, who, route, text, UUID(bytes=named[:16]), wanted)

    def _digest(self, *parts: bytes) -> bytes:
        digest = hmac.new(self._key, digestmod=hashlib.sha256)
        for part in parts:
            digest.update(len(part).to_bytes(8) + part)
        return digest.digest()


def _place(key: _Key) -> Place:
    holder = Holder("organization", key.org_id)
    return Place(holder=holder, table="idempotency_keys", row=key.row, column="body", purpose=Purpose.config)


def _shows(request: Request) -> str | None:
    return getattr(request.scope["endpoint"], _SHOWS, None)


def shows_secret(endpoint: E) -> E:
    """Mark an endpoint whose answer shows a secret once: its answer is never stored."""
    endpoint.__dict__[_SHOWS] = "secret"
    return endpoint


def shows_values(endpoint: E) -> E:
    """Mark an endpoint whose answer shows config values, which are sealed at rest: so is its stored answer."""
    endpoint.__dict__[_SHOWS] = "values"
    return endpoint
