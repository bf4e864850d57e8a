"""Reading requests: bodies, and the options of the query."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml
from aiohttp import web

from kovra.adapters.cluster.simulator.kinds import KINDS, ApiError, Kind, bad_request, invalid_options
from kovra.adapters.cluster.simulator.objects.decoding import decoded
from kovra.adapters.cluster.simulator.selectors import check_selectors, fields_match, labels_match
from kovra.adapters.cluster.simulator.store import Object
from kovra.adapters.cluster.simulator.writer import Options

_BODIES = ("application/json", "application/yaml", "")


async def body_of(request: web.Request) -> Any:
    """The body, of the form its content type asks for; 400 or 415."""
    content = request.headers.get("Content-Type", "").partition(";")[0].strip()
    patch = content.endswith(("patch+json", "patch+yaml"))
    if not patch and content not in _BODIES:
        raise ApiError(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: application/json, "
            "application/yaml, application/vnd.kubernetes.protobuf",
        )
    raw = await request.read()
    try:
        body = yaml.safe_load(raw) if content.endswith("yaml") and raw[:1] != b"{" else json.loads(raw)
    except (ValueError, yaml.YAMLError, RecursionError):
        raise bad_request("the body cannot be read") from None
    if not isinstance(body, list if content.endswith("json-patch+json") else dict):
        raise bad_request("the body is not of the form its content type asks for")
    return body


async def options_of(request: web.Request) -> Object:
    """DeleteOptions, which may be left out; the query says the same."""
    body: Object = await body_of(request) if request.can_read_body else {}
    if "propagationPolicy" in request.query:
        body["propagationPolicy"] = request.query["propagationPolicy"]
    if "gracePeriodSeconds" in request.query:
        body["gracePeriodSeconds"] = number(request, "gracePeriodSeconds")
    return body


def write_options(request: web.Request, subresource: str = "", *, applies: bool = False) -> Options:
    """How a write is meant; 400 or 422."""
    manager = request.query.get("fieldManager", "")
    if not manager and applies:
        raise invalid_options("Patch", "fieldManager: Required value: is required for apply patch")
    if len(manager) > 128:
        raise invalid_options("Patch", "fieldManager: Too long: may not be more than 128 bytes")
    if not manager:
        manager = request.headers.get("User-Agent", "").partition("/")[0][:128] or "unknown"
    return Options(
        manager=manager,
        dry_run=dry_run(request),
        force=request.query.get("force") in ("true", "1"),
        subresource=subresource,
    )


def dry_run(request: web.Request) -> bool:
    """Whether nothing is to be kept."""
    given = request.query.get("dryRun")
    if given not in (None, "", "All"):
        verb = {"POST": "Create", "PUT": "Update", "DELETE": "Delete"}.get(request.method, "Patch")
        raise invalid_options(verb, f'dryRun: Unsupported value: ["{given}"]: supported values: "All"')
    return given == "All"


def checked(request: web.Request, kind: Kind, document: Object) -> tuple[Object, list[str]]:
    """The decoded object, and warnings about fields nobody knows; with ``fieldValidation=Strict`` they are a 400."""
    given = (document.get("apiVersion"), document.get("kind"))
    if given[1] not in (None, kind.kind) or given[0] not in (None, kind.api_version):
        group, _, version = str(given[0] or kind.api_version).rpartition("/")
        why = f'no kind "{given[1]}" is registered for version "{given[0] or kind.api_version}" in scheme "pkg/runtime/scheme.go:111"'
        if any((k.kind, k.group, k.version) == (given[1], group, version) for k in KINDS):
            inner = kind.group.partition(".")[0] or "core"
            why = f"converting ({version}.{given[1]}) to ({inner}.{kind.kind}): unknown conversion"
        raise bad_request(f'{given[1]} in version "{version}" cannot be handled as a {kind.kind}: {why}')
    made, unknown = decoded(kind, document)
    made.setdefault("metadata", {})
    if not unknown or request.query.get("fieldValidation") == "Ignore":
        return made, []
    fields = [f'unknown field "{field}"' for field in unknown]
    if request.query.get("fieldValidation") == "Strict":
        raise bad_request(
            f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: strict decoding error: '
            + ", ".join(fields)
        )
    return made, fields


def matches(kind: Kind, request: web.Request, item: Object) -> bool:
    """Whether an object is of those that a request selects."""
    labels, fields = request.query.get("labelSelector", ""), request.query.get("fieldSelector", "")
    return labels_match(item, labels) and fields_match(kind, item, fields)


def check_selected(kind: Kind, request: web.Request) -> None:
    """400 for selectors that are none."""
    check_selectors(kind, request.query.get("labelSelector", ""), request.query.get("fieldSelector", ""))


def number(request: web.Request, name: str) -> int:
    """A number of the query, 0 when it is not there; 400 when it is none."""
    return as_number(request.query.get(name) or "0")


def as_number(given: str) -> int:
    """A number; 400 when it is none."""
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", given):
        raise bad_request(f'strconv.ParseInt: parsing "{given}": invalid syntax')
    return int(given)


def partial(request: web.Request) -> bool:
    """Whether only the metadata of objects is wanted."""
    return "as=PartialObjectMetadata" in request.headers.get("Accept", "")


def as_partial(document: Mapping[str, Any]) -> Object:
    """An object's metadata alone."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": document["metadata"]}
