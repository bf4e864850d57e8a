"""The route class of every router: what holds for all routes around their endpoints, in one place.

Negotiates the type of the answer (406), reads the body (400, 415, 422), replays and stores answers by idempotency key,
and answers conditional requests (ETag, 304).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.datastructures import DefaultPlaceholder
from fastapi.routing import APIRoute
from pydantic import BaseModel

from kovra.foundation.web.bodies import read_json
from kovra.foundation.web.etags import content, unchanged
from kovra.foundation.web.eventstream import EventStream
from kovra.foundation.web.heads import HEAD
from kovra.foundation.web.idempotency import Idempotency, Replay
from kovra.foundation.web.problems import NotAcceptable
from kovra.foundation.web.sessions import registry_of

_KEPT = ("etag", "cache-control", "link", "content-security-policy")
_ALSO = "__kovra_also_answers__"
E = TypeVar("E", bound=Callable[..., Any])


def also_answers(*media: str) -> Callable[[E], E]:
    """Mark an endpoint that answers these types besides its own, as the caller accepts."""

    def mark(endpoint: E) -> E:
        setattr(endpoint, _ALSO, media)
        return endpoint

    return mark


class KovraRoute(APIRoute):
    """Wraps FastAPI's handler, inside the request's transaction."""

    @property
    def media_type(self) -> str:
        """What a good answer is."""
        kind = self.response_class
        if isinstance(kind, DefaultPlaceholder):
            kind = kind.value
        return str(kind.media_type or "application/json")

    @property
    def offered(self) -> tuple[str, ...]:
        """Every type it can answer."""
        return (self.media_type, *getattr(self.endpoint, _ALSO, ()))

    @property
    def lists(self) -> bool:
        """Whether it answers a page of a collection."""
        model = self.response_model
        return isinstance(model, type) and issubclass(model, BaseModel) and "has_more" in model.model_fields

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler that Starlette calls."""
        inner = super().get_route_handler()
        takes_body, tagged = self.body_field is not None, not self.lists
        offered = self.offered

        async def handle(request: Request) -> Response:
            header = request.headers.get("accept")
            if not any(accepts(header, media) for media in offered):
                raise NotAcceptable(f"Here is only {' or '.join(offered)}.")
            await read_json(request, takes_body=takes_body)
            try:
                response = await inner(request)
            except Replay as replay:
                return replay.response
            if "kovra.idempotency" in request.scope:
                await registry_of(request).get(Idempotency).finish(request, response)
            return conditional(request, response, tagged=tagged) if request.method == "GET" else response

        return handle


def conditional(request: Request, response: Response, *, tagged: bool) -> Response:
    """Tag an answer that has no tag yet, and leave out the body the caller has already."""
    if response.status_code != 200 or isinstance(response, EventStream):
        return response
    if tagged and "etag" not in response.headers and isinstance(getattr(response, "body", None), bytes):
        response.headers["ETag"] = f'"{content(bytes(response.body))}"'
    if request.scope[HEAD].all(b"if-none-match") and unchanged(request, response.headers.get("etag")):
        return Response(status_code=304, headers={n: response.headers[n] for n in _KEPT if n in response.headers})
    return response


def accepts(header: str | None, media: str) -> bool:
    """Whether an Accept header lets this type through (RFC 9110 §12.5.1); none, or one nobody can read, lets all."""
    if not header or not header.strip():
        return True
    best = (-1, False)
    for part in header.split(","):
        kind, *parameters = (p.strip().lower() for p in part.split(";"))
        rank = _rank(kind, media)
        if rank >= 0:
            best = max(best, (rank, _quality(parameters) > 0))
    return best[1]


def _rank(kind: str, media: str) -> int:
    """How closely a range names the type; -1: not at all."""
    return {media: 2, f"{media.split('/')[0]}/*": 1, "*/*": 0}.get(kind, -1)


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 1.0
    return 1.0
