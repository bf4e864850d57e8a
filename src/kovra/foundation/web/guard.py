"""The guard: every route names a permission or says why it is public; a router with one that does neither refuses to start.

The endpoint's signature is the policy: ``who: Annotated[Principal, requires(Permission.apps_read)]``. The policy is read off the endpoint
once, at start-up; the session that the endpoint opens carries it into the entering function, so the right is proven in
the same transaction as the work.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin, get_type_hints

from fastapi import Depends, Request
from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts

from kovra.foundation.access import Permission, Principal
from kovra.foundation.errors import Forbidden, Unauthenticated

E = TypeVar("E", bound=Callable[..., Any])

_PUBLIC: Final = "__kovra_public__"


@dataclass(frozen=True, slots=True)
class Policy:
    """What a route asks of its caller. Neither permission nor public: any living credential (account routes)."""

    permission: Permission | None = None
    public: str | None = None
    """Why the route is open to everybody."""
    account: bool = False
    """For a person with any, or no, organization."""
    login: bool = False
    """For a person's login alone: an api token is nobody."""


class _Marker:
    """The dependency behind ``requires(...)``: it only carries the policy; opening the session enforces it.

    Asynchronous like every dependency here: FastAPI sends synchronous ones through a thread pool.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    async def __call__(self, request: Request) -> Principal:
        principal = require_principal(request)
        if self.policy.login and principal.kind != "session":
            raise Forbidden("This needs a person's login, not an api token.", code="login_needed")
        return principal


def requires(permission: Permission) -> Any:
    """``who: Annotated[Principal, requires(Permission.x)]``: the caller's principal, and the route's policy."""
    return Depends(_Marker(Policy(permission=permission)))


Account = Annotated[Principal, Depends(_Marker(Policy(account=True)))]
"""``who: Account``: any living credential, also of a person without organization."""

Login = Annotated[Principal, Depends(_Marker(Policy(account=True, login=True)))]
"""``who: Login``: a person's login, with any or no organization; an api token gets 403 ``login_needed``."""


def public(reason: str) -> Callable[[E], E]:
    """Mark an endpoint as open to everybody, with the reason that stands in docs/security/public-routes.md."""

    def mark(endpoint: E) -> E:
        setattr(endpoint, _PUBLIC, reason)
        return endpoint

    return mark


def require_principal(request: Request) -> Principal:
    """The verified credential that the middleware found, or 401."""
    principal: Principal | None = request.scope.get("kovra.principal")
    if principal is None:
        refusal: Unauthenticated | None = request.scope.get("kovra.refusal")
        raise refusal or Unauthenticated("A credential is needed.", code="credential_missing")
    return principal


def policy_of(endpoint: Callable[..., Any]) -> Policy | None:
    """What the endpoint's signature or mark says, or None when it says nothing."""
    reason = getattr(endpoint, _PUBLIC, None)
    if reason is not None:
        return Policy(public=reason)
    known = getattr(endpoint, "__kovra_policy__", None)
    if isinstance(known, Policy):
        return known
    found = list(_markers(endpoint))
    if len(found) != 1:
        return None
    endpoint.__dict__["__kovra_policy__"] = found[0]
    return found[0]


def _markers(endpoint: Callable[..., Any]) -> Iterable[Policy]:
    hints = get_type_hints(endpoint, include_extras=True)
    for name in inspect.signature(endpoint).parameters:
        hint = hints.get(name)
        if get_origin(hint) is not Annotated:
            continue
        for extra in get_args(hint)[1:]:
            marker = getattr(extra, "dependency", None)
            if isinstance(marker, _Marker):
                yield marker.policy


@dataclass(frozen=True, slots=True)
class GuardedRoute:
    """One route with its full path, methods and policy: the row of the matrix, the docs page and the laws."""

    path: str
    methods: tuple[str, ...]
    policy: Policy
    route: APIRoute


def guarded_routes(routes: Iterable[Any]) -> list[GuardedRoute]:
    """Every API route with its policy; raises at the first one that names none."""
    table: list[GuardedRoute] = []
    for context in iter_route_contexts(list(routes)):
        route = context.original_route
        if isinstance(route, APIWebSocketRoute):
            continue
        if not isinstance(route, APIRoute):
            raise RuntimeError(f"{getattr(route, 'path', route)} is not an API route, so it cannot be guarded")
        policy = policy_of(route.endpoint)
        if policy is None:
            raise RuntimeError(f"{context.path} names neither a permission nor a reason to be public")
        table.append(GuardedRoute(str(context.path), tuple(sorted(route.methods or ())), policy, route))
    return table


def guarded_sockets(routes: Iterable[Any]) -> list[tuple[str, str]]:
    """Every socket's path and why it answers before a credential is known; raises at the first that does not say.

    A socket is always public to the guard: who opens it proves itself inside, by a ticket.
    """
    table: list[tuple[str, str]] = []
    for context in iter_route_contexts(list(routes)):
        route = context.original_route
        if isinstance(route, APIWebSocketRoute):
            policy = policy_of(route.endpoint)
            if policy is None or not policy.public:
                raise RuntimeError(f"{context.path} does not say how its caller proves itself")
            table.append((str(context.path), policy.public))
    return table
