"""Every JSON that a command prints in a test has the shape that its page tells."""

from __future__ import annotations

import json
from typing import Any

from kovra.entrypoints.cli.explaining import wants_json
from kovra.entrypoints.cli.shapes import OUTPUTS, Either, Lines, Many, Of, Shape
from tests.support.shapes import fits

_TYPES = {"text": "string", "number": "integer", "yes or no": "boolean", "object": "object", "null": "null"}


def schema(shape: Shape) -> dict[str, Any]:
    """A shape as a JSON Schema; what stands in no description is wrong."""
    match shape:
        case Of():
            return {"$ref": f"#/components/schemas/{shape.name}"}
        case Many():
            return {"type": "array", "items": schema(shape.of)}
        case Lines():
            return schema(shape.of)
        case Either():
            return {"anyOf": [schema(shape.one), schema(shape.other)]}
        case "object of number":
            return {"type": "object", "additionalProperties": {"type": "integer"}}
        case str():
            kinds = [shape] if shape in _TYPES else shape.rsplit(" or ", 1)
            return {"type": [_TYPES[kind] for kind in kinds]}
    properties = {name: schema(inner) for name, inner in shape.items()}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def command(words: tuple[str, ...]) -> str | None:
    """Which command a line is, by the page."""
    plain = list(words[2:] if words[:1] == ("--context",) else words)
    return next((name for name in (" ".join(plain[:2]), " ".join(plain[:1])) if name in OUTPUTS), None)


def described(words: tuple[str, ...], out: str) -> None:
    """Raise when a command with ``--output json`` has printed something else than its page tells."""
    if not wants_json(words) or not out:
        return
    name = command(words)
    assert name is not None, f"{' '.join(words)}: its JSON is not described in kovra.entrypoints.cli.shapes"
    shape = OUTPUTS[name]
    for text in out.splitlines() if isinstance(shape, Lines) else [out]:
        fits(schema(shape), json.loads(text), f"kovra {name}")
