"""Patches that are no applies: strategic and JSON merge patches, JSON patch; pure."""

from __future__ import annotations

import copy
from typing import Any

from kovra.adapters.cluster.simulator.kinds import ApiError
from kovra.adapters.cluster.simulator.objects.shapes import ANY, Shape


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def strategic_patch(target: Any, patch: dict[str, Any], shape: Shape) -> Any:
    """A merge patch that merges lists by the keys of their shape; ``$patch`` replaces or deletes."""
    if patch.get("$patch") == "replace":
        return {k: copy.deepcopy(v) for k, v in patch.items() if k != "$patch"}
    result: dict[str, Any] = copy.deepcopy(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        inner = shape.below(name)
        if name.startswith("$"):
            _directive(result, name, value, shape)
        elif value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            result[name] = strategic_patch(result.get(name), value, inner)
        elif isinstance(value, list) and inner.patch is not None:
            result[name] = _patched_list(result.get(name) or [], value, inner)
        else:
            result[name] = copy.deepcopy(value)
    return result


def _directive(result: dict[str, Any], name: str, value: Any, shape: Shape) -> None:
    """``$retainKeys`` and ``$deleteFromPrimitiveList/…``; the order of lists is not kept."""
    if name == "$retainKeys":
        for other in [k for k in result if k not in value]:
            del result[other]
    elif name.startswith("$deleteFromPrimitiveList/"):
        field = name.partition("/")[2]
        result[field] = [v for v in result.get(field) or [] if v not in value]


def _patched_list(present: list[Any], patch: list[Any], shape: Shape) -> list[Any]:
    if not shape.patch:
        return [*present, *(v for v in patch if v not in present)]
    if any(isinstance(i, dict) and i.get("$patch") == "replace" for i in patch):
        return [copy.deepcopy(i) for i in patch if "$patch" not in i]
    known = {i.get(shape.patch): i for i in present if isinstance(i, dict)}
    made: dict[Any, Any] = {}
    gone = set()
    for item in patch:
        if not isinstance(item, dict) or shape.patch not in item:
            shown = " ".join(f"{k}:{v}" for k, v in item.items()) if isinstance(item, dict) else str(item)
            raise ApiError(500, "", f"map: map[{shown}] does not contain declared merge key: {shape.patch}")
        key = item[shape.patch]
        if item.get("$patch") == "delete":
            gone.add(key)
        else:
            made[key] = strategic_patch(known.get(key, {}), item, shape.item or ANY)
    rest = [key for key in known if key not in made and key not in gone]
    return [made[k] if k in made else known[k] for k in _ordered(rest, list(made), list(known))]


def _ordered(rest: list[Any], patched: list[Any], before: list[Any]) -> list[Any]:
    """What the patch names stays in its order; what else is there goes before what it was before."""
    order: list[Any] = []
    left, right = list(rest), list(patched)
    while left or right:
        earlier = left and right and right[0] in before and before.index(left[0]) < before.index(right[0])
        order.append(left.pop(0) if left and (earlier or not right) else right.pop(0))
    return order


def json_patch(target: Any, operations: list[dict[str, Any]]) -> Any:
    """RFC 6902."""
    result = copy.deepcopy(target)
    for operation in operations:
        try:
            result = _one(result, operation)
        except _TestFailed as failed:
            raise ApiError(422, "Invalid", str(failed), bare=True) from None
        except (KeyError, IndexError, ValueError, TypeError):
            raise ApiError(
                422, "Invalid", "the server rejected our request due to an error in our request", bare=True
            ) from None
    return result


class _TestFailed(Exception):
    """A ``test`` operation that did not hold."""


def _one(document: Any, operation: dict[str, Any]) -> Any:
    kind, parts = operation["op"], _pointer(operation["path"])
    if kind == "test":
        if _at(document, parts) != operation["value"]:
            raise _TestFailed("the server rejected our request due to an error in our request")
        return document
    if kind in ("move", "copy"):
        source = _pointer(operation["from"])
        value = copy.deepcopy(_at(document, source))
        if kind == "move":
            document = _one(document, {"op": "remove", "path": operation["from"]})
        return _one(document, {"op": "add", "path": operation["path"], "value": value})
    if kind not in ("add", "replace", "remove"):
        raise ValueError("unknown operation")
    if not parts:
        return operation["value"]
    parent, last = _at(document, parts[:-1]), parts[-1]
    if kind == "remove":
        del parent[int(last) if isinstance(parent, list) else last]
    elif isinstance(parent, list):
        _put(parent, last, operation["value"], insert=kind == "add")
    else:
        parent[last] = operation["value"]
    return document


def _put(parent: list[Any], last: str, value: Any, *, insert: bool) -> None:
    if not insert:
        parent[int(last)] = value
    elif last == "-":
        parent.append(value)
    elif int(last) > len(parent):
        raise IndexError(last)
    else:
        parent.insert(int(last), value)


def _pointer(path: Any) -> list[str]:
    """RFC 6901."""
    return [p.replace("~1", "/").replace("~0", "~") for p in str(path).split("/")[1:]]


def _at(document: Any, parts: list[str]) -> Any:
    for part in parts:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document
