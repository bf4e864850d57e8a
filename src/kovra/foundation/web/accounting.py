"""What is kept of a request when it is over: its figures and its log line."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from prometheus_client import Counter, Histogram
from starlette.types import Scope

from kovra.foundation.access import Principal
from kovra.foundation.ids import encode
from kovra.foundation.observability import HTTP_REQUESTS, HTTP_SECONDS, fact
from kovra.foundation.web.eventstream import STREAMING
from kovra.foundation.web.ratelimit import Verdict

HEALTH: Final = frozenset({"/healthz", "/readyz"})
"""Paths that are asked too often to be told of."""


@dataclass(slots=True)
class Exchange:
    """What one request gathers for its headers and its log line."""

    request_id: str
    started: float
    body_done: bool
    ends: bool = True
    """Whether the connection ends with the answer: where the head was odd, so may be what follows."""
    verdict: Verdict | None = None
    principal: Principal | None = None
    status: int = 500
    began: bool = False


def account(scope: Scope, exchange: Exchange) -> None:
    """Count the request and log its line, once it is over."""
    took = time.perf_counter() - exchange.started
    route, method = route_of(scope), _method(scope)
    _counter(method, route, exchange.status).inc()
    if not scope.get(STREAMING):
        _timer(method, route).observe(took)
    if scope["path"] in HEALTH:
        return
    facts: dict[str, object] = {
        "method": method,
        "route": route,
        "status": exchange.status,
        "ms": round(took * 1000, 1),
        "client": scope["client"][0] if scope.get("client") else "",
    }
    if exchange.principal is not None:
        facts["org_id"] = encode("org", exchange.principal.org_id)
        facts["actor"] = "token" if exchange.principal.kind == "token" else encode("usr", exchange.principal.user_id)
    fact("request", **facts)


# The library checks and locks at each look-up; methods, templates and statuses are few.
@lru_cache(maxsize=4096)
def _counter(method: str, route: str, status: int) -> Counter:
    return HTTP_REQUESTS.labels(method, route, str(status))


@lru_cache(maxsize=1024)
def _timer(method: str, route: str) -> Histogram:
    return HTTP_SECONDS.labels(method, route)


def _method(scope: Scope) -> str:
    """The method when it is a known one: a made-up word would be a new metric for each caller's fancy."""
    known = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
    return scope["method"] if scope["method"] in known else "other"


def route_of(scope: Scope) -> str:
    """The route's template; nothing a caller typed reaches a metric or the log line."""
    context = (scope.get("fastapi") or {}).get("effective_route_context")
    path = getattr(context, "path", None) or getattr(scope.get("route"), "path", None)
    return str(path) if path else "unmatched"
