"""An example for every body, made from the schemas: their own examples, and values by the name of a property."""

from __future__ import annotations

from typing import Any, Final

_BY_NAME: Final[dict[str, Any]] = {
    "access_token": "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIuLi4ifQ.c2lnbmF0dXJl",
    "actor": "usr_01jdqjwz00fay8vvr14d2pf2db",
    "apps_domain": "apps.example.test",
    "cannot_restore": [],
    "by": "usr_01jdqjwz00fay8vvr14d2pf2db",
    "code": "crash_loop",
    "creator": "Ada",
    "current": "correct horse battery staple",
    "description": "The shop and what belongs to it.",
    "digest": "sha256:" + "0" * 64,
    "email": "ada@example.test",
    "environment": "production",
    "hash": "0" * 64,
    "health": "stable",
    "hint": "Look at the log.",
    "image": "registry.test/kovra/ok:1",
    "ip": "192.0.2.1",
    "key": "GREETING",
    "message": "First release",
    "name": "Web",
    "new": "a better horse battery staple",
    "object": "object",
    "origin": "api",
    "password": "correct horse battery staple",
    "line": "listening on :8080",
    "organization": "example",
    "payload": {"slug": "web"},
    "permissions": ["apps:read"],
    "phase": "queued",
    "pod": "web-7d4b9c6f5-x2x8k",
    "plan": "free",
    "process": "web",
    "processes": {"web": {"port": 8080, "instances": 1, "size": "nano"}},
    "project": "shop",
    "purpose": "config",
    "reasons": [],
    "refresh_token": "kvr_rt_example",
    "region": "us-east-1",
    "scale": {"web": 2},
    "secrets": {"DATABASE_URL": 1},
    "slug": "shop",
    "source": {"kind": "image", "image": "registry.test/kovra/ok:1"},
    "state": "primary",
    "status": "ok",
    "subject": "app_01jdqjwz00fay8vvr14d2pf2db",
    "ticket": "kvr_tix_example",
    "token": "kvr_api_example",
    "trigger": "api",
    "type": "app.created",
    "url": "https://web-production-vr14d2pf.apps.example.test",
    "user_agent": "curl/8.5.0",
    "vars": {"GREETING": "hello"},
    "version": "0.1.0",
    "warnings": [],
    "evidence": [],
    "phases": [],
}
"""For properties whose schema says nothing better. Hosts are of the reserved domain `test`, tokens open nothing."""


MISSING: Final = "?"
"""Where a schema says nothing and the name is not known; the law that reads the document names the place."""


def example(schema: dict[str, Any], components: dict[str, Any], *, request: bool = False, name: str = "") -> Any:
    """A value that fits the schema; of a request's optional properties only those that have examples of their own."""
    if schema.get("examples"):
        return schema["examples"][0]
    for keyword in ("const", "example"):
        if keyword in schema:
            return schema[keyword]
    if "$ref" in schema:
        return example(components[schema["$ref"].rsplit("/", 1)[1]], components, request=request, name=name)
    for keyword in ("anyOf", "oneOf", "allOf"):
        if keyword in schema:
            members = schema[keyword]
            nullable = any(m.get("type") == "null" for m in members)
            return None if nullable else example(members[0], components, request=request, name=name)
    if schema.get("default") is not None:
        return schema["default"]
    return _plain(schema, components, request, name)


def _plain(schema: dict[str, Any], components: dict[str, Any], request: bool, name: str) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return _object(schema, components, request, name)
        case "array":
            known = _BY_NAME.get(name)
            items = [example(schema["items"], components, request=request, name=name)]
            return known if isinstance(known, list) else items
        case "string":
            return _text(schema, name)
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return False
        case "null":
            return None
    return MISSING


def _text(schema: dict[str, Any], name: str) -> str:
    known = _BY_NAME.get(name)
    return known if isinstance(known, str) else MISSING


def _object(schema: dict[str, Any], components: dict[str, Any], request: bool, name: str) -> dict[str, Any]:
    if "properties" not in schema and isinstance(_BY_NAME.get(name), dict):
        return dict(_BY_NAME[name])
    required = set(schema.get("required", ()))
    found = {}
    for key, inner in schema.get("properties", {}).items():
        if key not in required and (not inner.get("examples") if request else _embedded(inner)):
            continue
        found[key] = example(inner, components, request=request, name=key)
    return found


def _embedded(schema: dict[str, Any]) -> bool:
    """Parents are there only when they were asked for."""
    return bool(schema.get("x-embedded"))
