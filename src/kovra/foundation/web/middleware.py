"""The one ASGI middleware: request id, size limits, rate limit, principal, security headers, metrics and the log line.

One class instead of a stack of them: each layer costs a call per message, and together they need one pass over the
headers. Routing has not happened yet when it starts, so the route's own limits are asked by the route's dependencies.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final
from uuid import uuid4

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kovra.foundation.access import Principal
from kovra.foundation.errors import Forbidden, KovraError, RateLimited, TooLarge, Unauthenticated, Unavailable
from kovra.foundation.ids import encode
from kovra.foundation.observability import HTTP_IN_FLIGHT, HTTP_REQUESTS, HTTP_SECONDS, logger
from kovra.foundation.web.credentials import Credentials
from kovra.foundation.web.problems import HeadersTooLarge, Problem, UnsupportedMedia, from_error, problem
from kovra.foundation.web.ratelimit import Bucket, RateLimiter, RateLimitOptions, Verdict

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_SECURITY: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
]
_API_POLICY: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_HSTS: Final = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")
_HEALTH: Final = frozenset({"/healthz", "/readyz"})


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeOptions:
    """What the edge allows."""

    max_body_bytes: int = 1024 * 1024
    """Larger bodies get 413, declared or counted."""
    max_header_bytes: int = 32 * 1024
    """All header names and values together; beyond it 431."""
    max_in_flight: int = 512
    """More requests at once get 503; health is exempt."""
    https_only: bool = False
    """Refuse plain http as the trusted proxy reports it, and send HSTS."""
    simulated: bool = False
    """Say in a header that workloads are simulated."""
    limits: RateLimitOptions = field(default_factory=RateLimitOptions)


@dataclass(slots=True)
class _Exchange:
    """What one request gathers for its headers and its log line."""

    request_id: str
    started: float
    verdict: Verdict | None = None
    principal: Principal | None = None
    status: int = 500
    began: bool = False


class Edge:
    """Outermost layer of the API."""

    def __init__(self, app: ASGIApp, *, credentials: Credentials, options: EdgeOptions) -> None:
        self._app = app
        self._credentials = credentials
        self._options = options
        self._limiter = RateLimiter()
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(_request_id(scope), time.perf_counter())
        scope["kovra.request_id"] = exchange.request_id
        structlog.contextvars.bind_contextvars(request_id=exchange.request_id)
        self._in_flight += 1
        HTTP_IN_FLIGHT.inc()
        try:
            await self._answer(scope, receive, send, exchange)
        finally:
            self._in_flight -= 1
            HTTP_IN_FLIGHT.dec()
            _finish(scope, exchange)
            structlog.contextvars.clear_contextvars()

    async def _answer(self, scope: Scope, receive: Receive, send: Send, exchange: _Exchange) -> None:
        outgoing = self._outgoing(send, exchange, scope)
        try:
            self._admit(scope, exchange)
            await self._app(scope, self._incoming(receive), outgoing)
        except KovraError as refused:
            await self._refuse(from_error(refused, exchange.request_id), scope, receive, outgoing, exchange)
        except Exception as defect:  # the outermost place: whatever nobody foresaw becomes a 500 without its text
            logger.error("request_failed", error=type(defect).__name__, exc_info=_without_text(defect))
            answer = problem(
                500, "Something went wrong", "internal", detail="Something went wrong.", request_id=exchange.request_id
            )
            await self._refuse(answer, scope, receive, outgoing, exchange)

    async def _refuse(self, answer: Problem, scope: Scope, receive: Receive, send: Send, exchange: _Exchange) -> None:
        if not exchange.began:
            await answer(scope, receive, send)

    def _admit(self, scope: Scope, exchange: _Exchange) -> None:
        """Everything that can be refused before routing; the principal is found here and demanded by the route."""
        headers = scope["headers"]
        if sum(len(n) + len(v) for n, v in headers) > self._options.max_header_bytes:
            raise HeadersTooLarge("The headers are too large.")
        if scope["path"] in _HEALTH:
            return
        if self._in_flight > self._options.max_in_flight:
            raise Unavailable("Too many requests at once.", code="overloaded")
        if self._options.https_only and scope.get("scheme") != "https":
            raise Forbidden("Use https.", code="https_needed")
        given = [value for name, value in headers if name == b"authorization"]
        scope["kovra.principal"] = None
        if len(given) > 1:
            scope["kovra.refusal"] = Unauthenticated("Send one Authorization header.", code="credential_malformed")
        elif given:
            try:
                exchange.principal = scope["kovra.principal"] = self._credentials.authenticate(given[0])
            except Unauthenticated as refused:
                scope["kovra.refusal"] = refused
        self._limit(scope, exchange)
        declared = [value for name, value in headers if name == b"content-length"]
        if declared and (not declared[0].isdigit() or int(declared[0][:19]) > self._options.max_body_bytes):
            raise TooLarge("The body is too large.", facts={"limit_bytes": self._options.max_body_bytes})
        if any(name == b"content-encoding" and value != b"identity" for name, value in headers):
            raise UnsupportedMedia("Send the body without Content-Encoding.")

    def _limit(self, scope: Scope, exchange: _Exchange) -> None:
        exchange.verdict = verdict = self._limiter.take(
            self._bucket(scope, exchange.principal), _caller(scope, exchange)
        )
        if not verdict.allowed:
            raise RateLimited(
                f"More than {verdict.bucket.burst} requests in {verdict.bucket.window_s:.0f} s.",
                retry_after_s=verdict.reset_s,
            )

    def _bucket(self, scope: Scope, principal: Principal | None) -> Bucket:
        limits = self._options.limits
        if principal is None:
            return limits.public
        if scope["method"] == "GET" and scope["path"].startswith("/v1/deployments"):
            return limits.poll
        if scope["method"] == "POST" and scope["path"].endswith(("/deployments", "/actions/rollback")):
            return limits.deploy
        return limits.general

    def _incoming(self, receive: Receive) -> Receive:
        """Count the body as it streams: Content-Length is optional with chunked requests."""
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > self._options.max_body_bytes:
                    raise TooLarge("The body is too large.", facts={"limit_bytes": self._options.max_body_bytes})
            return message

        return counted

    def _outgoing(self, send: Send, exchange: _Exchange, scope: Scope) -> Send:
        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.began = True
                exchange.status = message["status"]
                message["headers"] = [*message.get("headers", ()), *self._headers(exchange, scope, message)]
            await send(message)

        return dressed

    def _headers(self, exchange: _Exchange, scope: Scope, message: Message) -> list[tuple[bytes, bytes]]:
        present = {name.lower() for name, _ in message.get("headers", ())}
        added = [(b"x-request-id", exchange.request_id.encode()), *_SECURITY]
        if b"content-security-policy" not in present:
            added.append(_API_POLICY)
        if b"cache-control" not in present:
            added.append((b"cache-control", b"no-store"))
        if self._options.https_only:
            added.append(_HSTS)
        if self._options.simulated:
            added.append((b"kovra-simulated", b"true"))
        if exchange.verdict is not None:
            v = exchange.verdict
            name = v.bucket.name
            added.append((b"ratelimit-policy", f'"{name}";q={v.bucket.burst};w={v.bucket.window_s:.0f}'.encode()))
            added.append((b"ratelimit", f'"{name}";r={v.remaining};t={v.reset_s:.0f}'.encode()))
        added.append((b"vary", b"Authorization, Origin"))
        return added


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return str(value, "ascii")
    return uuid4().hex


def _caller(scope: Scope, exchange: _Exchange) -> bytes:
    principal = exchange.principal
    if principal is not None:
        return principal.token_hash or principal.session_id.bytes
    client = scope.get("client")
    return _network(client[0] if client else "").encode()


def _network(address: str) -> str:
    """IPv6 callers own at least a /64: they count as one."""
    if ":" not in address:
        return address
    return ":".join(address.split(":")[:4])


def _without_text(defect: Exception) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    """The traceback without the exception's own text, which may hold values."""
    return _Hidden, _Hidden(type(defect).__name__), defect.__traceback__


class _Hidden(Exception):
    """Stands in for an exception in the log."""


def _finish(scope: Scope, exchange: _Exchange) -> None:
    took = time.perf_counter() - exchange.started
    route = _route(scope)
    HTTP_REQUESTS.labels(scope["method"], route, str(exchange.status)).inc()
    HTTP_SECONDS.labels(scope["method"], route).observe(took)
    if scope["path"] in _HEALTH:
        return
    facts: dict[str, object] = {
        "method": scope["method"],
        "route": route,
        "status": exchange.status,
        "ms": round(took * 1000, 1),
    }
    if exchange.principal is not None:
        facts["org_id"] = encode("org", exchange.principal.org_id)
        facts["actor"] = "token" if exchange.principal.kind == "token" else encode("usr", exchange.principal.user_id)
    logger.info("request", **facts)


def _route(scope: Scope) -> str:
    """The route's template; nothing a caller typed reaches a metric or the log line."""
    context = (scope.get("fastapi") or {}).get("effective_route_context")
    path = getattr(context, "path", None) or getattr(scope.get("route"), "path", None)
    return str(path) if path else "unmatched"
