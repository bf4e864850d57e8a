"""From a description to code: what is odd in it, and that the code is right."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kovra.entrypoints.clients import operations, python, text, typescript
from kovra.entrypoints.clients.shapes import Unreadable

PROBLEM = {"type": "object", "properties": {"code": {"type": "string"}}}


def described(path: str = "/v1/apps", method: str = "get", **operation: Any) -> dict[str, Any]:
    """A description with one operation."""
    said = {"operationId": "listApps", "tags": ["apps"], "description": "Apps.", "responses": {"204": {}}, **operation}
    schemas = operation.pop("schemas", {})
    said.pop("schemas", None)
    return {
        "info": {"version": "1"},
        "tags": [{"name": "apps", "description": "What can be deployed."}],
        "paths": {path: {method: said}},
        "components": {"schemas": {"Problem": PROBLEM, **schemas}},
    }


def method_of(document: dict[str, Any]) -> str:
    """The operations of the one tag, as Python."""
    found = python.files(operations.read(document))["operations/apps.py"]
    ast.parse(found)
    return found


def answers(schema: dict[str, Any], kind: str = "application/json") -> dict[str, Any]:
    return {"200": {"content": {kind: {"schema": schema}}}}


def test_parameters_go_where_they_belong() -> None:
    parameters = [
        {"in": "query", "name": "type", "required": False, "schema": {"type": ["string", "null"]}},
        {"in": "query", "name": "from", "required": True, "schema": {"type": "integer"}},
        {"in": "path", "name": "name", "required": True, "schema": {"type": "string"}},
        {"in": "path", "name": "app_id", "required": True, "schema": {"type": "string"}},
        {"in": "header", "name": "If-Match", "required": False, "schema": {"type": "string"}},
        {"in": "header", "name": "Idempotency-Key", "required": False, "schema": {"type": "string"}},
    ]
    path = "/v1/apps/{app_id}/values/{name}"
    found = method_of(described(path, "patch", operationId="changeValue", parameters=parameters))
    (function,) = [node for node in ast.walk(ast.parse(found)) if isinstance(node, ast.FunctionDef)]
    assert [one.arg for one in function.args.args] == ["self", "app_id", "name"]
    assert [one.arg for one in function.args.kwonlyargs] == [
        "from_",
        "type_",
        "if_match",
        "idempotency_key",
        "answered",
    ]
    assert function.args.kw_defaults[0] is None  # it must be given
    assert 'f"/v1/apps/{segment(app_id)}/values/{segment(name)}"' in found
    assert '{"type": type_, "from": from_}' in found
    assert 'headers = {"If-Match": if_match}' in found
    assert "key=idempotency_key" in found
    assert "-> None:" in found


def test_a_parameter_that_is_called_like_something_of_ours_is_told_apart() -> None:
    parameters = [{"in": "query", "name": name, "schema": {"type": "string"}} for name in ("query", "answered", "self")]
    found = method_of(described(parameters=parameters))
    assert '{"query": query_, "answered": answered_, "self": self_}' in found


def test_two_parameters_of_one_name_are_refused() -> None:
    parameters = [{"in": "query", "name": name, "schema": {"type": "string"}} for name in ("a-b", "a_b")]
    with pytest.raises(Unreadable, match="one name in Python"):
        python.files(operations.read(described(parameters=parameters)))


def test_a_body_may_be_left_out_where_the_description_says_so() -> None:
    schemas = {"AppIn": {"type": "object", "properties": {"a": {"type": "string"}}}}
    ref = {"$ref": "#/components/schemas/AppIn"}
    body = {"content": {"application/json": {"schema": {"anyOf": [ref, {"type": "null"}]}}}}
    assert "body: models.AppIn | None = None" in method_of(described(requestBody=body, schemas=schemas))
    needed = {"required": True, "content": {"application/json": {"schema": ref}}}
    assert "self, body: models.AppIn, *," in method_of(described(requestBody=needed, schemas=schemas))


def test_answers_of_several_kinds_are_one_union() -> None:
    schemas = {name: {"type": "object", "properties": {"object": {"const": name}}} for name in ("App", "Diff")}
    content = [{"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}} for name in ("Diff", "App")]
    both = {"anyOf": [content[0]["application/json"]["schema"], content[1]["application/json"]["schema"]]}
    found = described(
        responses={"200": {"content": content[0]}, "202": {"content": {"application/json": {"schema": both}}}},
        schemas=schemas,
    )
    assert "-> models.Diff | models.App:" in method_of(found)
    types = typescript.text(operations.read(found))
    assert "200: Diff;" in types and "202: Diff | App;" in types


def test_text_and_bytes_are_asked_for_by_their_type() -> None:
    found = method_of(described(responses=answers({"type": "string"}, "text/html")))
    assert 'accept="text/html"' in found and "-> str:" in found
    raw = described(responses=answers({"type": "string", "format": "binary"}, "application/octet-stream"))
    assert 'accept="application/octet-stream"' in method_of(raw) and "-> bytes:" in method_of(raw)
    assert "200: Blob;" in typescript.text(operations.read(raw))


def test_pages_are_walked_and_streams_followed() -> None:
    page = {
        "type": "object",
        "properties": {"data": {"type": "array", "items": {"type": "string"}}, "next": {"type": "string"}},
    }
    responses = {
        "200": {
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/Page"}},
                "text/event-stream": {"schema": {"type": "string"}},
            }
        }
    }
    parameters = [{"in": "query", "name": "cursor", "schema": {"type": "string"}}]
    document = described(responses=responses, parameters=parameters, schemas={"Page": page})
    found = method_of(document)
    assert "def list_apps(" in found and "-> models.Page:" in found
    assert "def iter_apps(" in found and "-> Iterator[str]:" in found
    assert "def follow_apps(" in found and "-> Generator[streams.Told]:" in found
    document["paths"]["/v1/apps"]["get"]["parameters"] = []
    assert "def iter_apps(" not in method_of(document)  # nothing takes the page's next


def test_a_stream_alone_is_only_followed() -> None:
    found = operations.read(described(responses=answers({"type": "string"}, "text/event-stream")))
    assert (found.operations[0].streams, found.operations[0].answer) == (True, None)


@pytest.mark.parametrize(
    "operation",
    [
        {"parameters": [{"in": "cookie", "name": "a", "schema": {}}]},
        {"responses": answers({"type": "object"}, "application/xml")},
        {"responses": {"200": {"content": {kind: {"schema": {"type": "string"}} for kind in ("text/a", "text/b")}}}},
        {"requestBody": {"content": {"multipart/form-data": {"schema": {"type": "object"}}}}},
    ],
    ids=str,
)
def test_what_no_client_can_send_or_read_is_refused(operation: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        operations.read(described(**operation))


def test_names_that_are_taken_are_refused() -> None:
    schemas = {"Operations": {"type": "object", "properties": {}}}
    with pytest.raises(Unreadable, match="Operations"):
        typescript.text(operations.read(described(schemas=schemas)))
    with pytest.raises(Unreadable, match="Problem"):
        operations.read(described(), {"frames": {"Problem": {}}})


ODD: dict[str, Any] = {
    "Odd": {
        "description": 'Ends with "a quote"',
        "type": "object",
        "properties": {
            "from": {"type": ["integer", "null"], "description": "A word of Python."},
            "x-y": {"enum": ["a", "b"]},
            "class": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}},
        },
        "required": ["from"],
    },
    "Long": {
        "description": "A sentence that goes on " * 12 + 'with a \\ and """ in it.\n\nAnd a list:\n\n- one */\n- two',
        "type": "object",
        "properties": {},
    },
    "Kinds": {"enum": [f"a rather long choice {number}" for number in range(20)]},
    "Wide": {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("Odd", "Long", "WideA", "WideB")] * 2},
    "WideA": {"type": "object", "properties": {f"{'a' * 40}{n}": {"type": "string"} for n in range(3)}},
    "WideB": {"anyOf": [{"$ref": "#/components/schemas/Kinds"}, {"$ref": "#/components/schemas/WideA"}]},
}


def test_odd_code_is_still_formatted_checked_and_loaded(tmp_path: Path) -> None:
    """Ruff changes nothing of it, and Python takes it: functional TypedDicts, wrapped docstrings, aliases in order."""
    many = [{"in": "query", "name": f"a_long_parameter_{n}", "schema": {"type": "string"}} for n in range(9)]
    document = described(parameters=many, schemas=ODD, responses=answers({"$ref": "#/components/schemas/Wide"}))
    written = {
        path: code for path, code in python.files(operations.read(document)).items() if path.startswith("models/")
    }
    for path, code in written.items():
        file = tmp_path / path.replace("models/", "")
        file.write_text(code)
    settings = str(Path(__file__).parents[3] / "pyproject.toml")
    for words in (["format", "--check"], ["check"]):
        command = [sys.executable, "-m", "ruff", *words, "--no-cache", "--config", settings, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
    space: dict[str, Any] = {"__name__": "odd"}
    exec(compile(written["models/apps.py"], "apps.py", "exec"), space)
    assert space["Odd"].__required_keys__ == {"from"}
    assert space["Long"].__doc__.endswith("- one */\n    - two\n    ")
    types = typescript.text(operations.read(document))
    assert '"x-y"?: "a" | "b";' in types and "*/\n * - two" not in types


def test_lines_are_fitted() -> None:
    assert text.fitted("f(", ["a", "b"], ")") == ["f(a, b)"]
    assert text.fitted("f(", ["a" * 80, "b" * 40], ")", 2) == [
        "  f(",
        f"      {'a' * 80},",
        f"      {'b' * 40},",
        "  )",
    ]
    assert text.docstring("", 4) == []
    assert text.docstring('Say "hi"', 0) == ['"""Say "hi\\""""']
