"""The description of the API is whole: every operation with its words, examples, refusals, right and headers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from kovra.entrypoints import description
from kovra.entrypoints.openapi import pages
from kovra.entrypoints.openapi.examples import MISSING
from kovra.entrypoints.openapi.meanings import MEANINGS
from kovra.entrypoints.openapi.remedies import REMEDIES

DOCUMENT = description.document()
OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
NAMES = [name for name, _ in OPERATIONS]
each = pytest.mark.parametrize(("name", "operation"), OPERATIONS, ids=NAMES)


def fits(value: Any, schema: dict[str, Any]) -> list[str]:
    """What is wrong with an example."""
    resource = Resource.from_contents(DOCUMENT, default_specification=DRAFT202012)
    registry = Registry().with_resource("urn:api", resource)
    absolute = json.loads(json.dumps(schema).replace('"#/', '"urn:api#/'))
    return [error.message for error in Draft202012Validator(absolute, registry=registry).iter_errors(value)]


def bodies(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every JSON body of an operation: what is sent, and what comes back."""
    for kind, media in operation.get("requestBody", {}).get("content", {}).items():
        yield f"request {kind}", media
    for status, answer in operation["responses"].items():
        for kind, media in answer.get("content", {}).items():
            if kind.endswith("json"):
                yield f"{status} {kind}", media


def test_it_is_openapi() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert [error.message for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []


def test_operation_ids_are_stable_words_and_unique() -> None:
    ids = [operation["operationId"] for _, operation in OPERATIONS]
    assert len(set(ids)) == len(ids) > 60
    assert [i for i in ids if not re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", i)] == []


@each
def test_it_says_what_it_does_and_who_may(name: str, operation: dict[str, Any]) -> None:
    assert len(operation["description"]) > 10
    assert operation["summary"]
    known = {tag["name"] for tag in DOCUMENT["tags"]}
    assert len(operation["tags"]) == 1
    assert set(operation["tags"]) <= known
    public, right = operation.get("x-public"), operation.get("x-permission")
    assert operation["security"] == ([] if public else [{"bearer": []}])
    assert bool(public) + bool(right) <= 1
    if not public and not right:  # whatever any living login may do: its own account
        assert re.match(r"\w+ /v1/(auth/|me|sessions|organizations)", name), name


@each
def test_parameters_are_explained(name: str, operation: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", []):
        if "$ref" in parameter:
            parameter = DOCUMENT["components"]["parameters"][parameter["$ref"].rsplit("/", 1)[1]]
        assert parameter.get("description"), (name, parameter["name"])
        assert parameter["schema"], (name, parameter["name"])


def undescribed(name: str, schema: dict[str, Any]) -> Iterator[str]:
    for key, field in schema.get("properties", {}).items():
        if not field.get("description"):
            yield f"{name}.{key}"
        yield from undescribed(f"{name}.{key}", field.get("items", field))


def test_every_field_says_what_it_means() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert [where for name in schemas for where in undescribed(name, schemas[name])] == []


@each
def test_every_body_has_an_example_that_fits(name: str, operation: dict[str, Any]) -> None:
    assert any(status.startswith("2") for status in operation["responses"])
    assert "Successful Response" not in [answer["description"] for answer in operation["responses"].values()]
    for where, media in bodies(operation):
        values = [media["example"]] if "example" in media else [e["value"] for e in media["examples"].values()]
        assert values, (name, where)
        for value in values:
            assert fits(value, media["schema"]) == [], (name, where, value)
            assert f'"{MISSING}"' not in json.dumps(value), (name, where, value)


@each
def test_every_refusal_is_named(name: str, operation: dict[str, Any]) -> None:
    refused = {status: answer for status, answer in operation["responses"].items() if status[0] in "45"}
    wanted = {"400", "406", "414", "431"}
    if name != "GET /healthz":
        wanted |= {"403", "429", "503"}
    if operation["security"]:
        wanted |= {"401"}
    if "{" in name:
        wanted |= {"404"}
    if not name.startswith("GET"):
        wanted |= {"408", "413", "415", "422"}
    assert wanted <= refused.keys(), name
    assert "500" not in refused
    for status, answer in refused.items():
        examples = answer["content"]["application/problem+json"]["examples"]
        assert examples, (name, status)
        for code, shown in examples.items():
            assert (shown["value"]["code"], str(shown["value"]["status"])) == (code, status)
        assert ("Retry-After" in answer["headers"]) == (status in ("429", "503"))


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    answered = {
        code
        for _, operation in OPERATIONS
        for answer in operation["responses"].values()
        for code in answer.get("content", {}).get("application/problem+json", {}).get("examples", {})
    }
    assert answered <= MEANINGS.keys()
    assert REMEDIES.keys() == MEANINGS.keys()
    for code in MEANINGS:
        page = pages.problem(code, DOCUMENT)
        assert page is not None
        shown = page.replace("&#x27;", "'")
        assert MEANINGS[code].split("`")[0] in shown
        assert REMEDIES[code].split("`")[0] in shown
    assert pages.problem("<script>", DOCUMENT) is None


def test_nothing_in_it_belongs_to_anybody() -> None:
    """T187: hosts of reserved names, tokens that open nothing, no address of a machine."""
    text = json.dumps(DOCUMENT)
    hosts = set(re.findall(r"https?://([a-z0-9.-]+)", text))
    assert [h for h in hosts if not h.endswith((".test", ".example", "localhost"))] == []
    assert re.findall(r"kvr_[a-z]+_[0-9A-Za-z]{30,}", text) == []
    assert re.findall(r"[\w.+-]+@(?!example\.test)[\w-]+\.\w+", text) == []
