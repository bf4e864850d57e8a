"""Label and field selectors."""

from __future__ import annotations

import re
from typing import Any, Final

from kovra.adapters.cluster.simulator.kinds import ApiError

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
    raise ApiError(400, "BadRequest", f"unable to parse requirement: {term[:100]}")


def fields_match(document: dict[str, Any], selector: str) -> bool:
    """``metadata.name=x,status.phase!=Running``."""
    for term in _terms(selector):
        found = _EQUAL.match(term)
        if found is None:
            raise ApiError(400, "BadRequest", f"invalid field selector: {term[:100]}")
        value: Any = document
        for part in found["key"].split("."):
            value = value.get(part) if isinstance(value, dict) else None
        same = str(value or "") == found["value"]
        if same == (found["op"] == "!="):
            return False
    return True
