"""Payloads of the ledger's facts as schemas: what the catalogue's classes hold, but for the subject."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from kovra.entrypoints.clients.shapes import title
from kovra.foundation.events import CATALOGUE, Event


def payloads() -> dict[str, dict[str, Any]]:
    """Module of models → name → schema; a fact's name is its type, ``app.created`` is AppCreated."""
    found: dict[str, dict[str, Any]] = {}
    for kind, fact in sorted(CATALOGUE.items()):
        module = f"facts_{fact.__module__.split('.')[2]}"
        found.setdefault(module, {})[title(kind)] = _payload(fact)
    return found


def names() -> Mapping[str, str]:
    """Type of a fact → the name of its payload."""
    return {kind: title(kind) for kind in sorted(CATALOGUE)}


def _payload(fact: type[Event]) -> dict[str, Any]:
    """Every field is there: facts are written whole."""
    schema = TypeAdapter(fact).json_schema(mode="serialization")
    fields = {name: shape for name, shape in schema["properties"].items() if name != "subject_id"}
    about = (fact.__doc__ or "").split("\n\n")[0].replace("``", "`")
    return {"type": "object", "description": about, "properties": fields, "required": list(fields)}
