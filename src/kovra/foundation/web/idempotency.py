"""Idempotency keys: the key's row is written in the effect's own transaction; a replay returns the first answer.

The answer is known after serialization and before the commit, so the route class stores it through the request's own
session. A second request in flight meets an advisory lock and gets 409; one that comes later finds the row. Answers
that show a secret once are stored without their body and say so when replayed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from fastapi import Request, Response
from fastapi.routing import APIRoute
from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.expression import TableClause, column, table

from kovra.foundation import clock
from kovra.foundation.access import Principal
from kovra.foundation.db.session import TenantSession
from kovra.foundation.db.statements import command, statement
from kovra.foundation.errors import Conflict, Invalid, Malformed

KEPT: Final = timedelta(hours=24)
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
_STORE = command(
    insert(_KEYS)
    .values({name: bindparam(name) for name in _NAMES})
    .on_conflict_do_update(
        index_elements=["org_id", "principal", "route", "key"],
        set_={name: bindparam(name) for name in ("fingerprint", "status", "headers", "body", "expires_at")},
    )
)


@dataclass(frozen=True, slots=True)
class _Key:
    org_id: UUID
    principal: str
    route: str
    key: str
    fingerprint: bytes

    def place(self) -> dict[str, Any]:
        return {"org_id": self.org_id, "principal": self.principal, "route": self.route, "key": self.key}


class Replay(Exception):  # not an error: leaves the transaction with the first answer
    """Carries the first answer out of the transaction, which is rolled back unused."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


async def _key_of(request: Request, principal: Principal) -> _Key | None:
    given = request.headers.getlist("idempotency-key")
    if not given or request.method not in _UNSAFE:
        return None
    text = given[0].strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if len(given) > 1 or not 1 <= len(text) <= 255 or not text.isprintable():
        raise Malformed(
            "Idempotency-Key must be one printable text of 1 to 255 characters.", code="idempotency_key_invalid"
        )
    digest = hashlib.sha256()
    for part in (request.scope["path"].encode(), request.scope.get("query_string", b""), await request.body()):
        digest.update(len(part).to_bytes(8) + part)
    who = principal.token_hash.hex() if principal.kind == "token" else str(principal.user_id)
    route = f"{request.method} {request.scope['path']}"
    return _Key(principal.org_id, who, route, text, digest.digest())


async def begin(request: Request, session: TenantSession, principal: Principal) -> None:
    """Called as the session opens: replays, refuses, or remembers the key for ``finish``."""
    key = await _key_of(request, principal)
    if key is None:
        return
    if not await session.lock("idempotency", key.org_id, key.principal, key.route, key.key):
        raise Conflict("A request with this key is being answered.", code="idempotency_in_flight")
    stored = await session.find(_FIND, **key.place(), now=clock.now())
    if stored is None:
        request.scope["kovra.idempotency"] = key
        return
    if stored.fingerprint != key.fingerprint:
        raise Invalid("This key was used with another body.", code="idempotency_key_reused")
    if stored.body is None:
        raise Conflict(
            "This was done already; its answer showed a secret and was not kept.", code="idempotency_answer_not_kept"
        )
    response = Response(stored.body, status_code=stored.status, headers=stored.headers)
    response.headers["Idempotency-Replayed"] = "true"
    raise Replay(response)


async def finish(request: Request, response: Response) -> None:
    """Store the answer in the effect's own transaction, just before it commits."""
    key: _Key | None = request.scope.get("kovra.idempotency")
    session: TenantSession | None = request.scope.get("kovra.session")
    if key is None or session is None or response.status_code >= 400:
        return
    shows_secret = bool(getattr(request.scope["endpoint"], "__kovra_shows_secret__", False))
    await session.execute(
        _STORE,
        **key.place(),
        fingerprint=key.fingerprint,
        status=response.status_code,
        headers={n: response.headers[n] for n in _REPLAYED if n in response.headers},
        body=None if shows_secret else bytes(response.body),
        expires_at=clock.now() + KEPT,
    )


def shows_secret(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """Mark an endpoint whose answer shows a secret once: it is never stored."""
    endpoint.__dict__["__kovra_shows_secret__"] = True
    return endpoint


async def _check_text(request: Request) -> None:
    """JSON between systems is UTF-8 (RFC 8259 §8.1); the parser would also guess at UTF-16 and UTF-32."""
    if request.method in _UNSAFE:
        try:
            text = (await request.body()).decode()
        except UnicodeDecodeError:
            raise Malformed("The body must be UTF-8.") from None
        if "\x00" in text or text.startswith("\ufeff"):
            raise Malformed("The body must be UTF-8 without a byte order mark.")


class KovraRoute(APIRoute):
    """The route class of every router: reads UTF-8 only, stores and replays answers by idempotency key."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler, inside the request's transaction."""
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            await _check_text(request)
            try:
                response = await inner(request)
            except Replay as replay:
                return replay.response
            await finish(request, response)
            return response

        return handle
