"""The one ASGI middleware: request id, size and time limits, rate limit, principal, headers, metrics and the log line.

One class instead of a stack of them: each layer costs a call per message, and together they need one pass over the
headers. Routing has not happened yet when it starts, so the route's own limits are asked by the route's dependencies.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final

import structlog
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kovra.foundation.access import Principal
from kovra.foundation.errors import (
    Forbidden,
    KovraError,
    Malformed,
    RateLimited,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from kovra.foundation.observability import HTTP_IN_FLIGHT, logger
from kovra.foundation.web.accounting import HEALTH, Exchange, account, route_of
from kovra.foundation.web.callers import Proven, network_of, site_of
from kovra.foundation.web.cors import Origins
from kovra.foundation.web.credentials import Credentials
from kovra.foundation.web.eventstream import STREAMING
from kovra.foundation.web.heads import HEAD, Head
from kovra.foundation.web.problems import (
    HeadersTooLarge,
    Problem,
    TargetTooLong,
    TooSlow,
    UnsupportedMedia,
    from_error,
    problem,
)
from kovra.foundation.web.ratelimit import Bucket, RateLimiter, RateLimitOptions, Verdict

_SECURITY: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-site"),
    (b"vary", b"Authorization, Origin, Accept"),
]
_API_POLICY: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_HSTS: Final = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")
_HOST_PORT: Final = re.compile(r":[0-9]{0,5}\Z")
_DEPLOYS: Final = re.compile(r"/v1/.*(/deployments|/actions/(rollback|redeploy|restart|scale|suspend|resume|cancel))")
_POLLED: Final = ("/v1/deployments", "/v1/events")
_GONE: Final = 499
"""The status of the log line when the caller hung up; nothing is sent any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeOptions:
    """What the edge allows."""

    max_body_bytes: int = 1024 * 1024
    """Larger bodies get 413, declared or counted."""
    body_timeout_s: float = 20.0
    """The whole body must be here within it, or 408; it is small, so this bounds the slowest sender as well."""
    max_header_bytes: int = 32 * 1024
    """All header names and values together; beyond it 431."""
    max_headers: int = 100
    """More header lines than this get 431."""
    max_target_bytes: int = 8 * 1024
    """Path and query; beyond it 414."""
    max_in_flight: int = 512
    """More requests at once get 503; health is exempt."""
    hosts: frozenset[str] = frozenset()
    """The names this api answers to, without port; empty: any. Health is exempt: load balancers ask by address."""
    https_only: bool = False
    """Refuse plain http as the trusted proxy reports it, and send HSTS."""
    origins: tuple[str, ...] = ()
    """Exact origins whose scripts may read answers."""
    simulated: bool = False
    """Say in a header that workloads are simulated."""
    limits: RateLimitOptions = field(default_factory=RateLimitOptions)


class Edge:
    """Outermost layer of the API."""

    def __init__(self, app: ASGIApp, *, credentials: Credentials, options: EdgeOptions) -> None:
        self._app = app
        self._credentials = credentials
        self._options = options
        self._limiter = RateLimiter()
        self._proven = Proven()
        self._origins = Origins(options.origins)
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        head = scope[HEAD] = Head.of(scope)
        exchange = Exchange(head.request_id, time.perf_counter(), head.bodiless)
        scope["kovra.request_id"] = exchange.request_id
        structlog.contextvars.bind_contextvars(request_id=exchange.request_id)
        self._in_flight += 1
        HTTP_IN_FLIGHT.inc()
        try:
            await self._answer(scope, receive, send, exchange)
        finally:
            if not scope.get(STREAMING):
                self._landed()
            self._remember(scope, exchange)
            account(scope, exchange)
            structlog.contextvars.clear_contextvars()

    def _landed(self) -> None:
        self._in_flight -= 1
        HTTP_IN_FLIGHT.dec()

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket: its gate asks for the credential; here only what can be refused before it opens."""
        head = scope[HEAD] = Head.of(scope)
        scope["kovra.request_id"] = head.request_id
        structlog.contextvars.bind_contextvars(request_id=scope["kovra.request_id"])
        began = time.perf_counter()
        try:
            if self._admits(scope):
                await self._app(scope, receive, send)
            else:
                await receive()
                await send({"type": "websocket.close", "code": 1008, "reason": ""})
        finally:
            logger.info("socket", route=route_of(scope), seconds=round(time.perf_counter() - began, 1))
            structlog.contextvars.clear_contextvars()

    def _admits(self, scope: Scope) -> bool:
        try:
            self._check_sizes(scope, scope[HEAD])
            self._check_host(scope[HEAD])
        except KovraError:
            return False
        plain = self._options.https_only and scope.get("scheme") != "wss"
        return not plain and self._take_unknown(scope).allowed

    async def _answer(self, scope: Scope, receive: Receive, send: Send, exchange: Exchange) -> None:
        outgoing = self._outgoing(send, exchange, scope)
        try:
            self._admit(scope, exchange)
            allowed = self._origins.preflight(scope)
            if allowed is None:
                await self._app(scope, self._incoming(receive, exchange), outgoing)
            else:
                await self._preflight(allowed, exchange)(scope, receive, outgoing)
        except KovraError as refused:
            await self._refuse(from_error(refused, exchange.request_id), scope, receive, outgoing, exchange)
        except ClientDisconnect:
            exchange.status = _GONE
        except Exception as defect:  # the outermost place: whatever nobody foresaw becomes a 500 without its text
            logger.error("request_failed", error=type(defect).__name__, exc_info=_without_text(defect))
            answer = problem(
                500, "Something went wrong", "internal", detail="Something went wrong.", request_id=exchange.request_id
            )
            await self._refuse(answer, scope, receive, outgoing, exchange)

    async def _refuse(self, answer: Problem, scope: Scope, receive: Receive, send: Send, exchange: Exchange) -> None:
        if not exchange.began:
            await answer(scope, receive, send)

    def _preflight(self, allowed: bool, exchange: Exchange) -> Response:
        if not allowed:
            refused = Forbidden("This origin may not call that.", code="origin_not_allowed")
            return from_error(refused, exchange.request_id)
        response = Response(status_code=204)
        response.raw_headers.extend(self._origins.permissions())
        return response

    def _admit(self, scope: Scope, exchange: Exchange) -> None:
        """Everything that can be refused before routing; the principal is found here and demanded by the route."""
        head: Head = scope[HEAD]
        self._check_sizes(scope, head)
        if scope["path"] in HEALTH:
            exchange.ends = False
            return
        self._check_host(head)
        exchange.ends = False
        if self._in_flight > self._options.max_in_flight:
            raise Unavailable("Too many requests at once.", code="overloaded")
        if self._options.https_only and scope.get("scheme") != "https":
            raise Forbidden("Use https.", code="https_needed")
        self._find_principal(scope, head, exchange)
        self._limit(scope, exchange)
        self._check_body(head)

    def _check_sizes(self, scope: Scope, head: Head) -> None:
        limits = self._options
        if head.count > limits.max_headers or head.size > limits.max_header_bytes:
            raise HeadersTooLarge("The headers are too large, or too many.")
        if len(scope.get("raw_path") or b"") + len(scope.get("query_string", b"")) > limits.max_target_bytes:
            raise TargetTooLong("The address is too long.")

    def _check_host(self, head: Head) -> None:
        """Exactly one Host, and one of ours (RFC 9112 §3.2): two readers of a request must not differ about it."""
        given = head.all(b"host")
        if len(given) != 1:
            raise Malformed("Send exactly one Host header.", code="host_invalid")
        if self._options.hosts:
            if _HOST_PORT.sub("", given[0].decode("latin-1").lower()) not in self._options.hosts:
                raise Malformed("This is not a name of this api.", code="host_invalid")

    def _find_principal(self, scope: Scope, head: Head, exchange: Exchange) -> None:
        given = head.all(b"authorization")
        scope["kovra.principal"] = None
        if len(given) > 1:
            scope["kovra.refusal"] = Unauthenticated("Send one Authorization header.", code="credential_malformed")
        elif given:
            try:
                exchange.principal = scope["kovra.principal"] = self._credentials.authenticate(given[0])
            except Unauthenticated as refused:
                scope["kovra.refusal"] = refused

    def _limit(self, scope: Scope, exchange: Exchange) -> None:
        principal = exchange.principal
        if principal is None:
            verdict = self._take_unknown(scope)
        else:
            caller = _caller(principal)
            verdict = self._limiter.take(self._bucket(scope), caller)
            if verdict.allowed and caller not in self._proven:
                public = self._take_unknown(scope)
                verdict = verdict if public.allowed else public
        exchange.verdict = verdict
        if not verdict.allowed:
            raise RateLimited(
                f"More than {verdict.bucket.burst} requests in {verdict.bucket.window_s:.0f} s.",
                retry_after_s=verdict.reset_s,
            )

    def _take_unknown(self, scope: Scope) -> Verdict:
        """Count a caller that has proven nothing for its network, and of IPv6 for the network's site."""
        address, limits = scope["client"][0] if scope.get("client") else "", self._options.limits
        verdict = self._limiter.take(limits.public, network_of(address).encode())
        site = site_of(address)
        if site is not None and verdict.allowed:
            wider = self._limiter.take(limits.site, site.encode())
            return verdict if wider.allowed else wider
        return verdict

    def _bucket(self, scope: Scope) -> Bucket:
        limits = self._options.limits
        if scope["method"] == "GET" and scope["path"].startswith(_POLLED):
            return limits.poll
        if scope["method"] == "POST" and _DEPLOYS.fullmatch(scope["path"]):
            return limits.deploy
        return limits.general

    def _remember(self, scope: Scope, exchange: Exchange) -> None:
        if exchange.principal is None:
            return
        if scope.get("kovra.entered"):
            self._proven.add(_caller(exchange.principal))
        elif exchange.status == 401:
            self._proven.discard(_caller(exchange.principal))

    def _check_body(self, head: Head) -> None:
        for value in head.all(b"content-length"):
            if not (value.isdigit() and len(value) < 20):
                raise Malformed("Content-Length must be a number.", code="length_invalid")
            if int(value) > self._options.max_body_bytes:
                raise self._too_large()
        if any(value.lower() != b"identity" for value in head.all(b"content-encoding")):
            raise UnsupportedMedia("Send the body without Content-Encoding.")

    def _too_large(self) -> TooLarge:
        return TooLarge("The body is too large.", facts={"limit_bytes": self._options.max_body_bytes})

    def _incoming(self, receive: Receive, exchange: Exchange) -> Receive:
        """Count the body as it streams, since Content-Length is optional with chunked requests; and wait only so long."""
        if exchange.body_done:
            return receive
        seen, deadline = 0, asyncio.get_running_loop().time() + self._options.body_timeout_s

        async def bounded() -> Message:
            nonlocal seen
            if exchange.body_done:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise TooSlow("The body did not arrive in time.") from None
            seen += len(message.get("body", b""))
            if seen > self._options.max_body_bytes:
                raise self._too_large()
            exchange.body_done = not message.get("more_body", False)
            return message

        return bounded

    def _outgoing(self, send: Send, exchange: Exchange, scope: Scope) -> Send:
        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.began = True
                if scope.get(STREAMING):
                    self._landed()
                exchange.status = message["status"]
                message["headers"] = [*message.get("headers", ()), *self._headers(exchange, scope, message)]
            await send(message)

        return dressed

    def _headers(self, exchange: Exchange, scope: Scope, message: Message) -> list[tuple[bytes, bytes]]:
        present = [name for name, _ in message.get("headers", ())]  # ASGI has them in lower case
        added = [(b"x-request-id", exchange.request_id.encode()), *_SECURITY, *self._origins.headers(scope)]
        if b"content-security-policy" not in present:
            added.append(_API_POLICY)
        if b"cache-control" not in present:
            added.append((b"cache-control", b"no-store"))
        if self._options.https_only:
            added.append(_HSTS)
        if self._options.simulated:
            added.append((b"kovra-simulated", b"true"))
        if exchange.verdict is not None:
            added += _limits(exchange.verdict)
        if exchange.ends or not exchange.body_done:
            # What is still to come would be read as the connection's next request, however slowly it drips.
            added.append((b"connection", b"close"))
        return added


def _limits(verdict: Verdict) -> list[tuple[bytes, bytes]]:
    """RateLimit and RateLimit-Policy of draft-ietf-httpapi-ratelimit-headers-10; ``t`` is rounded up like Retry-After."""
    bucket = verdict.bucket
    return [
        (b"ratelimit-policy", f'"{bucket.name}";q={bucket.burst};w={bucket.window_s:.0f}'.encode()),
        (b"ratelimit", f'"{bucket.name}";r={verdict.remaining};t={math.ceil(verdict.reset_s)}'.encode()),
    ]


def _caller(principal: Principal) -> bytes:
    return principal.token_hash or principal.session_id.bytes


def _without_text(defect: Exception) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    """The traceback without the exception's own text, which may hold values."""
    return _Hidden, _Hidden(type(defect).__name__), defect.__traceback__


class _Hidden(Exception):
    """Stands in for an exception in the log."""
