"""What each operation may refuse with: what its kind of route may, and what its endpoint declares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from kovra.entrypoints.openapi.meanings import MEANINGS
from kovra.foundation.web.answers import refusals_of
from kovra.foundation.web.guard import GuardedRoute
from kovra.foundation.web.problems import TITLES
from kovra.foundation.web.routes import KovraRoute

UNSAFE: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_REQUEST_ID: Final = "01936f2e7c007abc8def0123456789ab"
_RETRIED: Final = frozenset({408, 429, 503})


@dataclass(frozen=True, slots=True)
class Facts:
    """What of a route decides how it can refuse."""

    method: str
    public: bool
    permission: str | None
    login: bool
    """Whether only a person may call it, not an api token."""
    health: bool
    named: bool
    """Whether the path names an object."""
    asks: bool
    """Whether it takes query parameters."""
    lists: bool
    takes_body: bool
    session: bool
    """Whether it opens the request's transaction, and so keeps answers by idempotency key."""
    tags: bool
    """Whether it tags its answer."""
    matches: bool
    """Whether it does nothing without If-Match."""

    @property
    def unsafe(self) -> bool:
        """Whether it may change something."""
        return self.method in UNSAFE

    @property
    def checks(self) -> bool:
        """Whether it changes only the version that If-Match names."""
        return self.matches or (self.tags and self.method in ("PUT", "PATCH"))


def facts_of(guarded: GuardedRoute, method: str) -> Facts:
    """Read off the route and what it depends on."""
    called = _calls(guarded.route.dependant)
    route = guarded.route
    return Facts(
        method=method,
        public=guarded.policy.public is not None,
        permission=guarded.policy.permission.value if guarded.policy.permission else None,
        login=guarded.policy.login,
        health=guarded.path == "/healthz",
        named="{" in guarded.path,
        asks=bool(_parameters(route.dependant)),
        lists=isinstance(route, KovraRoute) and route.lists,
        takes_body=route.body_field is not None,
        session="_open" in called,
        tags="_versions" in called,
        matches=any(code == "if_match_required" for _, code in refusals_of(route.endpoint)),
    )


def _calls(dependant: Any) -> set[str]:
    names = {getattr(dependant.call, "__name__", "")}
    for inner in dependant.dependencies:
        names |= _calls(inner)
    return names


def _parameters(dependant: Any) -> list[Any]:
    return [*dependant.query_params, *(p for inner in dependant.dependencies for p in _parameters(inner))]


OF_A_KIND: Final[tuple[tuple[int, tuple[str, ...], str, Callable[[Facts], bool]], ...]] = (
    (400, ("malformed", "unknown_parameter", "repeated_parameter", "host_invalid"), "all", lambda f: True),
    (400, ("cursor_invalid",), "lists", lambda f: f.lists),
    (
        400,
        ("duplicate_name", "number_too_large", "too_deep", "length_invalid"),
        "that change something",
        lambda f: f.unsafe,
    ),
    (400, ("idempotency_key_invalid",), "with an idempotency key", lambda f: f.unsafe and f.session),
    (400, ("if_match_invalid",), "with If-Match", lambda f: f.checks),
    (
        401,
        ("credential_missing", "credential_malformed", "credential_ended"),
        "with a credential",
        lambda f: not f.public,
    ),
    (401, ("token_expired", "token_invalid"), "with a credential", lambda f: not f.public),
    (403, ("https_needed",), "all but health", lambda f: not f.health),
    (403, ("permission_missing",), "that need a permission", lambda f: f.permission is not None),
    (
        403,
        ("narrowing_exceeded",),
        "that need a permission and change something",
        lambda f: f.permission is not None and f.unsafe,
    ),
    (403, ("login_needed",), "about one's own login", lambda f: f.login),
    (404, ("not_found",), "with an id in the path", lambda f: f.named),
    (406, ("not_acceptable",), "all", lambda f: True),
    (408, ("request_timeout",), "that change something", lambda f: f.unsafe),
    (
        409,
        ("idempotency_in_flight", "idempotency_answer_not_kept"),
        "with an idempotency key",
        lambda f: f.unsafe and f.session,
    ),
    (412, ("version_mismatch",), "with If-Match", lambda f: f.checks),
    (413, ("too_large",), "that change something", lambda f: f.unsafe),
    (414, ("target_too_long",), "all", lambda f: True),
    (415, ("unsupported_media_type",), "that change something", lambda f: f.unsafe),
    (422, ("invalid",), "with a body or query parameters", lambda f: f.takes_body or f.asks),
    (422, ("body_unexpected",), "that change something and take no body", lambda f: f.unsafe and not f.takes_body),
    (422, ("idempotency_key_reused",), "with an idempotency key", lambda f: f.unsafe and f.session),
    (429, ("rate_limited",), "all but health", lambda f: not f.health),
    (431, ("headers_too_large",), "all", lambda f: True),
    (503, ("overloaded", "database_unavailable", "database_busy", "busy"), "all but health", lambda f: not f.health),
)
"""Status, codes, which calls in words, and which calls."""


def refusals(guarded: GuardedRoute, method: str) -> dict[int, list[str]]:
    """Status → codes, in the order of the statuses."""
    facts = facts_of(guarded, method)
    found: dict[int, list[str]] = {}
    for status, codes, _, applies in OF_A_KIND:
        if applies(facts):
            found.setdefault(status, []).extend(codes)
    for status, code in refusals_of(guarded.route.endpoint):
        found.setdefault(status, []).append(code)
    return {status: sorted(set(codes)) for status, codes in sorted(found.items())}


def response(status: int, codes: list[str]) -> dict[str, Any]:
    """The response object of a refusal, with an example for each code."""
    described: dict[str, Any] = {
        "description": TITLES[status],
        "headers": {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}},
        "content": {
            "application/problem+json": {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {code: {"value": problem_example(status, code)} for code in codes},
            }
        },
    }
    if status in (429, 503):
        described["headers"]["Retry-After"] = {"$ref": "#/components/headers/Retry-After"}
    return described


def problem_example(status: int, code: str) -> dict[str, Any]:
    """A problem as it is answered."""
    found: dict[str, Any] = {
        "type": f"/docs/problems/{code}",
        "title": TITLES[status],
        "status": status,
        "code": code,
        "detail": MEANINGS[code],
        "request_id": _REQUEST_ID,
        "retryable": status in _RETRIED or code == "idempotency_in_flight",
    }
    if code == "permission_missing":
        found |= {"missing_permission": "apps:update", "granted_by": "admin", "role": "viewer"}
    if status == 422 and code not in ("body_unexpected", "idempotency_key_reused"):
        found["errors"] = [{"pointer": "/name", "code": code, "message": MEANINGS[code]}]
    return found
