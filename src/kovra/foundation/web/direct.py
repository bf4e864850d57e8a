"""The direct way from the edge to an endpoint that is asked often and takes little: what a dashboard polls.

FastAPI's router tries its routes one after the other and lays two stacks, two exception handlers and a walk through
the dependencies around each endpoint. A GET whose endpoint takes only what ``resolving`` knows needs none of it: a
table finds its route by the path's parts, its arguments are read, it is awaited, and its answer is written by the
same model. All else goes on to the router, also a request that does not fit: nothing here refuses anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request, Response
from fastapi.datastructures import DefaultPlaceholder
from fastapi.exceptions import RequestValidationError, ResponseValidationError
from fastapi.routing import iter_route_contexts
from starlette.convertors import StringConvertor
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from kovra.foundation.web.heads import HEAD, Head
from kovra.foundation.web.resolving import Resolver
from kovra.foundation.web.routes import KovraRoute, accepts, conditional

_HANDLED: Final = (HTTPException, RequestValidationError, ResponseValidationError)
_SHAPING: Final = ("include", "exclude", "exclude_unset", "exclude_defaults", "exclude_none")


@dataclass(frozen=True, slots=True)
class _Direct:
    """One route that can be answered here."""

    route: KovraRoute
    resolver: Resolver
    field: Any
    """FastAPI's field of the answer: checks it against the declared model and writes it."""
    offered: tuple[str, ...]
    tagged: bool


@dataclass(frozen=True, slots=True)
class _Entry:
    """One route of the table, whether or not it can be answered here: the first that matches is the one."""

    pattern: Any
    methods: frozenset[str]
    direct: _Direct | None


class Direct:
    """In front of the router."""

    def __init__(self, app: ASGIApp, *, routes: Iterable[Any]) -> None:
        self._app = app
        self._table: dict[tuple[int, str], list[_Entry]] = {}
        self._loose: list[_Entry] = []
        for context in iter_route_contexts(list(routes)):
            self._place(context)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET" and not scope.get("root_path"):
            found = self.route_of(scope["path"])
            if found is not None and await _answered(*found, scope, receive, send):
                return
        await self._app(scope, receive, send)

    def _place(self, context: Any) -> None:
        route = context.original_route
        methods = frozenset(getattr(route, "methods", None) or ())
        if "GET" not in methods:
            return
        entry = _Entry(context.path_regex, methods, _direct(context))
        parts = str(context.path).split("/")
        texts = all(isinstance(each, StringConvertor) for each in context.param_convertors.values())
        if texts and "{" not in _second(parts):
            self._table.setdefault((len(parts), _second(parts)), []).append(entry)
        else:
            self._loose.append(entry)

    def route_of(self, path: str) -> tuple[_Direct, dict[str, str]] | None:
        """The route of this path if it can be answered here, with what its path holds."""
        parts = path.split("/")
        for entry in self._table.get((len(parts), _second(parts)), ()):
            match = entry.pattern.match(path)
            if match:
                loose = any(other.pattern.match(path) for other in self._loose)
                return None if loose or entry.direct is None else (entry.direct, match.groupdict())
        return None


def _second(parts: list[str]) -> str:
    """``apps`` of ``/v1/apps/…``: no two collections share it."""
    return parts[2] if len(parts) > 2 else ""


def _direct(context: Any) -> _Direct | None:
    """How this route is answered here, or None."""
    route = context.original_route
    if not isinstance(route, KovraRoute) or context.body_field is not None or context.response_field is None:
        return None
    shaped = any(getattr(context, f"response_model_{how}") for how in _SHAPING) or not context.response_model_by_alias
    typed = not isinstance(context.response_class, DefaultPlaceholder) or context.is_json_stream
    if shaped or typed or context.status_code is not None or context.stream_item_field is not None:
        return None
    resolver = Resolver.of(context.dependant)
    if resolver is None:
        return None
    return _Direct(route, resolver, context.response_field, route.offered, not route.lists)


async def _answered(known: _Direct, path: dict[str, str], scope: Scope, receive: Receive, send: Send) -> bool:
    """Whether the request was one that can be answered here."""
    head: Head = scope[HEAD]
    accept = head.all(b"accept")
    if accept and accept[0] != b"*/*" and not any(accepts(accept[0].decode("latin-1"), m) for m in known.offered):
        return False
    request = Request(scope, receive, send)
    arguments = known.resolver.arguments(path, request) if head.bodiless else None
    if arguments is None:
        return False
    scope["route"], scope["endpoint"], scope["path_params"] = known.route, known.route.endpoint, path
    try:
        if known.resolver.ends:
            response = await _ended(known, request, arguments)
        else:
            response = await _made(known, request, arguments, None)
    except _HANDLED as raised:
        handlers = request.app.exception_handlers
        response = await next(handlers[kind] for kind in type(raised).__mro__ if kind in handlers)(request, raised)
    await response(scope, receive, send)
    return True


async def _ended(known: _Direct, request: Request, arguments: list[dict[str, Any]]) -> Response:
    """The answer, when what had to end, such as the transaction, has ended well."""
    async with AsyncExitStack() as stack:
        return await _made(known, request, arguments, stack)
    raise RuntimeError("a dependency swallowed what its endpoint raised")


async def _made(
    known: _Direct, request: Request, arguments: list[dict[str, Any]], stack: AsyncExitStack | None
) -> Response:
    said = _Said()
    result = await known.resolver.call(request, said, arguments, stack)
    if not isinstance(result, Response):
        value, wrong = known.field.validate(result, loc=("response",))
        if wrong:
            raise ResponseValidationError(wrong, body=result)
        body = known.field.serialize_json(value)
        result = Response(body, status_code=said.status_code, media_type="application/json")
        result.raw_headers.extend(said.raw_headers)
    return conditional(request, result, tagged=known.tagged)


class _Said(Response):
    """Takes the status and the headers that an endpoint sets."""

    def __init__(self) -> None:
        self.status_code, self.raw_headers = 200, []
