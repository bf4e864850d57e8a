"""Pure merging: server-side apply with field ownership, strategic and JSON merge patches, JSON patch.

Lists of objects that have a key (containers by name, ports by number, conditions by type) are merged by it, as the
API's ``x-kubernetes-list-map-keys`` say; every other list is replaced whole.
"""

from __future__ import annotations

import copy
import json
from typing import Any, Final

from kovra.adapters.cluster.simulator.kinds import ApiError

KEYS: Final[dict[str, tuple[str, ...]]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "conditions": ("type",),
    "containerStatuses": ("name",),
    "imagePullSecrets": ("name",),
    "ownerReferences": ("uid",),
}
Path = tuple[Any, ...]


def written(path: Path) -> str:
    """A path as the API server writes it: ``.spec.containers[name="app"].image``."""
    parts = []
    for part in path:
        if isinstance(part, tuple):
            pairs = zip(part[1], part[2], strict=True)
            parts.append("[" + ",".join(f"{k}={json.dumps(v)}" for k, v in pairs) + "]")
        else:
            parts.append(f".{part}")
    return "".join(parts)


def list_keys(field: str, items: Any) -> tuple[str, ...] | None:
    """The keys of a list's items, when it is a keyed one."""
    if not isinstance(items, list) or not items or not all(isinstance(i, dict) for i in items):
        return None
    if field == "ports":
        if all("containerPort" in i for i in items):
            return ("containerPort", "protocol")
        return ("port", "protocol") if all("port" in i for i in items) else None
    keys = KEYS.get(field)
    return keys if keys and all(k in i for i in items for k in keys) else None


def _key(item: dict[str, Any], keys: tuple[str, ...]) -> Path:
    return tuple(item.get(k, "TCP") if k == "protocol" else item[k] for k in keys)


def leaves(value: Any, path: Path = (), field: str = "") -> dict[Path, Any]:
    """Path → value of everything a manager sets; keyed list items appear by their key."""
    if isinstance(value, dict):
        found: dict[Path, Any] = {path: {}} if not value else {}
        for name, inner in value.items():
            found |= leaves(inner, (*path, name), name)
        return found
    keys = list_keys(field, value)
    if keys is not None:
        found = {}
        for item in value:
            found |= leaves(item, (*path, ("#", keys, _key(item, keys))))
        return found
    return {path: value}


def merge(target: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Merge what an applier wants into an object, in place."""
    for name, value in wanted.items():
        present = target.get(name)
        keys = list_keys(name, value)
        if isinstance(value, dict) and isinstance(present, dict):
            merge(present, value)
        elif keys is not None and isinstance(present, list) and (list_keys(name, present) == keys or not present):
            _merge_list(present, value, keys)
        else:
            target[name] = copy.deepcopy(value)


def _merge_list(present: list[Any], wanted: list[Any], keys: tuple[str, ...]) -> None:
    by_key = {_key(item, keys): item for item in present}
    for item in wanted:
        known = by_key.get(_key(item, keys))
        if known is None:
            present.append(copy.deepcopy(item))
        else:
            merge(known, item)


def remove(target: Any, path: Path) -> None:
    """Remove one owned leaf; containers left empty by it go too."""
    if not path:
        return
    head, rest = path[0], path[1:]
    if isinstance(head, tuple):
        _remove_item(target, head[1], head[2], rest)
        return
    if not isinstance(target, dict) or head not in target:
        return
    if not rest:
        del target[head]
        return
    remove(target[head], rest)
    if target[head] in ({}, []):
        del target[head]


def _remove_item(target: Any, keys: tuple[str, ...], key: Path, rest: Path) -> None:
    if not isinstance(target, list):
        return
    for item in list(target):
        if isinstance(item, dict) and all(k in item or k == "protocol" for k in keys) and _key(item, keys) == key:
            # The key goes with the last of the item's other fields.
            if rest and rest[0] not in keys:
                remove(item, rest)
            if set(item) <= set(keys):
                target.remove(item)
            return


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


def strategic_patch(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """A merge patch that merges keyed lists; ``$patch: delete`` removes an item."""
    result = copy.deepcopy(target)
    for name, value in patch.items():
        present = result.get(name)
        keys = list_keys(name, value)
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            result[name] = strategic_patch(present if isinstance(present, dict) else {}, value)
        elif keys is not None and isinstance(present, list):
            result[name] = _strategic_list(present, value, keys)
        else:
            result[name] = copy.deepcopy(value)
    return result


def _strategic_list(present: list[Any], patch: list[Any], keys: tuple[str, ...]) -> list[Any]:
    result = {_key(item, keys): item for item in present}
    for item in patch:
        key = _key(item, keys)
        if item.get("$patch") == "delete":
            result.pop(key, None)
        else:
            result[key] = strategic_patch(result.get(key, {}), item)
    return list(result.values())


def json_patch(target: Any, operations: list[dict[str, Any]]) -> Any:
    """RFC 6902."""
    result = copy.deepcopy(target)
    for operation in operations:
        try:
            result = _one(result, operation)
        except (KeyError, IndexError, ValueError, TypeError):
            raise ApiError(422, "Invalid", "the JSON patch does not fit the object") from None
    return result


def _one(document: Any, operation: dict[str, Any]) -> Any:
    kind, parts = operation["op"], _pointer(operation["path"])
    if kind == "test":
        if _at(document, parts) != operation["value"]:
            raise ValueError("test failed")
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
        if kind == "replace" and last not in parent:
            raise KeyError(last)
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
