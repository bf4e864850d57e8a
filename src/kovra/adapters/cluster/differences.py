"""What the cluster has against what was put into it: field by field, pure. No value that may be secret is shown.

What was wanted must be there with its value; what an API server fills in is no difference. A field that was not wanted and
that somebody else manages (``managedFields``) is one, as a rule added to a policy is; walls must be exactly as wanted.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kovra.adapters.cluster.client import MANAGER
from kovra.adapters.cluster.quantities import amount

EXACT: Final = frozenset({"NetworkPolicy", "ResourceQuota", "LimitRange", "RoleBinding"})
"""Kinds that are walls: anything besides what was wanted weakens it."""
_HIDDEN: Final = frozenset(
    {"annotations", "args", "command", "data", "env", "exec", "httpHeaders", "stringData", "value"}
)
"""Below these, values are never shown: people put secrets there."""
_QUANTITIES: Final = frozenset({"hard", "limits", "requests", "default", "defaultRequest", "max", "min"})
_LONGEST: Final = 200
MOST: Final = 20
"""Paths told of one object."""
_MISSING: Final = object()
Tree = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Difference:
    """One field: where, what was put there and what is there now; None for what is absent or not to be shown."""

    path: str
    wanted: str | None
    found: str | None


def differences(wanted: Tree, live: Tree) -> list[Difference]:
    """Every field of an object that is not as it was put there, at most MOST, by path."""
    found = [*_metadata(wanted, live)]
    for name in sorted(set(wanted) - {"apiVersion", "kind", "metadata"}):
        exact = wanted["kind"] in EXACT
        found += _compared(name, wanted[name], live.get(name, _MISSING), exact=exact)
    if wanted["kind"] not in EXACT:
        found += (d for d in _added(wanted, live) if not _is_autoscaled(d, wanted))
    return sorted({d.path: d for d in found}.values())[:MOST]


def _is_autoscaled(difference: Difference, wanted: Tree) -> bool:
    """The number of replicas where that is the cluster's to say: any but none, from which no autoscaler returns."""
    return wanted["kind"] == "Deployment" and difference.path == "spec.replicas" and difference.found != "0"


def replaced(live: Tree, then: Tree) -> list[Difference]:
    """Every field that differs between an object and what would be made of it, as both are stored: ``found`` is what is
    there, ``wanted`` what would be. What an API server fills in stands in both, so it is no difference; at most MOST.
    """
    by_path = {d.path: d for d in _forth(live, then)}
    # What goes is only seen from the other side.
    for back in _forth(then, live):
        by_path.setdefault(back.path, Difference(path=back.path, wanted=back.found, found=back.wanted))
    return sorted(by_path.values())[:MOST]


def _forth(live: Tree, then: Tree) -> list[Difference]:
    found = [*_metadata(then, live)]
    for name in sorted(set(then) - {"apiVersion", "kind", "metadata", "status"}):
        found += _compared(name, then[name], live.get(name, _MISSING), exact=False)
    return found


def _metadata(wanted: Tree, live: Tree) -> Iterator[Difference]:
    labels = live["metadata"].get("labels") or {}
    for name, value in (wanted["metadata"].get("labels") or {}).items():
        if labels.get(name) != value:
            yield Difference(path=f"metadata.labels[{name}]", wanted=_cut(value), found=_cut(labels.get(name)))


def _compared(path: str, wanted: Any, live: Any, *, exact: bool) -> list[Difference]:
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        names = sorted({*wanted, *live} if exact else wanted)
        return [
            d
            for name in names
            for d in _compared(
                f"{path}.{name}", wanted.get(name, _MISSING), live.get(name, _MISSING), exact=exact
            )
        ]  # fmt: skip
    if isinstance(wanted, list) and isinstance(live, list):
        return _lists(path, wanted, live, exact=exact)
    if _same(path, wanted, live):
        return []
    return [Difference(path=path, wanted=_shown(path, wanted), found=_shown(path, live))]


def _lists(path: str, wanted: list[Any], live: list[Any], *, exact: bool) -> list[Difference]:
    if not exact and _are_named(wanted) and _are_named(live):
        present = {item["name"]: item for item in live}
        return [
            d
            for item in wanted
            for d in _compared(f"{path}[{item['name']}]", item, present.get(item["name"], _MISSING), exact=exact)
        ]
    if len(wanted) != len(live):
        return [Difference(path=path, wanted=f"{len(wanted)} entries", found=f"{len(live)} entries")]
    pairs = zip(wanted, live, strict=True)
    return [d for n, (a, b) in enumerate(pairs) for d in _compared(f"{path}[{n}]", a, b, exact=exact)]


def _are_named(items: list[Any]) -> bool:
    return all(isinstance(item, Mapping) and "name" in item for item in items)


def _same(path: str, wanted: Any, live: Any) -> bool:
    if wanted == live and isinstance(wanted, bool) is isinstance(live, bool):
        return True
    if not wanted and live is _MISSING:
        # Nothing, as an empty list and a zero, is left out when it is stored; a false is not, which says something.
        return not isinstance(wanted, bool)
    if _QUANTITIES.isdisjoint(path.split(".")):
        return False
    try:
        return amount(wanted) == amount(live)
    except ValueError:
        return False


def _added(wanted: Tree, live: Tree) -> Iterator[Difference]:
    """Fields that somebody else manages and that were not wanted. Statuses are nobody's to drift."""
    for entry in live["metadata"].get("managedFields") or []:
        if entry.get("manager") == MANAGER or entry.get("subresource") == "status":
            continue
        for name in set(wanted) - {"apiVersion", "kind", "metadata"}:
            tree = (entry.get("fieldsV1") or {}).get(f"f:{name}")
            if tree is not None:
                yield from _unwanted(name, tree, wanted[name], live.get(name, _MISSING))


def _unwanted(path: str, tree: Tree, wanted: Any, live: Any) -> Iterator[Difference]:
    for key, below in tree.items():
        kind, _, name = key.partition(":")
        if kind == "f" and isinstance(wanted, Mapping):
            here = f"{path}.{name}"
            inner = wanted.get(name, _MISSING)
            present = live.get(name, _MISSING) if isinstance(live, Mapping) else _MISSING
        elif kind == "k" and isinstance(wanted, list):
            here = f"{path}[{_key(name)}]"
            inner, present = _item(wanted, name), _item(live if isinstance(live, list) else [], name)
        else:
            continue
        if present is _MISSING:
            continue
        if inner is _MISSING:
            yield Difference(path=here, wanted=None, found=_shown(here, present))
        else:
            yield from _unwanted(here, below, inner, present)


def _keys(text: str) -> dict[str, Any]:
    found = json.loads(text)
    return found if isinstance(found, dict) else {}


def _key(text: str) -> str:
    return ",".join(str(value)[:_LONGEST] for _, value in sorted(_keys(text).items()))


def _item(items: Sequence[Any], key: str) -> Any:
    wanted = _keys(key)
    for item in items:
        if isinstance(item, Mapping) and all(item.get(name) == value for name, value in wanted.items()):
            return item
    return _MISSING


def _shown(path: str, value: Any) -> str | None:
    """A scalar outside of what may hold secrets; anything else is only said to differ."""
    parts = {part.partition("[")[0] for part in path.split(".")}
    if value is _MISSING or isinstance(value, Mapping | list) or not _HIDDEN.isdisjoint(parts):
        return None
    return _cut(value)


def _cut(value: Any) -> str | None:
    if value is None:
        return None
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def secret_values(live: Tree) -> dict[str, bytes] | None:
    """What a live Secret holds, to compare with its name, which tells its content; None: it is not even base64."""
    try:
        return {n: base64.b64decode(v, validate=True) for n, v in (live.get("data") or {}).items()}
    except (TypeError, ValueError):
        return None
