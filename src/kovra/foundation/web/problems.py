"""Errors become RFC 9457 problems here, once. The input is never echoed; no input gives a 500."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError, ResponseValidationError
from fastapi.responses import Response
from fastapi.routing import iter_route_contexts
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from kovra.foundation import errors
from kovra.foundation.errors import FieldError, KovraError
from kovra.foundation.observability import logger


class HeadersTooLarge(KovraError):
    """The headers together are beyond the limit."""

    code = "headers_too_large"


class TargetTooLong(KovraError):
    """The request target, path and query, is beyond the limit."""

    code = "target_too_long"


class TooSlow(KovraError):
    """The body did not arrive in time."""

    code = "request_timeout"
    retryable = True


class UnsupportedMedia(KovraError):
    """The body is of a type, or in an encoding, that is not read here."""

    code = "unsupported_media_type"


class NotAcceptable(KovraError):
    """None of the types the caller accepts is offered."""

    code = "not_acceptable"


STATUSES: Final[tuple[tuple[type[KovraError], int, str], ...]] = (
    (errors.Invalid, 422, "A field is wrong"),
    (errors.Malformed, 400, "The request cannot be read"),
    (errors.Unauthenticated, 401, "A valid credential is needed"),
    (errors.Forbidden, 403, "Not allowed"),
    (errors.NotFound, 404, "Not found"),
    (errors.PreconditionFailed, 412, "Changed meanwhile"),
    (errors.PreconditionRequired, 428, "If-Match is needed"),
    (errors.TooLarge, 413, "Too large"),
    (errors.QuotaExceeded, 403, "Not included in the plan"),
    (errors.RateLimited, 429, "Too many requests"),
    (errors.Unavailable, 503, "Temporarily unavailable"),
    (errors.Gone, 410, "Gone"),
    (errors.Conflict, 409, "Conflict"),
    (errors.Permanent, 409, "Conflict"),
    (HeadersTooLarge, 431, "Headers too large"),
    (TargetTooLong, 414, "Address too long"),
    (TooSlow, 408, "Too slow"),
    (UnsupportedMedia, 415, "Unsupported media type"),
    (NotAcceptable, 406, "Not acceptable"),
)
TITLES: Final = {status: title for _, status, title in reversed(STATUSES)} | {
    403: "Not allowed",
    405: "Method not allowed",
    409: "Conflict",
}
"""The title of every status a problem has."""
_RAISED: Final = {404: "not_found", 405: "method_not_allowed"}
"""What the router itself raises."""
_SAID: Final = frozenset({"missing_permission", "granted_by", "role", "limit_bytes"})
"""Facts of an error that belong at the top level of its problem; everything else goes under ``facts``."""


class Problem(Response):
    """An ``application/problem+json`` answer."""

    media_type = "application/problem+json"


def status_of(error: KovraError) -> tuple[int, str]:
    """The HTTP status and title of one of our errors."""
    for kind, status, title in STATUSES:
        if isinstance(error, kind):
            return status, title
    return 500, "Something went wrong"


def problem(status: int, title: str, code: str, **members: Any) -> Problem:
    """Build the answer; members with no value are left out."""
    body = {"type": f"/docs/problems/{code}", "title": title, "status": status, "code": code}
    body |= {k: v for k, v in members.items() if v is not None and v != []}
    body.setdefault("retryable", status in (429, 503))
    response = Problem(to_json(body), status_code=status)
    response.headers["Cache-Control"] = "no-store"
    return response


def from_error(error: KovraError, request_id: str) -> Problem:
    """One of our errors as a problem."""
    status, title = status_of(error)
    said = {k: v for k, v in error.facts.items() if k in _SAID}
    more = {k: v for k, v in error.facts.items() if k not in _SAID}
    response = problem(
        status,
        title,
        error.error_code,
        detail=error.message,
        hint=error.hint,
        request_id=request_id,
        retryable=error.retryable,
        errors=[{"pointer": f.pointer, "code": f.code, "message": f.message} for f in error.fields],
        facts=more or None,
        **said,
    )
    if isinstance(error, errors.RateLimited | errors.Unavailable):
        response.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="kovra"'
    return response


_KINDS: Final = {
    "missing": ("missing", "This field is needed."),
    "extra_forbidden": ("unknown_field", "There is no such field."),
    "json_invalid": ("malformed", "The body is not valid JSON."),
}


def _field(error: dict[str, Any], body: Any) -> FieldError:
    place, *path = error["loc"]
    pointer = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in _real(path, error, body))
    if place != "body":
        pointer = f"{place}:{'.'.join(str(p) for p in path)}"
    kind = str(error["type"])
    context = error.get("ctx") or {}
    if isinstance(context.get("error"), KovraError):
        ours: KovraError = context["error"]
        return FieldError(pointer=pointer, code=ours.error_code, message=ours.message)
    code, message = _KINDS.get(kind, (kind, _sentence(str(error["msg"]))))
    return FieldError(pointer=pointer[:200], code=code, message=message)


def _real(path: list[Any], error: dict[str, Any], body: Any) -> list[Any]:
    """The steps that lead somewhere in the body: pydantic adds names of its own for keys and for members of a union."""
    real: list[Any] = []
    for part in path:
        if (isinstance(body, dict) and part in body) or (
            isinstance(body, list) and isinstance(part, int) and part < len(body)
        ):
            body = body[part]
        else:
            return [*real, part] if error["type"] == "missing" else real
        real.append(part)
    return real


def _sentence(message: str) -> str:
    """Pydantic's message: it names rules and limits, never the input (checked by a test with canaries)."""
    return message.removeprefix("Value error, ")[:300]


def from_validation(raised: RequestValidationError, request_id: str) -> Problem:
    """A request that does not fit its schema: 400 for what cannot be read, 422 for fields, without the input."""
    found = raised.errors()
    if any(e["type"] == "json_invalid" for e in found):
        return problem(
            400, "The request cannot be read", "malformed", detail="The body is not valid JSON.", request_id=request_id
        )
    fields = _distinct(_field(e, raised.body) for e in found[:50])
    listed = [{"pointer": f.pointer, "code": f.code, "message": f.message} for f in fields]
    in_path = [e for e in found if e["loc"][0] == "path"]
    if in_path:
        return problem(404, "Not found", "not_found", detail="Not found.", request_id=request_id)
    unknown = [e for e in found if e["loc"][0] == "query" and e["type"] == "extra_forbidden"]
    status, title, code = (
        (400, "The request cannot be read", "unknown_parameter") if unknown else (422, "A field is wrong", "invalid")
    )
    detail = f"{fields[0].pointer or 'The body'}: {fields[0].message}"
    return problem(status, title, code, detail=detail, request_id=request_id, errors=listed)


def _allowed(request: Request) -> list[str]:
    """Every method this path answers to (RFC 9110 §15.5.6); the router itself would name those of the first route only."""
    found: set[str] = set()
    for context in iter_route_contexts(request.app.routes):
        methods = getattr(context.original_route, "methods", None)
        if methods and compile_path(str(context.path))[0].match(request.scope["path"]):
            found |= methods
    return sorted(found)


def _distinct(fields: Iterable[FieldError]) -> list[FieldError]:
    """One word for each place: of a union every member complains, and the first says enough."""
    kept: dict[str, FieldError] = {}
    for field in fields:
        kept.setdefault(field.pointer, field)
    return list(kept.values())


def request_id_of(request: Request) -> str:
    """The request's id, as the middleware chose it."""
    return str(request.scope.get("kovra.request_id", ""))


def install(app: FastAPI) -> None:
    """Register the handlers; the middleware answers what nobody foresaw."""

    async def ours(request: Request, raised: Exception) -> Response:
        assert isinstance(raised, KovraError)
        return from_error(raised, request_id_of(request))

    async def validation(request: Request, raised: Exception) -> Response:
        assert isinstance(raised, RequestValidationError)
        return from_validation(raised, request_id_of(request))

    async def http(request: Request, raised: Exception) -> Response:
        assert isinstance(raised, HTTPException)
        code, title = _RAISED.get(raised.status_code, "malformed"), TITLES.get(raised.status_code, TITLES[400])
        answer = problem(raised.status_code, title, code, detail=f"{title}.", request_id=request_id_of(request))
        if raised.status_code == 405:
            answer.headers["Allow"] = ", ".join(_allowed(request))
        return answer

    async def shape(request: Request, raised: Exception) -> Response:
        assert isinstance(raised, ResponseValidationError)
        # Places only: the values of an answer may be a tenant's data.
        logger.error("answer_does_not_fit_its_schema", places=[str(e["loc"]) for e in raised.errors()[:5]])
        return problem(
            500, "Something went wrong", "internal", detail="Something went wrong.", request_id=request_id_of(request)
        )

    app.add_exception_handler(KovraError, ours)
    app.add_exception_handler(RequestValidationError, validation)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(ResponseValidationError, shape)
