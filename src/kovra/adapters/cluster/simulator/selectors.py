"""Label and field selectors."""

from __future__ import annotations

import re
from typing import Any, Final

from kovra.adapters.cluster.simulator.kinds import ApiError, Kind

_SET: Final = re.compile(r"^(?P<key>[^\s,!=()]+)\s+(?P<op>in|notin)\s+\((?P<values>[^)]*)\)$")
_EQUAL: Final = re.compile(r"^(?P<key>[^\s,!=()]+)\s*(?P<op>==|=|!=)\s*(?P<value>[^\s,()]*)$")


def _terms(selector: str) -> list[str]:
    """Split at commas that are not inside parentheses."""
    return [t.strip() for t in re.split(r",(?![^(]*\))", selector) if t.strip()]


def labels_match(document: dict[str, Any], selector: str) -> bool:
    """Equality and set-based requirements, all of them."""
    labels = document["metadata"].get("labels") or {}
    return all(_label(labels, term) for term in _terms(selector))


def _label(labels: dict[str, str], term: str) -> bool:
    by_set, equal = _SET.match(term), _EQUAL.match(term)
    if by_set:
        inside = labels.get(by_set["key"]) in {v.strip() for v in by_set["values"].split(",")}
        return inside if by_set["op"] == "in" else not inside
    if equal:
        same = labels.get(equal["key"]) == equal["value"]
        return not same if equal["op"] == "!=" else same
    if term.startswith("!"):
        return term[1:].strip() not in labels
    if re.fullmatch(r"[A-Za-z0-9._/-]+", term):
        return term in labels
    if term.endswith("("):
        raise ApiError(400, "BadRequest", "unable to parse requirement: found '', expected: ',', ')' or identifier")
    raise ApiError(400, "BadRequest", f"unable to parse requirement: {term[:100]}")


_KNOWN: Final[dict[str, tuple[str, ...]]] = {
    "Pod": (
        "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
        "status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName",
    ),
    "Event": (
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
        "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
        "reportingComponent", "source", "type",
    ),
    "Namespace": ("status.phase",),
    "Secret": ("type",),
    "Service": ("spec.clusterIP", "spec.type"),
    "ReplicaSet": ("status.replicas",),
    "Job": ("status.successful",),
}  # fmt: skip


def check_selectors(kind: Kind, labels: str, fields: str) -> None:
    """Selectors are refused whether there is anything to select or not."""
    labels_match({"metadata": {}}, labels)
    fields_match(kind, {}, fields)


def fields_match(kind: Kind, document: dict[str, Any], selector: str) -> bool:
    """``metadata.name=x,status.phase!=Running``; fields that cannot be selected by are a 400."""
    for term in _terms(selector):
        found = _EQUAL.match(term)
        if found is None:
            raise ApiError(400, "BadRequest", f"invalid selector: '{term[:100]}'; can't understand '{term[:100]}'")
        _check_field(kind, found["key"])
        value: Any = document
        for part in found["key"].split("."):
            value = value.get(part) if isinstance(value, dict) else None
        same = str(value or "") == found["value"]
        if same == (found["op"] == "!="):
            return False
    return True


def _check_field(kind: Kind, key: str) -> None:
    if key in ("metadata.name", "metadata.namespace") or key in _KNOWN.get(kind.kind, ()):
        return
    if kind.kind in _KNOWN:
        raise ApiError(400, "BadRequest", f"field label not supported: {key}")
    only = '"metadata.name"' + (', "metadata.namespace"' if kind.namespaced else "")
    raise ApiError(400, "BadRequest", f'"{key}" is not a known field selector: only {only}')


def selected(labels: dict[str, str], selector: dict[str, Any]) -> bool:
    """Whether labels match a LabelSelector object; an empty one matches everything."""
    if any(labels.get(k) != v for k, v in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_expression(labels, e) for e in selector.get("matchExpressions") or [])


def _expression(labels: dict[str, str], expression: dict[str, Any]) -> bool:
    key, values = expression.get("key", ""), expression.get("values") or []
    match expression.get("operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
    return key not in labels
