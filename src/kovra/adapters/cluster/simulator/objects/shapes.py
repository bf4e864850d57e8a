"""What the API's objects look like: a table read off a real API server's OpenAPI (``shapes.json``).

It says of every field what it is, and how its list or map is merged and owned: whole (``atomic``), by the items' keys, or
value by value. A contract test compares the table with a real API server's, and writes it anew when asked.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Final, Literal

Form = Literal[
    "struct", "map", "list", "string", "int", "number", "bool", "quantity", "intstr", "time", "bytes", "any",
]  # fmt: skip
SCALARS: Final = frozenset({"string", "int", "number", "bool", "quantity", "intstr", "time", "bytes"})


@dataclass(slots=True, eq=False)
class Shape:
    """What a value may be."""

    form: Form
    name: str = ""
    """Of a named type, for messages."""
    atomic: bool = True
    """Owned and merged as a whole; of scalars always true."""
    fields: dict[str, Shape] = field(default_factory=dict)
    """Of a struct."""
    item: Shape | None = None
    """Of a map or a list."""
    by: tuple[str, ...] = ()
    """The keys by which a list's items are told apart; a list that is neither atomic nor keyed is a set of values."""
    needs: tuple[str, ...] = ()
    defaults: dict[str, Any] = field(default_factory=dict)
    """What a struct has even when nobody said it."""
    patch: str | None = None
    """A strategic patch merges this list by that key (empty: by value); None: it replaces it."""
    width: str = ""
    """``int32`` or ``int64``, for messages."""
    custom: bool = False
    """Of a custom resource: kept as it was sent, empty things included."""

    def key_of(self, item: Any) -> str:
        """A list item's path element; raises ValueError for an item without any key."""
        if not self.by:
            return "v:" + _text(item)
        if not isinstance(item, dict):
            raise ValueError("associative list with keys may not have non-map elements")
        assert self.item is not None
        keys = {k: item.get(k, self.item.defaults.get(k)) for k in sorted(self.by)}
        known = {k: v for k, v in keys.items() if v is not None}
        if not known:
            raise ValueError(f"associative list with keys has an element that omits all key fields {list(self.by)}")
        return "k:" + _text(known)

    def below(self, name: str) -> Shape:
        """The shape of a field, or of any entry of a map."""
        return self.fields.get(name) or self.item or ANY


ANY: Final = Shape("any")


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@functools.cache
def table() -> dict[str, Any]:
    """The table as it is kept."""
    document: dict[str, Any] = json.loads(resources.files(__package__).joinpath("shapes.json").read_text("utf-8"))
    return document


@functools.cache
def shape_of(name: str) -> Shape:
    """The shape of a kind, or of any named type of the table."""
    return _Reader(table()).named(name, custom=name == "HTTPRoute")


class _Reader:
    """Reads the table; types may name each other in any order."""

    def __init__(self, known: dict[str, Any]) -> None:
        self._known = known
        self._made: dict[str, Shape] = {}

    def named(self, name: str, *, custom: bool = False) -> Shape:
        if name not in self._made:
            self._made[name] = shape = Shape("struct", name=name, custom=custom)
            self._fill(shape, self._known[name])
        return self._made[name]

    def _read(self, written: Any, custom: bool) -> Shape:
        if isinstance(written, str):
            if written.startswith("@"):
                return self.named(written[1:])
            form, _, width = written.partition("/")
            return Shape(form, width=width, custom=custom)  # type: ignore[arg-type]  # the table says no other
        shape = Shape("struct", custom=custom)
        self._fill(shape, written)
        return shape

    def _fill(self, shape: Shape, written: dict[str, Any]) -> None:
        shape.patch = written.get("patch")
        for form, key, atomic in _COLLECTIONS:
            if key in written:
                shape.form, shape.atomic = form, atomic
                shape.item = self._read(written[key], shape.custom)
                shape.by = tuple(written.get("by", ()))
                return
        shape.atomic = bool(written.get("atomic"))
        shape.needs = tuple(written.get("needs", ()))
        shape.defaults = written.get("defaults", {})
        shape.fields = {name: self._read(inner, shape.custom) for name, inner in written["fields"].items()}


_COLLECTIONS: Final[tuple[tuple[Form, str, bool], ...]] = (
    ("list", "list", True), ("list", "set", False), ("list", "keyed", False), ("map", "map", False),
    ("map", "atoms", True),
)  # fmt: skip
