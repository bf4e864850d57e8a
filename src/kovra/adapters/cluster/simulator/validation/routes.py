"""What is wrong with an HTTPRoute, by the Gateway API's specification (v1, standard channel).

Which fields there are and what they hold is the table of shapes' part; here stand what is needed, the bounds, and the
rules between fields. Kubernetes' published schemas know nothing of custom resources, so manifests are checked by this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from kovra.adapters.cluster.simulator.objects.decoding import UNCHECKED
from kovra.adapters.cluster.simulator.objects.shapes import Shape, shape_of
from kovra.adapters.cluster.simulator.validation.words import shown

Object = dict[str, Any]
_SUBDOMAIN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_LABEL: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_HOST: Final = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_GROUP: Final = rf"^$|{_SUBDOMAIN}"
_KIND: Final = r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"
_HEADER: Final = r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$"
_DURATION: Final = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"
_PATH: Final = r"^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$"
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
_FILTERS: Final = {
    "RequestHeaderModifier": "requestHeaderModifier", "ResponseHeaderModifier": "responseHeaderModifier",
    "RequestMirror": "requestMirror", "RequestRedirect": "requestRedirect", "URLRewrite": "urlRewrite",
    "ExtensionRef": "extensionRef",
}  # fmt: skip
_FORBIDDEN_IN_PATHS: Final = ("//", "/./", "/../", "%2f", "%2F", "#")


def http_route(document: Object) -> Iterator[str]:
    """Everything that is wrong, as ``field: Reason: message``. Rules between fields are looked at only where no field is
    missing, too long, too many or of another kind.
    """
    found = list(_wrong(document))
    blocking = [why for why in found if why.partition(": ")[2].startswith(_BLOCKING)]
    if not blocking:
        yield from found
        return
    yield from [why for why in found if why in blocking or " in body " in why]
    yield UNCHECKED


_BLOCKING: Final = ("Required value", "Too ", "Unsupported value")


def _wrong(document: Object) -> Iterator[str]:
    yield from _missing(document, shape_of("HTTPRoute"), "")
    spec = document.get("spec") or {}
    yield from _count("spec.hostnames", spec.get("hostnames", []), 16)
    for index, host in enumerate(spec.get("hostnames", [])):
        yield from _text(f"spec.hostnames[{index}]", host, _HOST, 253)
    yield from _parents(spec.get("parentRefs", []))
    yield from _count("spec.rules", spec.get("rules", []), 16)
    for index, rule in enumerate(spec.get("rules", [])):
        yield from _rule(f"spec.rules[{index}]", rule)
    if sum(len(rule.get("matches", [])) for rule in spec.get("rules", [])) > 128:
        yield (
            "spec.rules: Invalid value: While 16 rules and 64 matches per rule are allowed, the total number of "
            "matches across all rules in a route must be less than 128"
        )


def _missing(value: Any, shape: Shape, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name in shape.needs:
            if shape.custom and name not in value:
                yield f"{path}.{name}".lstrip(".") + ": Required value"
        for name, inner in value.items():
            yield from _missing(inner, shape.below(name), f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _missing(item, shape.item or shape, f"{path}[{index}]")


def _count(field: str, items: list[Any], most: int) -> Iterator[str]:
    if len(items) > most:
        yield f"{field}: Too many: {len(items)}: must have at most {most} items"


def _text(field: str, value: Any, pattern: str, most: int, *, least: int = 1) -> Iterator[str]:
    if value is None:
        return
    text = str(value)
    if len(text) > most:
        yield f"{field}: Too long: may not be more than {most} bytes"
    if len(text) < least:
        yield f"{field}: Invalid value: {shown(text)}: {field} in body should be at least {least} chars long"
    if not re.search(pattern, text):
        yield f"{field}: Invalid value: {shown(text)}: {field} in body should match '{pattern}'"


def _number(field: str, value: Any, low: int, high: int) -> Iterator[str]:
    if value is None:
        return
    if value < low:
        yield f"{field}: Invalid value: {value}: {field} in body should be greater than or equal to {low}"
    if value > high:
        yield f"{field}: Invalid value: {value}: {field} in body should be less than or equal to {high}"


def _word(field: str, value: Any, known: tuple[str, ...]) -> Iterator[str]:
    if value is not None and value not in known:
        yield f"{field}: Unsupported value: {shown(value)}: supported values: {', '.join(shown(k) for k in known)}"


def _parents(parents: list[Object]) -> Iterator[str]:
    yield from _count("spec.parentRefs", parents, 32)
    seen: dict[tuple[str, ...], set[str]] = {}
    for index, parent in enumerate(parents):
        field = f"spec.parentRefs[{index}]"
        yield from _reference(field, parent)
        yield from _text(f"{field}.sectionName", parent.get("sectionName"), _SUBDOMAIN, 253)
        key = tuple(str(parent.get(n, "")) for n in ("group", "kind", "name", "namespace"))
        sections = seen.setdefault(key, set())
        section = str(parent.get("sectionName", ""))
        if sections and ("" in sections) != (section == ""):
            yield (
                "spec.parentRefs: Invalid value: sectionName must be specified when parentRefs includes 2 or "
                "more references to the same parent"
            )
        if section in sections:
            yield (
                "spec.parentRefs: Invalid value: sectionName must be unique when parentRefs includes 2 or more "
                "references to the same parent"
            )
        sections.add(section)


def _reference(field: str, reference: Object) -> Iterator[str]:
    yield from _text(f"{field}.group", reference.get("group"), _GROUP, 253, least=0)
    yield from _text(f"{field}.kind", reference.get("kind"), _KIND, 63)
    yield from _text(f"{field}.name", reference.get("name"), "", 253)
    yield from _text(f"{field}.namespace", reference.get("namespace"), _LABEL, 63)
    yield from _number(f"{field}.port", reference.get("port"), 1, 65535)


def _rule(field: str, rule: Object) -> Iterator[str]:
    yield from _text(f"{field}.name", rule.get("name"), _SUBDOMAIN, 253)
    yield from _count(f"{field}.matches", rule.get("matches", []), 64)
    for index, match in enumerate(rule.get("matches", [])):
        yield from _match(f"{field}.matches[{index}]", match)
    yield from _filters(field, rule)
    yield from _count(f"{field}.backendRefs", rule.get("backendRefs", []), 16)
    for index, backend in enumerate(rule.get("backendRefs", [])):
        here = f"{field}.backendRefs[{index}]"
        yield from _reference(here, backend)
        yield from _number(f"{here}.weight", backend.get("weight"), 0, 1_000_000)
        yield from _filters(here, backend)
        if not backend.get("group") and backend.get("kind", "Service") == "Service" and "port" not in backend:
            yield f"{here}: Invalid value: Must have port for Service reference"
    for name in ("request", "backendRequest"):
        value = (rule.get("timeouts") or {}).get(name)
        yield from _text(f"{field}.timeouts.{name}", value, _DURATION, 64)


def _match(field: str, match: Object) -> Iterator[str]:
    path = match.get("path") or {}
    kind, value = path.get("type", "PathPrefix"), str(path.get("value", "/"))
    yield from _word(f"{field}.path.type", kind, ("Exact", "PathPrefix", "RegularExpression"))
    yield from _text(f"{field}.path.value", value, "", 1024, least=0)
    if kind in ("Exact", "PathPrefix"):
        for wrong in _path(value):
            yield f"{field}.path: Invalid value: {wrong}"
    yield from _word(f"{field}.method", match.get("method"), _METHODS)
    for part, most in (("headers", 4096), ("queryParams", 1024)):
        yield from _count(f"{field}.{part}", match.get(part, []), 16)
        for index, entry in enumerate(match.get(part, [])):
            here = f"{field}.{part}[{index}]"
            yield from _text(f"{here}.name", entry.get("name"), _HEADER, 256)
            yield from _text(f"{here}.value", entry.get("value"), "", most)
            yield from _word(f"{here}.type", entry.get("type"), ("Exact", "RegularExpression"))


def _path(value: str) -> Iterator[str]:
    about = "when type one of ['Exact', 'PathPrefix']"
    if not value.startswith("/"):
        yield f"value must be an absolute path and start with '/' {about}"
    for part in _FORBIDDEN_IN_PATHS:
        if part in value:
            yield f"must not contain '{part}' {about}"
    for end in ("/..", "/."):
        if value.endswith(end):
            yield f"must not end with '{end}' {about}"
    if not re.search(_PATH, value):
        yield f"must only contain valid characters (matching {_PATH}) for types ['Exact', 'PathPrefix']"


def _filters(field: str, holder: Object) -> Iterator[str]:
    filters = holder.get("filters", [])
    yield from _count(f"{field}.filters", filters, 16)
    kinds = [f.get("type") for f in filters]
    for index, each in enumerate(filters):
        here = f"{field}.filters[{index}]"
        yield from _word(f"{here}.type", each.get("type"), tuple(_FILTERS))
        for kind, name in _FILTERS.items():
            if name in each and each.get("type") != kind:
                yield f"{here}: Invalid value: filter.{name} must be nil if the filter.type is not {kind}"
            if name not in each and each.get("type") == kind:
                yield f"{here}: Invalid value: filter.{name} must be specified for {kind} filter.type"
    for kind in ("RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite"):
        if kinds.count(kind) > 1:
            yield f"{field}.filters: Invalid value: {kind} filter cannot be repeated"
    if "RequestRedirect" in kinds and holder.get("backendRefs"):
        yield f"{field}: Invalid value: RequestRedirect filter must not be used together with backendRefs"
