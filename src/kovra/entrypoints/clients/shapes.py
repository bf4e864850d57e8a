"""What JSON schemas say, in few words: the shapes that every client is written from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

Schema: TypeAlias = Mapping[str, Any] | bool
_PLAIN: Final = frozenset({"string", "integer", "number", "boolean", "null"})
_REF: Final = "#/components/schemas/"
_INLINE: Final = 60
"""Characters of what is written where it stands; longer choices and unions get a name."""


class Unreadable(ValueError):
    """A schema says something that the clients cannot say: the generator must learn it first."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A value without parts."""

    kind: Literal["string", "integer", "number", "boolean", "null", "bytes", "anything"]


@dataclass(frozen=True, slots=True)
class OneOfValues:
    """One of these very values (``const``, ``enum``)."""

    values: tuple[str | int | bool | None, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """What a definition of this name says."""

    name: str


@dataclass(frozen=True, slots=True)
class ListOf:
    """Any number of the same."""

    item: Shape


@dataclass(frozen=True, slots=True)
class MapOf:
    """An object whose keys are data."""

    value: Shape


@dataclass(frozen=True, slots=True)
class Union:
    """Any of these; made by ``union`` alone."""

    members: tuple[Shape, ...]


Shape: TypeAlias = Plain | OneOfValues | Named | ListOf | MapOf | Union
ANYTHING: Final = Plain("anything")
NULL: Final = Plain("null")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A member of a record."""

    name: str
    shape: Shape
    required: bool
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A name for a record, or for any other shape."""

    name: str
    about: str
    fields: tuple[Field, ...] | None = None
    shape: Shape | None = None

    def names(self) -> set[str]:
        """The definitions that this one mentions."""
        shapes = [self.shape] if self.shape else [one.shape for one in self.fields or ()]
        return {name for shape in shapes for name in mentioned(shape)}


def union(shapes: list[Shape]) -> Shape:
    """One shape for all of them, each once; null comes last."""
    flat = [member for shape in shapes for member in (shape.members if isinstance(shape, Union) else (shape,))]
    each = list(dict.fromkeys(flat))
    if ANYTHING in each:
        return ANYTHING
    ordered = [shape for shape in each if shape != NULL] + [shape for shape in each if shape == NULL]
    return ordered[0] if len(ordered) == 1 else Union(tuple(ordered))


def mentioned(shape: Shape) -> set[str]:
    """The names of definitions in a shape."""
    match shape:
        case Named(name):
            return {name}
        case ListOf(inner) | MapOf(inner):
            return mentioned(inner)
        case Union(members):
            return {name for member in members for name in mentioned(member)}
    return set()


def title(text: str) -> str:
    """``ListOf_AppOut_`` as ListOfAppOut, ``app environments`` as AppEnvironments: a name of a type."""
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", text))


@dataclass(slots=True)
class Shapes:
    """Reads schemas; records become definitions, those that stand inside others too, named by where they stand."""

    definitions: dict[str, Definition] = field(default_factory=dict)
    _schemas: Mapping[str, Schema] = field(default_factory=dict)

    def components(self, schemas: Mapping[str, Schema]) -> None:
        """Define every named schema; raises Unreadable when two get one name."""
        self._schemas = schemas
        for name, schema in schemas.items():
            self.define(title(name), schema)

    def define(self, name: str, schema: Schema) -> None:
        """Define one schema under a name of its own."""
        shape = self.read(schema, name)
        if shape != Named(name):
            self._add(Definition(name=name, about=_about(schema), shape=shape))

    def read(self, schema: Schema, place: str) -> Shape:
        """The shape of a schema; ``place`` names the record it may be."""
        if isinstance(schema, bool):
            return ANYTHING
        if "$ref" in schema:
            return Named(title(_target(schema["$ref"])))
        if "const" in schema:
            return OneOfValues((schema["const"],))
        if "enum" in schema:
            return self._short(OneOfValues(tuple(schema["enum"])), schema, place)
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                members = [self.read(member, f"{place}{n or ''}") for n, member in enumerate(schema[keyword])]
                return self._short(union(members), schema, place)
        if "allOf" in schema:
            return self._all_of(schema, place)
        return self._typed(schema, place)

    def _short(self, shape: Shape, schema: Mapping[str, Any], place: str) -> Shape:
        """The shape, or the name of it."""
        if not isinstance(shape, OneOfValues | Union) or _length(shape) <= _INLINE:
            return shape
        self._add(Definition(name=place, about=_about(schema), shape=shape))
        return Named(place)

    def _typed(self, schema: Mapping[str, Any], place: str) -> Shape:
        kind = schema.get("type", "object" if "properties" in schema else None)
        match kind:
            case list():
                return union([self.read({**schema, "type": one}, place) for one in kind])
            case "string" if schema.get("format") == "binary":
                return Plain("bytes")
            case "array":
                return ListOf(self.read(schema.get("items", True), f"{place}Item"))
            case "object":
                return self._object(schema, place)
            case None:
                return ANYTHING
            case plain if plain in _PLAIN:
                return Plain(plain)
        raise Unreadable(f"{place}: type {kind!r}")

    def _object(self, schema: Mapping[str, Any], place: str) -> Shape:
        if "properties" not in schema:
            more = [schema["additionalProperties"]] if "additionalProperties" in schema else []
            values = [*schema.get("patternProperties", {}).values(), *more]
            return MapOf(
                union([self.read(value, f"{place}Value") for value in values if value is not False])
                if values
                else ANYTHING
            )
        needed = set(schema.get("required", ()))
        fields = tuple(
            Field(
                name=name,
                shape=self.read(inner, place + title(name)),
                required=name in needed,
                about=_about(inner),
            )
            for name, inner in schema["properties"].items()
        )
        self._add(Definition(name=place, about=_about(schema), fields=fields))
        return Named(place)

    def _all_of(self, schema: Mapping[str, Any], place: str) -> Shape:
        """Records that hold together are one record; a single member is that member."""
        if len(schema["allOf"]) == 1 and "properties" not in schema:
            return self.read(schema["allOf"][0], place)
        merged: dict[str, Any] = {"description": _about(schema), "properties": {}, "required": []}
        for member in [*schema["allOf"], {key: schema[key] for key in ("properties", "required") if key in schema}]:
            found = self._schemas[_target(member["$ref"])] if "$ref" in member else member
            if isinstance(found, bool) or not (found.keys() <= {"required"} or "properties" in found):
                raise Unreadable(f"{place}: allOf of something that is no record")
            merged["properties"] |= found.get("properties", {})
            merged["required"] += found.get("required", [])
        return self._object(merged, place)

    def _add(self, made: Definition) -> None:
        if self.definitions.setdefault(made.name, made) != made:
            raise Unreadable(f"two schemas are named {made.name}")


def _length(shape: Shape) -> int:
    """About how many characters it takes to write."""
    match shape:
        case OneOfValues(values):
            return sum(len(str(value)) + 4 for value in values)
        case Union(members):
            return sum(_length(member) + 3 for member in members)
        case ListOf(inner) | MapOf(inner):
            return _length(inner) + 6
        case Named(name):
            return len(name)
    return 4


def _target(ref: str) -> str:
    if not ref.startswith(_REF):
        raise Unreadable(f"{ref} is no schema of this document")
    return ref.removeprefix(_REF)


def _about(schema: Schema) -> str:
    return "" if isinstance(schema, bool) else str(schema.get("description", "")).strip()
