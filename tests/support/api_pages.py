"""The API's reference as pages, made from its description alone: one page a tag, and an overview."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from kovra.entrypoints.openapi.meanings import MEANINGS
from kovra.entrypoints.openapi.refusals import OF_A_KIND

Schema = dict[str, Any]
JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
_GENERAL: Final = {(status, code) for status, codes, _, _ in OF_A_KIND for code in codes}
_INTRODUCTION: Final = """\
# The API

Everything is JSON under `/v1`, in UTC, in snake_case; the whole is described by `/v1/openapi.json` (and
[in the repository](../openapi.json)), from which these pages are made. A [credential](../authentication.md) opens exactly
one organization, so no path names it; which roles may call what is in [permissions](../permissions.md). What lies in
another organization answers as what never was: 404.

## How calls behave

- **Ids** have a prefix that says what they are of (`app_…`); a path takes ids, a body or a filter takes the id or the slug.
- **Lists** answer `{"data": [...], "next": ..., "has_more": ...}`; send `next` as `cursor` for the next page, with the same
  filters. `Link` says the same.
- **Unknown** query parameters are a 400, unknown fields of a body a 422: a misspelt filter never answers everything.
- **Changing** what somebody else may have changed: send the `ETag` you saw as `If-Match`, and get 412 instead of
  overwriting. Reading with `If-None-Match` answers 304 while nothing changed.
- **Repeating** safely: send an `Idempotency-Key` with a call that changes something. Within 24 hours the first answer comes
  again, with `Idempotency-Replayed: true`; with another body it is a 422.
- **Errors** are [problems](../codes.md) (RFC 9457): `code` for programs, `detail` for people, `errors` with a pointer to each
  field that is wrong, `request_id` for whoever helps you.
- **Limits**: `RateLimit` says what is left; a 429 or 503 says in `Retry-After` when to come back.
"""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    said: Schema

    @property
    def heading(self) -> str:
        """Its name for people."""
        return str(self.said["summary"])

    @property
    def link(self) -> str:
        """Where it stands, from `docs/reference/`."""
        return f"[{self.heading}](api/{file_of(self.said['tags'][0])}#{_anchor(self.heading)})"

    @property
    def right(self) -> str:
        """Who may call it."""
        if reason := self.said.get("x-public"):
            return f"public: {reason[0].lower()}{reason[1:].rstrip('.')}"
        if permission := self.said.get("x-permission"):
            return f"needs `{permission}`"
        refused = self.said["responses"]["403"]["content"][PROBLEM]["examples"]
        return "a person's login" if "login_needed" in refused else "any living credential"


class Reference:
    """The pages of one description."""

    def __init__(self, document: Schema) -> None:
        self._document = document
        self._schemas: dict[str, Schema] = document["components"]["schemas"]
        self.operations: dict[str, list[Operation]] = {tag["name"]: [] for tag in document["tags"]}
        for path, methods in sorted(document["paths"].items()):
            for method in sorted(methods, key=["get", "post", "put", "patch", "delete"].index):
                self.operations[methods[method]["tags"][0]].append(Operation(method.upper(), path, methods[method]))

    def pages(self) -> dict[str, str]:
        """File name → text."""
        texts = {file_of(tag): self._page(tag) for tag, found in self.operations.items() if found}
        return {"index.md": self._overview(), **texts}

    @cached_property
    def _homes(self) -> dict[str, str]:
        """Schema → the tag whose page explains it: the one whose calls answer it, or else hold it, most often."""
        counts: dict[str, Counter[str]] = {}
        for tag, found in self.operations.items():
            for operation in found:
                outermost = [_item(answer["schema"]) for answer in _answers(operation)]
                for name in self._shown(operation):
                    counts.setdefault(name, Counter())[tag] += 1000 if name in outermost else 1
        return {name: found.most_common(1)[0][0] for name, found in counts.items()}

    def _shown(self, operation: Operation) -> Iterator[str]:
        """The objects that a body or an answer is made of, outermost first; of a body only what is within."""
        body = _body(operation)
        if body is not None:
            outer = self._schemas[_name(body)] if "$ref" in body else body
            yield from self._within(outer, set())
        for answer in _answers(operation):
            yield from self._within(answer["schema"], set())

    def _within(self, schema: Any, seen: set[str]) -> Iterator[str]:
        if isinstance(schema, list):
            for inner in schema:
                yield from self._within(inner, seen)
        elif isinstance(schema, dict):
            if isinstance(schema.get("$ref"), str) and (name := _name(schema)) not in seen:
                seen.add(name)
                if self._is_object(name):
                    yield name
                yield from self._within(self._schemas[name], seen)
            for key, inner in schema.items():
                if key not in ("examples", "default"):
                    yield from self._within(inner, seen)

    def _is_object(self, name: str) -> bool:
        return "properties" in self._schemas[name] and not name.startswith("ListOf_")

    def _overview(self) -> str:
        lines = [_INTRODUCTION, "## What any call may answer", ""]
        lines += ["| status | code | which calls | meaning |", "| --- | --- | --- | --- |"]
        for status, codes, calls, _ in OF_A_KIND:
            lines += [f"| {status} | [`{code}`](../codes.md#{code}) | {calls} | {MEANINGS[code]} |" for code in codes]
        for tag, found in self.operations.items():
            if not found:
                continue
            lines += ["", f"## {_title(tag)}", "", "| call | | who may |", "| --- | --- | --- |"]
            for o in found:
                whom = "public" if o.said.get("x-public") else o.right
                lines.append(f"| `{o.method} {o.path}` | [{o.heading}]({file_of(tag)}#{_anchor(o.heading)}) | {whom} |")
        return "\n".join(lines) + "\n"

    def _page(self, tag: str) -> str:
        about = next(t["description"] for t in self._document["tags"] if t["name"] == tag)
        lines = [f"# {_title(tag)}", "", f"{about} Generated from the description of the API.", ""]
        for operation in self.operations[tag]:
            lines += self._operation(tag, operation)
        here = [name for name, home in self._homes.items() if home == tag]
        if here:
            lines += ["## Objects", ""]
        for name in here:
            schema = self._schemas[name]
            lines += [f"### {name}", "", schema.get("description", ""), "", *self._fields(tag, schema), ""]
        return "\n".join(lines).rstrip() + "\n"

    def _operation(self, tag: str, operation: Operation) -> list[str]:
        said = operation.said
        lines = [f"## {operation.heading}", "", f"`{operation.method} {operation.path}` · {operation.right}", ""]
        lines += [said["description"], ""]
        if parameters := [self._resolved(p) for p in said.get("parameters", ())]:
            lines += ["| parameter | in | type | meaning |", "| --- | --- | --- | --- |"]
            lines += [
                f"| `{p['name']}` | {p['in']} | {self._type(tag, p['schema'])} | {_cell(p['description'])} |"
                for p in parameters
            ]
            lines.append("")
        body = _body(operation)
        if body is not None:
            lines += ["Body:", "", *self._fields(tag, self._schemas[_name(body)], asked=True), ""]
        lines += self._answers(tag, operation)
        lines += ["```sh", self.request(operation), "```", ""]
        return lines + _example(operation)

    def _answers(self, tag: str, operation: Operation) -> list[str]:
        lines = ["| answer | |", "| --- | --- |"]
        general = set()
        for status, answer in operation.said["responses"].items():
            refused = answer.get("content", {}).get(PROBLEM)
            if refused is None:
                lines.append(f"| {status} | {self._answer(tag, answer)} |")
                continue
            for code in refused["examples"]:
                if (int(status), code) in _GENERAL:
                    general.add(status)
                else:
                    lines.append(f"| {status} | [`{code}`](../codes.md#{code}) {MEANINGS[code]} |")
        known = ", ".join(sorted(general))
        return [*lines, f"| {known} | as [any call of its kind](index.md#what-any-call-may-answer) |", ""]

    def _answer(self, tag: str, answer: Schema) -> str:
        shown = [
            self._type(tag, media["schema"]) if kind == JSON else f"`{kind}`"
            for kind, media in answer.get("content", {}).items()
        ]
        return _cell(f"{answer['description']} {' or '.join(shown)}".strip())

    def _fields(self, tag: str, schema: Schema, *, asked: bool = False) -> list[str]:
        needed = set(schema.get("required", ()))
        lines = ["| field | type | meaning |", "| --- | --- | --- |"]
        for name, field in sorted(schema["properties"].items(), key=lambda item: asked and item[0] not in needed):
            kind = self._type(tag, field)
            if asked and name in needed:
                kind += ", needed"
            if field.get("default") not in (None, "", {}, []) and "const" not in field:
                kind += f", default `{json.dumps(field['default'])}`"
            lines.append(f"| `{name}` | {kind} | {_cell(field['description'])} |")
        return lines

    def _resolved(self, parameter: Schema) -> Schema:
        if "$ref" not in parameter:
            return parameter
        found: Schema = self._document["components"]["parameters"][_name(parameter)]
        return found

    def _type(self, tag: str, schema: Schema) -> str:
        """A schema in a few words, with its limits."""
        if "$ref" in schema:
            return self._named(tag, _name(schema))
        if "anyOf" in schema:
            return " or ".join(dict.fromkeys(self._type(tag, member) for member in schema["anyOf"]))
        if "const" in schema:
            return f"`{schema['const']}`"
        if "enum" in schema:
            return ", ".join(f"`{value}`" for value in schema["enum"])
        match schema.get("type"):
            case "string":
                return _text(schema)
            case "integer" | "number" as kind:
                return _bounded("number" if kind == "number" else "whole number", schema, "minimum", "maximum", "")
            case "array":
                return _bounded(f"list of {self._type(tag, schema['items'])}", schema, "minItems", "maxItems", "items")
            case "object":
                return self._mapping(tag, schema)
            case "boolean":
                return "yes or no"
            case "null":
                return "null"
        return "anything"

    def _mapping(self, tag: str, schema: Schema) -> str:
        values = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")]
        inner = next((self._type(tag, value) for value in values if isinstance(value, dict)), "anything")
        return _bounded(f"object of {inner}", schema, "minProperties", "maxProperties", "names")

    def _named(self, tag: str, name: str) -> str:
        if (item := _item({"$ref": name})) != name:
            return f"a page of {self._named(tag, item)}"
        if name == "Permission":
            return "[permission](../permissions.md)"
        if not self._is_object(name):
            return self._type(tag, self._schemas[name])
        home = self._homes.get(name, tag)
        return f"[{name}]({'' if home == tag else file_of(home)}#{_anchor(name)})"

    def request(self, operation: Operation) -> str:
        """One call with curl; ids are examples."""
        path = operation.path
        for parameter in (self._resolved(p) for p in operation.said.get("parameters", ())):
            if parameter["in"] == "path":
                path = path.replace(f"{{{parameter['name']}}}", _path_value(parameter["name"]))
        words = ["curl" if operation.method == "GET" else f"curl -X {operation.method}", f'"$KOVRA_URL{path}"']
        if not operation.said.get("x-public"):
            words.append('-H "Authorization: Bearer $KOVRA_TOKEN"')
        if "428" in operation.said["responses"]:
            words.append("-H 'If-Match: \"7\"'")
        sent = operation.said.get("requestBody", {}).get("content", {}).get(JSON)
        if sent is not None:
            words += [
                '-H "Content-Type: application/json"',
                f"-d {shlex.quote(json.dumps(sent['example'], ensure_ascii=False))}",
            ]
        return " \\\n  ".join([" ".join(words[:2]), *words[2:]])


def file_of(tag: str) -> str:
    """The page of a tag."""
    return f"{tag.replace(' ', '-')}.md"


_EXAMPLE_ID: Final = "01jdqjwz00fay8vvr14d2pf2db"
_PREFIXES: Final = {
    "app_environment_id": "aev", "app_id": "app", "cron_job_id": "crn", "deployment_id": "dep", "environment_id": "env",
    "change_set_id": "cs",
    "credential_id": "reg", "isolation_proof_id": "prf", "member_id": "mem",
    "cluster_id": "clu", "volume_id": "vol",
    "project_id": "prj", "release_id": "rel", "run_id": "run", "session_id": "ses", "token_id": "tok",
}  # fmt: skip


def _path_value(name: str) -> str:
    known = {"code": "not_found", "name": "DATABASE_URL"}
    return known[name] if name in known else f"{_PREFIXES[name]}_{_EXAMPLE_ID}"


def _body(operation: Operation) -> Schema | None:
    schema = operation.said.get("requestBody", {}).get("content", {}).get(JSON, {}).get("schema")
    if schema is None:
        return None
    members = [member for member in schema.get("anyOf", ()) if member.get("type") != "null"]
    found: Schema = members[0] if members else schema
    return found


def _answers(operation: Operation) -> list[Schema]:
    """What is answered as JSON: schema and example."""
    found = [answer.get("content", {}).get(JSON) for answer in operation.said["responses"].values()]
    return [media for media in found if media is not None and "schema" in media]


def _item(schema: Schema) -> str:
    """The object that is answered, or that a list is of."""
    name = _name(schema) if "$ref" in schema else ""
    listed = re.fullmatch(r"ListOf_(\w+)_", name)
    return listed[1] if listed else name


def _example(operation: Operation) -> list[str]:
    """The first good answer that has a body."""
    for status, answer in operation.said["responses"].items():
        media = answer.get("content", {}).get(JSON)
        if status.startswith("2") and media is not None and "example" in media:
            shown = json.dumps(media["example"], indent=2, ensure_ascii=False)
            return [f'```json title="{status}"', shown, "```", ""]
    return []


def _name(schema: Schema) -> str:
    return str(schema["$ref"]).rsplit("/", 1)[-1]


def _title(tag: str) -> str:
    return tag[0].upper() + tag[1:]


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-")


def _cell(text: str) -> str:
    """Text for a table."""
    return " ".join(text.replace("|", "\\|").split())


def _text(schema: Schema) -> str:
    if schema.get("format") == "date-time":
        return "time"
    pattern = schema.get("pattern", "")
    if found := re.match(r"\^([a-z]{2,3})_\[", pattern):
        return f"`{found[1]}_…`"
    return _bounded("text", schema, "minLength", "maxLength", "characters")


def _bounded(kind: str, schema: Schema, least: str, most: str, unit: str) -> str:
    low, high = schema.get(least), schema.get(most)
    if low is None and high is None:
        return kind
    limits = (
        f"at least {low:g}" if high is None else f"at most {high:,.0f}" if low is None else f"{low:g} to {high:,.0f}"
    )
    return f"{kind} ({limits}{' ' + unit if unit else ''})"
