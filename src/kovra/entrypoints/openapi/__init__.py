"""The OpenAPI document: what the routes say, completed by permissions, refusals, headers and examples."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from kovra.entrypoints.openapi.examples import example
from kovra.entrypoints.openapi.fields import explain
from kovra.entrypoints.openapi.refusals import Facts, facts_of, refusals, response
from kovra.foundation.web.guard import GuardedRoute, guarded_routes
from kovra.foundation.web.routes import KovraRoute

_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status", "code", "request_id", "retryable"],
    "properties": {
        "type": {
            "type": "string",
            "description": "Where the code is explained.",
            "examples": ["/docs/problems/not_found"],
        },
        "title": {"type": "string", "description": "What the status means."},
        "status": {"type": "integer", "description": "As the answer's status."},
        "detail": {"type": "string", "description": "What happened, for a person."},
        "code": {"type": "string", "description": "What happened, for a program; stable.", "examples": ["not_found"]},
        "request_id": {"type": "string", "description": "Tell it when you ask for help."},
        "retryable": {"type": "boolean", "description": "Whether the same request may succeed later."},
        "hint": {"type": "string", "description": "What to do next."},
        "missing_permission": {
            "type": "string",
            "description": "What the caller would need.",
            "examples": ["apps:update"],
        },
        "granted_by": {"type": "string", "description": "Which role can grant it.", "examples": ["admin"]},
        "role": {"type": ["string", "null"], "description": "The caller's role."},
        "limit_bytes": {"type": "integer", "description": "The limit that was exceeded."},
        "facts": {"type": "object", "description": "More about this occurrence, by code."},
        "errors": {
            "type": "array",
            "description": "Each field that is wrong.",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "message"],
                "properties": {
                    "pointer": {
                        "type": "string",
                        "description": "RFC 6901 pointer into the body, or `query:<name>`.",
                        "examples": ["/processes/web/port"],
                    },
                    "code": {"type": "string", "description": "What is wrong with it, for a program."},
                    "message": {"type": "string", "description": "The same for a person."},
                },
            },
        },
    },
}
_HEADERS: Final[dict[str, Any]] = {
    "ETag": ("The version of what is shown; send it back as If-Match or If-None-Match.", '"3b9aca00"'),
    "Location": ("Where the object is.", "/v1/deployments/dep_01jdqjwz00fay8vvr14d2pf2db"),
    "Link": ("The next page, as RFC 8288 writes it.", '</v1/apps?cursor=AAAA>; rel="next"'),
    "Retry-After": ("Seconds until another try makes sense.", "1"),
    "X-Request-Id": ("The request's id: the one that was sent, when it was fit, or a new one.", "ci-run-7.deploy"),
    "RateLimit": ("Requests left, and seconds until all are there again.", '"general";r=1199;t=1'),
    "RateLimit-Policy": ("The limit: requests, and over how many seconds.", '"general";q=1200;w=60'),
    "Idempotency-Replayed": ("There, and true, when this is the answer to an earlier request.", "true"),
}
_PARAMETERS: Final[dict[str, Any]] = {
    "IfMatch": ("If-Match", "Change only this version.", r'^(\*|(W/)?"[!#-~]*")$', '"3b9aca00"', 200),
    "IfNoneMatch": (
        "If-None-Match",
        "Answer 304 while this is the version.",
        r'^(\*|(W/)?"[!#-~]*")$',
        '"3b9aca00"',
        200,
    ),
    "IdempotencyKey": (
        "Idempotency-Key",
        "Repeat a request safely: within 24 hours the first answer is given again.",
        r"^[!#-~]+$",
        "ci-run-7",
        255,
    ),
}
_DONE: Final = {
    200: "Done.",
    201: "Made.",
    202: "Accepted; it goes on in the background.",
    204: "Done; there is nothing to say.",
}
_TAGS: Final = {
    "auth": "Sign-up, login, the tokens of a login, and who one is.",
    "organizations": "The organization a credential opens, and its keys.",
    "members": "People of the organization and their roles.",
    "registries": "The organization's credentials for private registries.",
    "clusters": "The organization's own clusters: registered, looked at, and what is wrong with them.",
    "tokens": "Api tokens of the organization.",
    "projects": "Projects group apps and environments.",
    "environments": "Places apps run in.",
    "volumes": "Disks of single instances.",
    "apps": "What can be deployed.",
    "app environments": "An app in an environment.",
    "metrics": "What an app uses, now and over time.",
    "shells": "A command in a running instance.",
    "isolation": "What the cluster has against what was put there, and what keeps environments apart.",
    "change sets": "What a wanted state of an environment would change, and making it so; kovra.yaml.",
    "config": "Config vars: sealed, and readable with the right to.",
    "secrets": "Secrets: sealed for the worker alone; nobody reads them back.",
    "deployments": "Attempts to make a release live.",
    "releases": "What has been live, or could be.",
    "runs": "Commands that run once from a release's image.",
    "cron jobs": "Commands that run again and again, by a schedule.",
    "logs": "What apps say.",
    "events": "The ledger.",
    "platform": "Health, keys, and this description.",
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
        description="Everything is JSON under `/v1`. A credential opens exactly one organization; no path names it.",
        license_info={"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        routes=app.routes,
        servers=[{"url": "/"}],
        tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
    )
    components = document.setdefault("components", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        components.get("schemas", {}).pop(unused, None)
    components.setdefault("schemas", {})["Problem"] = _PROBLEM
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "An access token of a login, or an api token."}
    }
    components["headers"] = {
        name: {"description": text, "schema": {"type": "string"}, "example": shown}
        for name, (text, shown) in _HEADERS.items()
    }
    components["parameters"] = {key: _parameter(*said) for key, said in _PARAMETERS.items()}
    explain(document)
    for guarded in guarded_routes(app.routes):
        for method in guarded.methods:
            operation = document["paths"].get(guarded.path, {}).get(method.lower())
            if operation is not None:
                _complete(operation, guarded, method, components["schemas"])
    return document


def _parameter(name: str, text: str, pattern: str, shown: str, longest: int) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1, "maxLength": longest, "pattern": pattern, "examples": [shown]}
    return {"name": name, "in": "header", "required": False, "description": text, "schema": schema}


def _complete(operation: dict[str, Any], guarded: GuardedRoute, method: str, schemas: dict[str, Any]) -> None:
    policy, facts = guarded.policy, facts_of(guarded, method)
    if policy.public:
        operation["x-public"] = policy.public
        operation["security"] = []
    else:
        operation["security"] = [{"bearer": []}]
        if policy.permission:
            operation["x-permission"] = policy.permission.value
    _ask(operation, facts, guarded, schemas)
    answers = operation["responses"]
    answers.pop("422", None)
    for status, said in answers.items():
        if said["description"] == "Successful Response":  # what FastAPI says where nobody says anything
            said["description"] = _DONE[int(status)]
        _answer(said, int(status), facts, guarded, schemas)
    if _tagged(facts, guarded) and "200" in answers:
        answers["304"] = {"description": "The caller has this version already."}
    for refused, codes in refusals(guarded, method).items():
        answers[str(refused)] = response(refused, codes)
    operation["responses"] = dict(sorted(answers.items()))


def _ask(operation: dict[str, Any], facts: Facts, guarded: GuardedRoute, schemas: dict[str, Any]) -> None:
    wanted = {
        "IdempotencyKey": facts.unsafe and facts.session,
        "IfMatch": facts.checks,
        "IfNoneMatch": _tagged(facts, guarded),
    }
    named = [{"$ref": f"#/components/parameters/{key}"} for key, applies in wanted.items() if applies]
    if named:
        operation["parameters"] = [*operation.get("parameters", ()), *named]
    for media in operation.get("requestBody", {}).get("content", {}).values():
        media["example"] = example(_first(media["schema"]), schemas, request=True)


def _answer(said: dict[str, Any], status: int, facts: Facts, guarded: GuardedRoute, schemas: dict[str, Any]) -> None:
    for kind, media in said.get("content", {}).items():
        if kind == "application/json" and "example" not in media:
            media["example"] = example(_first(media["schema"]), schemas)
    names = ["X-Request-Id", *([] if facts.health else ["RateLimit", "RateLimit-Policy"])]
    if _tagged(facts, guarded) or (facts.tags and status != 202):
        names.append("ETag")
    if facts.lists:
        names.append("Link")
    made = facts.method == "POST" and status in (201, 202)
    begun = facts.method in ("PATCH", "PUT") and status == 202
    if (made or begun) and _has_address(said, schemas):
        names.append("Location")
    if facts.unsafe and facts.session:
        names.append("Idempotency-Replayed")
    said["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _has_address(said: dict[str, Any], schemas: dict[str, Any]) -> bool:
    """Whether what is answered is an object of its own; the organization is one, but no path names it."""
    body = said.get("content", {}).get("application/json", {}).get("schema", {})
    shown = schemas.get(_first(body).get("$ref", "").rsplit("/", 1)[-1], {}).get("properties", {})
    return "id" in shown and shown.get("object", {}).get("const") != "organization"


def _tagged(facts: Facts, guarded: GuardedRoute) -> bool:
    """Whether the answer has an ETag and a caller may ask by it."""
    return facts.method == "GET" and not facts.lists and isinstance(guarded.route, KovraRoute)


def _first(schema: dict[str, Any]) -> dict[str, Any]:
    """Of bodies that may be left out, and answers of several kinds, the first that is something."""
    members = [member for member in schema.get("anyOf", ()) if member.get("type") != "null"]
    return members[0] if members else schema
