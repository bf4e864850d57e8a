"""Idempotency keys: the key's row is written in the effect's own transaction; a replay returns the first answer.

The answer is known after serialization and before the commit, so the route class stores it through the request's own
session. A second request in flight meets an advisory lock and gets 409; one that comes later finds the row. Answers
that show a secret once are stored without their body and say so when replayed; answers that show config values are
stored sealed. Requests are compared by a keyed digest: a bare hash of a short secret can be guessed.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

from fastapi import Request, Response
from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.expression import TableClause, column, table

from kovra.foundation import clock
from kovra.foundation.access import Principal
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.db.statements import command, statement
from kovra.foundation.errors import Conflict, Invalid, KovraError, Malformed
from kovra.foundation.keyring import Holder, Place, Purpose, SecretValue

E = TypeVar("E", bound=Callable[..., Any])

KEPT: Final = timedelta(hours=24)
_SHOWS: Final = "__kovra_shows__"
_UNSAFE: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_REPLAYED: Final = ("location", "etag", "content-type")

_KEYS: Final[TableClause] = table(
    "idempotency_keys",
    *(
        column(name)
        for name in (
            "org_id",
            "principal",
            "route",
            "key",
            "fingerprint",
            "status",
            "headers",
            "body",
            "created_at",
            "expires_at",
        )
    ),
)


@dataclass(frozen=True, slots=True)
class Stored:
    """The first answer."""

    fingerprint: bytes
    status: int
    headers: dict[str, str]
    body: bytes | None


_SAME = (
    _KEYS.c.org_id == bindparam("org_id"),
    _KEYS.c.principal == bindparam("principal"),
    _KEYS.c.route == bindparam("route"),
    _KEYS.c.key == bindparam("key"),
)
_FIND = statement(
    select(_KEYS.c.fingerprint, _KEYS.c.status, _KEYS.c.headers, _KEYS.c.body).where(
        *_SAME, _KEYS.c.expires_at > bindparam("now")
    ),
    Stored,
)
_NAMES = ("org_id", "principal", "route", "key", "fingerprint", "status", "headers", "body", "expires_at")
_EXPIRED = (
    delete(_KEYS)
    .where(
        _KEYS.c.org_id == bindparam("org_id"),
        _KEYS.c.expires_at < bindparam("now"),
        # The row of this very key is overwritten below; one statement may touch it once.
        func.row(_KEYS.c.principal, _KEYS.c.route, _KEYS.c.key)
        != func.row(bindparam("principal"), bindparam("route"), bindparam("key")),
    )
    .returning(_KEYS.c.key)
    .cte("expired")
)
_STORE = command(
    insert(_KEYS)
    .values({name: bindparam(name) for name in _NAMES})
    .on_conflict_do_update(
        index_elements=["org_id", "principal", "route", "key"],
        set_={name: bindparam(name) for name in ("fingerprint", "status", "headers", "body", "expires_at")},
    )
    .add_cte(_EXPIRED)
)
"""Keeps the answer, and sweeps what the organization's earlier requests have left behind."""


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

    def place(self) -> dict[str, Any]:
        return {"org_id": self.org_id, "principal": self.principal, "route": self.route, "key": self.key}


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
        if not await session.lock("idempotency", key.org_id, key.principal, key.route, key.key):
            raise InFlight("A request with this key is being answered.")
        stored = await session.find(_FIND, **key.place(), now=clock.now())
        if stored is None:
            request.scope["kovra.idempotency"] = key
            return
        if not hmac.compare_digest(stored.fingerprint, key.fingerprint):
            raise Invalid("This key was used with another body.", code="idempotency_key_reused")
        response = Response(
            await self._opened(request, session, key, stored), status_code=stored.status, headers=stored.headers
        )
        response.headers["Idempotency-Replayed"] = "true"
        raise Replay(response)

    async def finish(self, request: Request, response: Response) -> None:
        """Store the answer in the effect's own transaction, just before it commits."""
        key: _Key | None = request.scope.get("kovra.idempotency")
        session: TenantSession | None = request.scope.get("kovra.session")
        if key is None or session is None or response.status_code >= 400:
            return
        await session.execute(
            _STORE,
            **key.place(),
            fingerprint=key.fingerprint,
            status=response.status_code,
            headers={n: response.headers[n] for n in _REPLAYED if n in response.headers},
            body=await self._closed(request, session, key, bytes(response.body)),
            expires_at=clock.now() + KEPT,
            now=clock.now(),
        )

    async def _closed(self, request: Request, session: TenantSession, key: _Key, body: bytes) -> bytes | None:
        match _shows(request):
            case "secret":
                return None
            case "values":
                keys = await self._store.of_organization(session)
                return self._store.keyring.seal(SecretValue(body), _place(key), keys).data
            case _:
                return body

    async def _opened(self, request: Request, session: TenantSession, key: _Key, stored: Stored) -> bytes:
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
