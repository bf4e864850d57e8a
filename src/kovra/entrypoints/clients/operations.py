"""What the paths of the description offer: operations with what they take and give."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from kovra.entrypoints.clients.shapes import (
    Definition,
    ListOf,
    Named,
    Shape,
    Shapes,
    Unreadable,
    mentioned,
    title,
    union,
)

JSON: Final = "application/json"
STREAM: Final = "text/event-stream"
YAML: Final = "application/yaml"
PROBLEM: Final = "application/problem+json"
_METHODS: Final = ("get", "put", "post", "delete", "patch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """Something in the path, the query or the headers."""

    name: str
    place: Literal["path", "query", "header"]
    shape: Shape
    required: bool
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One call."""

    id: str
    method: str
    path: str
    tag: str
    summary: str
    about: str
    permission: str | None
    parameters: tuple[Parameter, ...]
    body: Shape | None
    body_required: bool
    answers: Mapping[int, Shape | None]
    """Status → the JSON of a success; None: nothing."""
    media: str
    """Of its success: JSON, or a type of text."""
    streams: bool
    """Whether it also answers as an event stream."""
    codes: tuple[str, ...]
    """Of the problems it may answer with."""
    item: Shape | None
    """What a page holds, where it answers in pages."""
    cursor: str | None
    """The parameter that takes a page's ``next``."""

    @property
    def words(self) -> list[str]:
        """Its id in words: list, app, environments."""
        return [word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", self.id)]

    @property
    def answer(self) -> Shape | None:
        """What a caller gets, whatever the status of success; None: nothing."""
        shapes = [shape for shape in self.answers.values() if shape is not None]
        return union(shapes) if shapes else None

    def placed(self, place: str) -> list[Parameter]:
        """Its parameters in one place; of the path in the path's order."""
        found = [one for one in self.parameters if one.place == place]
        return sorted(found, key=lambda one: self.path.find("{" + one.name + "}")) if place == "path" else found

    def names(self) -> set[str]:
        """The definitions it mentions."""
        shapes = [*self.answers.values(), self.body, *(one.shape for one in self.parameters)]
        return {name for shape in shapes if shape is not None for name in mentioned(shape)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """All that the clients are written from."""

    version: str
    tags: Mapping[str, str]
    """Name → what it is about, in the document's order."""
    definitions: Mapping[str, Definition]
    operations: tuple[Operation, ...]
    modules: Mapping[str, str] = field(default_factory=dict)
    """Definition → the module it belongs to, for those that no operation needs."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Type of a fact → the definition of its payload."""
    streams: Mapping[str, str] = field(default_factory=dict)
    """Operation → the definition of what its stream tells."""


def read(
    document: Mapping[str, Any],
    more: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    facts: Mapping[str, str] | None = None,
    streams: Mapping[str, str] | None = None,
) -> Api:
    """Read an OpenAPI 3.1 document, and ``more``: module → name → schema; raises Unreadable."""
    shapes = Shapes()
    own = document.get("components", {}).get("schemas", {})
    others = {name: schema for schemas in (more or {}).values() for name, schema in schemas.items()}
    if own.keys() & others.keys():
        raise Unreadable(f"defined twice: {', '.join(sorted(own.keys() & others.keys()))}")
    shapes.components({**own, **others})
    found = tuple(_operations(document, shapes))
    return Api(
        version=document["info"]["version"],
        tags={tag["name"]: tag.get("description", "") for tag in document.get("tags", ())},
        definitions=shapes.definitions,
        operations=found,
        modules={title(name): module for module, schemas in (more or {}).items() for name in schemas},
        facts=facts or {},
        streams=streams or {},
    )


def _operations(document: Mapping[str, Any], shapes: Shapes) -> Iterator[Operation]:
    for path, methods in sorted(document["paths"].items()):
        for method in _METHODS:
            if method in methods:
                yield _operation(document, shapes, path, method)


def _operation(document: Mapping[str, Any], shapes: Shapes, path: str, method: str) -> Operation:
    said = document["paths"][path][method]
    name = title(said["operationId"])
    parameters = tuple(_parameter(document, shapes, name, one) for one in said.get("parameters", ()))
    body = said.get("requestBody")
    answers, media = _answers(shapes, name, said["responses"])
    item = _item(shapes, answers)
    cursor = next((p.name for wanted in ("cursor", "after") for p in parameters if p.name == wanted), None)
    return Operation(
        id=said["operationId"],
        method=method.upper(),
        path=path,
        tag=said["tags"][0],
        summary=said.get("summary", ""),
        about=said.get("description", ""),
        permission=said.get("x-permission"),
        parameters=parameters,
        body=shapes.read(_json(body["content"], name), f"{name}Body") if body else None,
        body_required=bool(body and body.get("required")),
        answers=answers,
        media=media,
        streams=any(STREAM in answer.get("content", ()) for answer in said["responses"].values()),
        codes=_codes(said["responses"]),
        item=item if cursor else None,
        cursor=cursor if item else None,
    )


def _parameter(document: Mapping[str, Any], shapes: Shapes, name: str, said: Mapping[str, Any]) -> Parameter:
    if "$ref" in said:
        said = document["components"]["parameters"][said["$ref"].rsplit("/", 1)[1]]
    if said["in"] not in ("path", "query", "header"):
        raise Unreadable(f"{name}: a parameter in {said['in']}")
    return Parameter(
        name=said["name"],
        place=said["in"],
        shape=shapes.read(said["schema"], name + title(said["name"])),
        required=bool(said.get("required")),
        about=said.get("description", ""),
    )


def _answers(shapes: Shapes, name: str, responses: Mapping[str, Any]) -> tuple[dict[int, Shape | None], str]:
    found: dict[int, Shape | None] = {}
    kinds = {JSON}
    for status, said in responses.items():
        if not status.startswith("2"):
            continue
        content = {kind: media for kind, media in said.get("content", {}).items() if kind != STREAM}
        kinds = set(content) or kinds
        found[int(status)] = shapes.read(_json(content, name), f"{name}Answer") if content else None
    if len(kinds) > 1:
        raise Unreadable(f"{name}: answers of several media types: {', '.join(sorted(kinds))}")
    return found, kinds.pop()


def _json(content: Mapping[str, Any], name: str) -> Any:
    """The schema of what is sent or answered; text is a string, and an event stream is told elsewhere."""
    if JSON in content:
        return content[JSON]["schema"]
    for kind, media in content.items():
        if kind.startswith("text/") or kind == YAML or media.get("schema", {}).get("format") == "binary":
            return media["schema"]
    raise Unreadable(f"{name}: neither JSON nor text: {', '.join(content)}")


def _codes(responses: Mapping[str, Any]) -> tuple[str, ...]:
    contents = [said.get("content", {}).get(PROBLEM, {}) for said in responses.values()]
    return tuple(sorted({code for content in contents for code in content.get("examples", ())}))


def _item(shapes: Shapes, answers: Mapping[int, Shape | None]) -> Shape | None:
    """What the one answer lists under ``data``, if it also says what is ``next``."""
    (only, *others) = answers.values() or (None,)
    if others or not isinstance(only, Named) or only.name not in shapes.definitions:
        return None
    fields = {one.name: one.shape for one in shapes.definitions[only.name].fields or ()}
    data = fields.get("data")
    return data.item if isinstance(data, ListOf) and "next" in fields else None
