"""The OpenAPI document: permissions, problems and security added to what the routes say."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from kovra.foundation.web.guard import GuardedRoute, guarded_routes

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "examples": ["/docs/problems/not_found"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "examples": ["not_found"]},
        "request_id": {"type": "string"},
        "retryable": {"type": "boolean"},
        "hint": {"type": "string"},
        "missing_permission": {"type": "string"},
        "granted_by": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "message"],
                "properties": {
                    "pointer": {"type": "string", "examples": ["/processes/web/port"]},
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                },
            },
        },
    },
}
_ANSWERS = {
    "400": "The request cannot be read.",
    "401": "No, bad or ended credential.",
    "403": "A permission is missing.",
    "404": "Absent, or another organization's.",
    "409": "The present state does not allow it.",
    "413": "The body is too large.",
    "422": "A field is wrong.",
    "429": "Too many requests.",
    "503": "A dependency is away; see Retry-After.",
}


def install(app: FastAPI) -> None:
    """Replace the app's generator; the document is made once."""

    def generate() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = generate  # type: ignore[method-assign]  # FastAPI's documented way


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        routes=app.routes,
        servers=[{"url": "/"}],
    )
    components = document.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = _PROBLEM
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "An access token of a login, or an api token."}
    }
    for guarded in guarded_routes(app.routes):
        for method in guarded.methods:
            operation = document["paths"].get(guarded.path, {}).get(method.lower())
            if operation is not None:
                _complete(operation, guarded, method)
    return document


def _complete(operation: dict[str, Any], guarded: GuardedRoute, method: str) -> None:
    policy = guarded.policy
    if policy.public:
        operation["x-public"] = policy.public
        operation["security"] = []
    else:
        operation["security"] = [{"bearer": []}]
        if policy.permission:
            operation["x-permission"] = policy.permission.value
    responses = operation["responses"]
    for status, meaning in _ANSWERS.items():
        if status in _expected(guarded, method):
            responses[status] = {
                "description": meaning,
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            }
        elif status == "422":
            responses.pop(status, None)


def _expected(guarded: GuardedRoute, method: str) -> set[str]:
    found = {"400", "429", "503", "413"}
    if not guarded.policy.public or guarded.path.startswith("/v1/auth"):
        found |= {"401"}
    if guarded.policy.permission:
        found |= {"403"}
    if "{" in guarded.path:
        found |= {"404"}
    if method in ("POST", "PUT", "PATCH", "DELETE"):
        found |= {"409", "422"}
    if method == "GET":
        found |= {"422"}
    return found
