"""Reading schemas: the odd ones too."""

from __future__ import annotations

from typing import Any

import pytest

from kovra.entrypoints.clients import python, typescript
from kovra.entrypoints.clients.shapes import Field, ListOf, MapOf, Named, Plain, Shapes, Unreadable, title, union

TEXT = Plain("string")


def both(schema: dict[str, Any] | bool) -> tuple[str, str]:
    """The schema in Python and in TypeScript."""
    shape = Shapes().read(schema, "Here")
    return python.hint(shape), typescript.hint(shape)


@pytest.mark.parametrize(
    ("schema", "in_python", "in_typescript"),
    [
        ({"type": "string"}, "str", "string"),
        ({"type": "string", "format": "date-time"}, "str", "string"),
        ({"type": "string", "format": "binary"}, "bytes", "Blob"),
        ({"type": "integer"}, "int", "number"),
        ({"type": "number"}, "float", "number"),
        ({"type": "boolean"}, "bool", "boolean"),
        ({"type": "null"}, "None", "null"),
        ({}, "Any", "unknown"),
        (True, "Any", "unknown"),
        ({"description": "Whatever."}, "Any", "unknown"),
        ({"type": ["string", "null"]}, "str | None", "string | null"),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, "int | None", "number | null"),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, "str | int", "string | number"),
        ({"anyOf": [{"type": "string"}, {"type": "string", "maxLength": 3}]}, "str", "string"),
        (
            {"anyOf": [{"anyOf": [{"type": "null"}, {"type": "string"}]}, {"type": "null"}]},
            "str | None",
            "string | null",
        ),
        ({"anyOf": [{"type": "string"}, {}]}, "Any", "unknown"),
        ({"enum": ["a", "b"]}, 'Literal["a", "b"]', '"a" | "b"'),
        ({"enum": ["a", None]}, 'Literal["a", None]', '"a" | null'),
        ({"const": "app"}, 'Literal["app"]', '"app"'),
        ({"const": True}, "Literal[True]", "true"),
        ({"const": 7}, "Literal[7]", "7"),
        ({"enum": ['say "hi"\\']}, "Literal['say \"hi\"\\\\']", '"say \\"hi\\"\\\\"'),
        ({"type": "array", "items": {"type": "string"}}, "list[str]", "string[]"),
        ({"type": "array"}, "list[Any]", "unknown[]"),
        ({"type": "array", "items": {"type": ["string", "null"]}}, "list[str | None]", "(string | null)[]"),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, 'list[Literal["a", "b"]]', '("a" | "b")[]'),
        ({"type": "object"}, "dict[str, Any]", "Record<string, unknown>"),
        ({"type": "object", "additionalProperties": True}, "dict[str, Any]", "Record<string, unknown>"),
        ({"type": "object", "additionalProperties": {}}, "dict[str, Any]", "Record<string, unknown>"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "dict[str, int]", "Record<string, number>"),
        (
            {"type": "object", "patternProperties": {"^a": {"type": "string"}, "^b": {"type": "null"}}},
            "dict[str, str | None]",
            "Record<string, string | null>",
        ),
        ({"$ref": "#/components/schemas/ListOf_AppOut_"}, "ListOfAppOut", "ListOfAppOut"),
        ({"allOf": [{"$ref": "#/components/schemas/App"}]}, "App", "App"),
    ],
)
def test_schemas_are_said_in_both_languages(schema: dict[str, Any] | bool, in_python: str, in_typescript: str) -> None:
    assert both(schema) == (in_python, in_typescript)


def test_an_object_becomes_a_record_and_those_inside_it_too() -> None:
    inner = {"type": "object", "properties": {"port": {"type": "integer"}}, "required": ["port"]}
    shapes = Shapes()
    shapes.components({"App": {"properties": {"checks": {"type": "array", "items": inner}}, "required": ["checks"]}})
    assert set(shapes.definitions) == {"App", "AppChecksItem"}
    assert shapes.definitions["AppChecksItem"].fields == (Field(name="port", shape=Plain("integer"), required=True),)
    assert shapes.definitions["App"].names() == {"AppChecksItem"}


def test_records_that_hold_together_are_one() -> None:
    shapes = Shapes()
    shapes.components(
        {
            "Base": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
            "App": {
                "description": "An app.",
                "allOf": [
                    {"$ref": "#/components/schemas/Base"},
                    {"properties": {"name": {"type": "string"}}},
                    {"required": ["name"]},
                ],
                "properties": {"size": {"type": "integer"}},
            },
        }
    )
    fields = shapes.definitions["App"].fields or ()
    assert [(one.name, one.required) for one in fields] == [("id", True), ("name", True), ("size", False)]
    assert shapes.definitions["App"].about == "An app."


def test_a_record_may_hold_itself() -> None:
    node = {
        "type": "object",
        "properties": {"below": {"type": "array", "items": {"$ref": "#/components/schemas/Node"}}},
    }
    shapes = Shapes()
    shapes.components({"Node": node})
    assert shapes.definitions["Node"].names() == {"Node"}


def test_a_choice_that_is_long_gets_a_name() -> None:
    long = {"enum": [f"choice_{number}" for number in range(9)]}
    shapes = Shapes()
    assert shapes.read(long, "AppSize") == Named("AppSize")
    assert python.hint(shapes.definitions["AppSize"].shape or TEXT).startswith('Literal["choice_0", ')


def test_a_union_that_is_long_gets_a_name() -> None:
    shapes = Shapes()
    many = {"anyOf": [{"$ref": f"#/components/schemas/RatherLongName{n}"} for n in range(5)]}
    assert shapes.read({"type": "array", "items": many}, "All") == ListOf(Named("AllItem"))
    assert len(shapes.definitions["AllItem"].names()) == 5


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "tuple"},
        {"$ref": "other.json#/X"},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"allOf": [{"anyOf": [{"type": "string"}]}, {"properties": {}}]},
    ],
)
def test_what_the_clients_could_not_say_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        Shapes().read(schema, "Here")


def test_two_records_of_one_name_are_refused() -> None:
    shapes = Shapes()
    with pytest.raises(Unreadable, match="named AppOut"):
        shapes.components({"App_Out": {"properties": {"a": {}}}, "AppOut": {"properties": {"b": {}}}})


def test_a_union_is_flat_and_each_member_stands_once() -> None:
    null = Plain("null")
    assert union([null, union([TEXT, null]), TEXT]) == union([TEXT, null])
    assert union([TEXT]) == TEXT
    assert union([MapOf(TEXT), Plain("anything")]) == Plain("anything")


def test_names_of_types() -> None:
    assert [title(text) for text in ("ListOf_AppOut_", "app environments", "deployment.finished", "If-Match")] == [
        "ListOfAppOut", "AppEnvironments", "DeploymentFinished", "IfMatch",
    ]  # fmt: skip
