"""What the api tells has the shape that the clients were written from: each answer, each fact, each frame."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jsonschema_rs

from kovra.entrypoints import description
from kovra.entrypoints.clients import facts, frames
from kovra.entrypoints.clients.shapes import title


@cache
def _schemas() -> dict[str, Any]:
    payloads = {name: schema for schemas in facts.payloads().values() for name, schema in schemas.items()}
    return {**description.document()["components"]["schemas"], **payloads, **frames.FRAMES}


@cache
def _validator(schema: str) -> Any:
    return jsonschema_rs.validator_for({**json.loads(schema), "components": {"schemas": _schemas()}})


def fits(schema: dict[str, Any] | str, value: Any, where: str = "") -> None:
    """The value is as the schema says; a text names one of the components."""
    named = {"$ref": f"#/components/schemas/{schema}"} if isinstance(schema, str) else schema
    wrong = [
        f"{'/'.join(map(str, e.instance_path))}: {e.message}" for e in _validator(json.dumps(named)).iter_errors(value)
    ]
    assert not wrong, f"{where or schema} is not as it is described: {'; '.join(wrong)[:800]}"


def fact(value: Any) -> None:
    """A fact, and its payload by its type."""
    fits("EventOut", value)
    fits(title(value["type"]), value["payload"], value["type"])
