"""Who owns which fields: sets of paths, what changed between two objects, and what is left without some paths.

The rules are those of server-side apply (structured-merge-diff): a path ends at a scalar, at something atomic, or at an
item of a keyed list or a set. Elements are written as in ``fieldsV1``: ``f:name``, ``k:{"name":"app"}``, ``v:"x"``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kovra.adapters.cluster.simulator.objects.shapes import ANY, Shape

Path = tuple[str, ...]
Paths = frozenset[Path]
NONE: Final[Paths] = frozenset()


class Absent:
    """There is nothing, as opposed to null."""


ABSENT: Final = Absent()


@dataclass(slots=True)
class Changes:
    """What differs between two objects."""

    added: set[Path] = field(default_factory=set)
    modified: set[Path] = field(default_factory=set)
    removed: set[Path] = field(default_factory=set)


def fields_of(value: Any, shape: Shape) -> Paths:
    """The paths that somebody who applies this value owns."""
    found: set[Path] = set()
    _collect(value, shape, (), found)
    return frozenset(found)


def _collect(value: Any, shape: Shape, path: Path, found: set[Path]) -> None:
    if isinstance(value, dict) and shape.form in ("struct", "map"):
        if shape.atomic:
            found.add(path)
            return
        for name, inner in value.items():
            below = (*path, f"f:{name}")
            _collect(inner, shape.below(name), below, found)
            if inner is None or inner == {} or name not in shape.fields:
                found.add(below)
        return
    if isinstance(value, list) and shape.form == "list" and not shape.atomic:
        for item in value:
            below = (*path, shape.key_of(item))
            _collect(item, shape.item or ANY, below, found)
            found.add(below)
        return
    if shape.atomic or value is not None:
        found.add(path)


def changes(old: Any, new: Any, shape: Shape) -> Changes:
    """What an update from one to the other adds, modifies and removes."""
    found = Changes()
    _compare(old, new, shape, (), found)
    return found


def _compare(old: Any, new: Any, shape: Shape, path: Path, found: Changes) -> None:
    """New structs and items count with their own path besides what they hold; atomic things with their path alone."""
    if shape.atomic or (_hollow(old) and _hollow(new)):
        _compare_whole(old, new, path, found)
        return
    if shape.form == "list":
        _compare_items(old, new, shape, path, found)
    else:
        left, right = _entries(old), _entries(new)
        for name in {**left, **right}:
            below = (*path, f"f:{name}")
            _compare(left.get(name, ABSENT), right.get(name, ABSENT), shape.below(name), below, found)
    if old is ABSENT:
        found.added.add(path)
    elif new is ABSENT:
        found.removed.add(path)


def _compare_whole(old: Any, new: Any, path: Path, found: Changes) -> None:
    if old is ABSENT:
        found.added.add(path)
    elif new is ABSENT:
        found.removed.add(path)
    elif old != new:
        found.modified.add(path)


def _compare_items(old: Any, new: Any, shape: Shape, path: Path, found: Changes) -> None:
    left, right = _items(old, shape), _items(new, shape)
    for key in {**left, **right}:
        below = (*path, key)
        _compare(left.get(key, ABSENT), right.get(key, ABSENT), shape.item or ANY, below, found)


def _items(value: Any, shape: Shape) -> dict[str, Any]:
    return {shape.key_of(item): item for item in reversed(value)} if isinstance(value, list) else {}


def _entries(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _hollow(value: Any) -> bool:
    return value is ABSENT or value is None or value in ({}, [])


class Tree:
    """A set of paths, to walk along with a value."""

    __slots__ = ("below", "member")

    def __init__(self) -> None:
        self.below: dict[str, Tree] = {}
        self.member = False

    @classmethod
    def of(cls, paths: Iterable[Path]) -> Tree:
        """From paths."""
        root = cls()
        for path in paths:
            node = root
            for part in path:
                node = node.below.setdefault(part, cls())
            node.member = True
        return root


def without(value: Any, paths: Iterable[Path], shape: Shape) -> Any:
    """The value with everything at these paths taken out; ABSENT when nothing is left of it."""
    return _pruned(value, Tree.of(paths), shape)


def _pruned(value: Any, tree: Tree, shape: Shape) -> Any:
    if not tree.below:
        return value
    if isinstance(value, dict):
        if shape.atomic:
            return ABSENT
        kept = {n: _inner(v, tree.below.get(f"f:{n}"), shape.below(n)) for n, v in value.items()}
        left = {n: v for n, v in kept.items() if v is not ABSENT}
        return left or (ABSENT if value else value)
    if isinstance(value, list):
        if shape.atomic:
            return ABSENT
        items = [_inner(i, tree.below.get(shape.key_of(i)), shape.item or ANY) for i in value]
        return [i for i in items if i is not ABSENT] or ABSENT
    return value


def _inner(value: Any, tree: Tree | None, shape: Shape) -> Any:
    if tree is None:
        return value
    return ABSENT if tree.member else _pruned(value, tree, shape)


def with_named(paths: Paths, shape: Shape) -> Paths:
    """These paths and, above them, every field of a struct: owning ``a.b`` is having a hand in ``a``."""
    found: set[Path] = set(paths)
    for path in paths:
        here = shape
        for depth, part in enumerate(path[:-1]):
            name = part[2:]
            if part.startswith("f:"):
                if name in here.fields:
                    found.add(path[: depth + 1])
                here = here.below(name)
            else:
                here = here.item or ANY
    return frozenset(found)


def fields_v1(paths: Iterable[Path]) -> dict[str, Any]:
    """As ``managedFields`` shows it."""
    return _shown(Tree.of(paths))


def _shown(tree: Tree) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part, below in sorted(tree.below.items()):
        inner = _shown(below)
        found[part] = {".": {}, **inner} if below.member and inner else inner
    return found


def written(path: Path) -> str:
    """A path as messages name it: ``.spec.template.spec.containers[name="app"].image``."""
    return "".join(_part(part) for part in path)


def _part(part: str) -> str:
    kind, text = part[:2], part[2:]
    if kind == "f:":
        return f".{text}"
    if kind == "v:":
        return f"[={text}]"
    keys: Mapping[str, Any] = json.loads(text)
    return "[" + ",".join(f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in keys.items()) + "]"


def hollow(shape: Shape) -> dict[str, Any]:
    """An object of which nothing has been said yet: what an update or an apply begins from."""
    made: dict[str, Any] = {}
    for name, inner in shape.fields.items():
        if inner.form == "struct" and shape.defaults.get(name) == {}:
            made[name] = hollow(inner)
        elif inner.form == "list" and name in shape.needs:
            made[name] = None
    return made
