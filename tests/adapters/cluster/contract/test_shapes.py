"""The simulator's table of shapes is what a real API server publishes of the kinds it knows (OpenAPI 3)."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.connect import from_kubeconfig
from kovra.adapters.cluster.simulator.kinds import KINDS
from kovra.adapters.cluster.simulator.objects import shapes

TABLE = Path(shapes.__file__).with_name("shapes.json")
_PLAIN = {"Quantity": "quantity", "IntOrString": "intstr", "Time": "time", "MicroTime": "time", "FieldsV1": "any",
          "RawExtension": "any"}  # fmt: skip


class Reader:
    """Schemas of OpenAPI, read into the table's form."""

    def __init__(self) -> None:
        self.table: dict[str, Any] = {}
        self._full: dict[str, str] = {}

    def kind(self, version: str, name: str, schemas: dict[str, Any]) -> None:
        """A kind and every type below it."""
        found = [
            n for n in schemas if n.endswith(f".{version}.{name}") and "x-kubernetes-group-version-kind" in schemas[n]
        ]
        assert len(found) == 1, (name, found)
        self._type({"$ref": f"#/{found[0]}"}, schemas)

    def _type(self, schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
        if len(schema.get("allOf", ())) == 1:
            schema = {**schema, **schema["allOf"][0]}
        if "$ref" in schema:
            return self._named(schema["$ref"].rsplit("/", 1)[1], schemas)
        if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
            return "intstr"
        match schema.get("type"):
            case "array":
                return self._list(schema, schemas)
            case "object" if "properties" in schema:
                return self._struct(schema, schemas)
            case "object" if "additionalProperties" in schema:
                form = "atoms" if schema.get("x-kubernetes-map-type") == "atomic" else "map"
                return {form: self._type(schema["additionalProperties"], schemas)}
            case "integer":
                return f"int/{schema.get('format', 'int64')}"
            case "boolean":
                return "bool"
            case "number":
                return "number"
            case "string":
                return {"byte": "bytes", "date-time": "time"}.get(schema.get("format", ""), "string")
        return "any"

    def _named(self, full: str, schemas: dict[str, Any]) -> str:
        name = full.rsplit(".", 1)[1]
        if self._full.get(name, full) != full:
            name = ".".join(full.split(".")[-3:])
        if name in _PLAIN:
            return _PLAIN[name]
        if name not in self.table:
            self._full[name], self.table[name] = full, {}
            self.table[name] = self._struct(schemas[full], schemas)
        return f"@{name}"

    def _list(self, schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
        item, form = self._type(schema["items"], schemas), schema.get("x-kubernetes-list-type", "atomic")
        found = {{"map": "keyed", "set": "set"}.get(form, "list"): item}
        if form == "map":
            found["by"] = schema["x-kubernetes-list-map-keys"]
        if "merge" in schema.get("x-kubernetes-patch-strategy", ""):
            found["patch"] = schema.get("x-kubernetes-patch-merge-key", "")
        return found

    def _struct(self, schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
        fields = {n: self._type(s, schemas) for n, s in schema.get("properties", {}).items()}
        found: dict[str, Any] = {"fields": fields}
        defaults = {n: s["default"] for n, s in schema.get("properties", {}).items() if s.get("default") is not None}
        found |= {"defaults": defaults} if defaults else {}
        found |= {"needs": schema["required"]} if schema.get("required") else {}
        return found | ({"atomic": True} if schema.get("x-kubernetes-map-type") == "atomic" else {})


async def published(client: ClusterClient) -> dict[str, Any]:
    """The table as this API server has it."""
    reader = Reader()
    for kind in KINDS:
        path = f"apis/{kind.group}/{kind.version}" if kind.group else "api/v1"
        document = await client._json("GET", f"/openapi/v3/{path}")
        reader.kind(kind.version, kind.kind, document["components"]["schemas"])
    return reader.table


@pytest.mark.cluster
async def test_the_table_of_shapes_is_a_real_api_servers(real: Path) -> None:
    client = await from_kubeconfig(real)
    table = await published(client)
    await client.close()
    if os.environ.get("KOVRA_UPDATE_GOLDEN"):
        lines = [f"{json.dumps(n)}: {json.dumps(s, sort_keys=True)}" for n, s in sorted(table.items())]
        await asyncio.to_thread(TABLE.write_text, "{\n" + ",\n".join(lines) + "\n}\n")
    assert json.loads(await asyncio.to_thread(TABLE.read_text)) == table


def test_every_kind_has_its_shape() -> None:
    for kind in KINDS:
        shape = shapes.shape_of(kind.shape)
        assert {"apiVersion", "kind", "metadata"} <= set(shape.fields), kind.kind
    containers = shapes.shape_of("Pod").fields["spec"].fields["containers"]
    assert (containers.by, containers.patch) == (("name",), "name")
