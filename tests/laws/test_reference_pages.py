"""Pages of reference that are generated: events with their payloads, and the command line."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from typing import Any

import typer.main

from kovra.entrypoints.cli import app
from kovra.entrypoints.cli.running import EXIT_CODES
from kovra.entrypoints.cli.shapes import OUTPUTS, TROUBLE, Either, Lines, Many, Of, Shape
from kovra.features.changesets.rules.kovrafile import read
from kovra.features.changesets.rules.warnings import WARNINGS
from kovra.features.changesets.schemas import LEFT_OUT, KovraFile
from kovra.features.changesets.schemas import described as file_schema
from kovra.foundation.events import CATALOGUE, Event
from tests.laws.test_documents import ROOT, SOURCE, same
from tests.support.pages import blocks


def payload_of(kind: type[Event]) -> str:
    """Names and types of a payload, as JSON has them."""
    shown = [f"`{f.name}` {in_json(str(f.type))}" for f in fields(kind) if f.name != "subject_id"]
    return ", ".join(shown) or "nothing"


def in_json(annotation: str) -> str:
    """A field's annotation in JSON's words."""
    words = {"str": "text", "int": "number", "float": "number", "bool": "yes or no", "None": "null"}
    found = re.sub(r"\b(str|int|float|bool|None)\b", lambda m: words[m[1]], annotation.replace(" | ", " or "))
    for generic, word in (("list", "list of"), ("tuple", "list of"), ("Sequence", "list of")):
        found = re.sub(rf"{generic}\[(.*?)(, \.\.\.)?\]", rf"{word} \1", found)
    return re.sub(r"(?:dict|Mapping)\[text, (.*?)\]", r"object of \1", found).replace("Any", "anything")


def test_events_stand_in_their_page_with_what_they_carry() -> None:
    lines = [
        "# Events",
        "",
        "Every fact of the ledger, as `GET /v1/events`, streams and sockets carry it: ids, names and numbers, never a secret.",
        "Generated from the source.",
        "",
    ]
    for name, kind in sorted(CATALOGUE.items()):
        about = (kind.__doc__ or "").split("\n\n")[0].replace("\n", " ")
        lines += [
            f"## {name}",
            "",
            f"{re.sub(' +', ' ', about)} About `{kind.prefix}_…`.",
            "",
            f"Payload: {payload_of(kind)}.",
            "",
        ]
    same("docs/reference/events.md", "\n".join(lines).rstrip() + "\n")


def described(command: Any, path: str) -> list[str]:
    """A command's page, and those of the commands below it; click's objects, which typer brings along."""
    below = getattr(command, "commands", None)
    lines = [f"## {path}", "", (command.help or "").replace("\b", "").strip(), ""]
    if below is not None:
        inside = [line for name in sorted(below) for line in described(below[name], f"{path} {name}")]
        return lines + inside if path != "kovra" else inside
    with command.make_context(path, [], resilient_parsing=True) as context:
        usage = " ".join(command.collect_usage_pieces(context))
        rows = [row for row in (option(parameter, context) for parameter in command.params) if row]
    lines += ["```text", f"{path} {usage}", "```", ""]
    return lines + (["| | |", "| --- | --- |", *rows, ""] if rows else [])


def option(parameter: Any, context: Any) -> str | None:
    """One row: an option or argument, and what it means."""
    about = str(getattr(parameter, "help", None) or "")
    if parameter.param_type_name != "option":
        return f"| `{(parameter.metavar or parameter.name.upper())}` | {about} |" if about else None
    names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    default = parameter.get_default(context, call=False)
    if default not in (None, "", False, True) and not callable(default):
        about = f"{about} Default: `{getattr(default, 'value', default)}`.".strip()
    return f"| {names} | {about} |"


def test_the_command_line_stands_in_its_page() -> None:
    lines = [
        "# The command line",
        "",
        "Results on stdout ([`--output json`](cli-json.md) for programs), progress on stderr. Exit codes: 0 live or done, 1 failed,",
        "2 canceled or superseded, 3 timed out, 4 denied, 5 usage. `KOVRA_URL` and `KOVRA_TOKEN`, or a context, say where and as whom;",
        "a folder's link says which app ([setting up](cli-setup.md)). `kovra --context NAME …` is for one command. Generated from the",
        "source.",
        "",
    ]
    lines += described(typer.main.get_command(app), "kovra")
    same("docs/reference/cli.md", "\n".join(lines).rstrip() + "\n")


def shape_of(shape: Shape) -> str:
    """A shape in words."""
    match shape:
        case Of():
            return f"`{shape.name}`"
        case Many():
            return f"list of {shape_of(shape.of)}"
        case Lines():
            return f"lines of {shape_of(shape.of)}"
        case Either():
            return f"{shape_of(shape.one)}; {shape_of(shape.other)} {shape.when}"
        case str():
            return shape
    return "object: " + ", ".join(f"`{name}` {shape_of(inner)}" for name, inner in shape.items())


def with_output(command: Any, path: str = "") -> set[str]:
    """Commands that have ``--output``."""
    below = getattr(command, "commands", None)
    if below is None:
        return {path} if any("--output" in parameter.opts for parameter in command.params) else set()
    return {name for word in below for name in with_output(below[word], f"{path} {word}".strip())}


def local_codes() -> list[str]:
    """Codes of trouble that the command line itself finds."""
    found = {"unreachable", "tls_refused", "not_kovra"}
    for file in sorted((SOURCE / "entrypoints" / "cli").glob("*.py")):
        text = file.read_text()
        found |= set(re.findall(r'LocalTrouble\(\s*"([a-z_]+)"', text)) | set(
            re.findall(r'Trouble\(code="([a-z_]+)"', text)
        )
        found |= set(re.findall(r'Trouble\(\s*code="([a-z_]+)"', text))
    return sorted(found)


def test_what_commands_print_as_json_stands_in_its_page() -> None:
    assert with_output(typer.main.get_command(app)) == OUTPUTS.keys()
    lines = [
        "# The command line as JSON",
        "",
        "`--output json` prints one JSON document on stdout, and nothing else there; `logs` and `events` print one object on each",
        "line, as it comes. Fields may be added; none is taken away, renamed or given another type. Names such as `AppOut` are",
        "schemas of the [API's description](openapi.json). Progress stays on stderr, as lines of text. Generated from the source,",
        "and every command's output in the tests is compared with it.",
        "",
        "| command | prints |",
        "| --- | --- |",
        *(f"| `kovra {name}` | {shape_of(shape)} |" for name, shape in sorted(OUTPUTS.items())),
        "",
        "`kovra exec` prints what the command prints, `kovra openapi` is JSON in any case, `kovra completion` a script.",
        "",
        "## When it does not do what was asked",
        "",
        "The last line of stderr is one JSON object, and the exit code says which kind it is. A deployment that ended otherwise than",
        "live is no trouble: its document, with `outcome` and `reason`, is on stdout, and the exit code is 1 or 2.",
        "",
        "| field | |",
        "| --- | --- |",
        *(f"| `{name}` | {about} |" for name, about in TROUBLE.items()),
        "",
        "`code`, `message`, `hint` and `exit_code` are always there.",
        "",
        "| exit code | |",
        "| --- | --- |",
        *(f"| {code} | {about} |" for code, about in EXIT_CODES.items()),
        "",
        f"Codes of the command line itself: {', '.join(f'`{code}`' for code in local_codes())}.",
    ]
    same("docs/reference/cli-json.md", "\n".join(lines).rstrip() + "\n")


PARTS = {
    "KovraFile": "The file", "AppWanted": "An app", "AppHere": "An app in one environment",
    "EnvironmentWanted": "An environment", "ProcessIn": "A process", "ChecksIn": "Health checks", "CheckIn": "A health check",
    "CronJobWish": "A cron job",
}  # fmt: skip
"""Definitions of the file's schema → headings of its page; another one is headed by its own name."""


def heading(definition: str) -> str:
    return PARTS.get(definition, definition)


def value_of(schema: dict[str, Any], *, inside: bool = False) -> str:
    """What a field holds, in words; whether null means something there, its description says."""
    if "$ref" in schema:
        name = heading(schema["$ref"].rsplit("/", 1)[1])
        return f"[{name}](#{name.lower().replace(' ', '-')})"
    if "anyOf" in schema:
        members = [member for member in schema["anyOf"] if inside or member.get("type") != "null"]
        return " or ".join(value_of(member, inside=True) for member in members)
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    match schema.get("type"):
        case "array":
            return f"list of {value_of(schema['items'], inside=True)}"
        case "object":
            patterns = iter(schema.get("patternProperties", {}).values())
            return f"map to {value_of(next(patterns, schema.get('additionalProperties')), inside=True)}"
        case "integer" | "number":
            least, most = schema.get("minimum"), schema.get("maximum")
            return "number" if least is None else f"{least} to {most}"
        case "boolean":
            return "true or false"
        case "null":
            return "null"
    return "text"


def test_the_format_of_kovra_yaml_stands_in_its_page() -> None:
    same("docs/reference/kovra.schema.json", file_schema())
    schema = KovraFile.model_json_schema()
    lines = [
        "# kovra.yaml",
        "",
        "Every field of the file; what it is for, and how it is applied, is told in [change sets](../concepts/change-sets.md). The",
        "same as [JSON Schema](kovra.schema.json), for editors. Generated from the source.",
        "",
    ]
    definitions = {"KovraFile": schema, **schema["$defs"]}
    order = [*(name for name in PARTS if name in definitions), *sorted(definitions.keys() - PARTS.keys())]
    for name in order:
        one = definitions[name]
        lines += [f"## {heading(name)}", "", one.get("description", "").replace("\n", " "), ""]
        if "properties" in one:
            lines += ["| field | holds | |", "| --- | --- | --- |"]
            for field, said in one["properties"].items():
                needed = " Needed." if field in one.get("required", ()) else ""
                about = said.get("description", "").replace("|", "\\|")
                lines.append(f"| `{field}` | {value_of(said)} | {about}{needed} |")
            lines.append("")
    lines += ["## Left out", "", "Fields of the API that no file sets:", ""]
    lines += [f"- `{name}`: {reason}" for name, reason in LEFT_OUT.items()]
    lines += ["", "## Warnings", "", "What a change set warns of:", "", "| code | |", "| --- | --- |"]
    lines += [f"| `{code}` | {text} |" for code, text in WARNINGS.items()]
    same("docs/reference/kovra-yaml.md", "\n".join(lines).rstrip() + "\n")


def test_the_file_that_the_page_shows_is_one() -> None:
    shown = [b.text for b in blocks(ROOT / "docs/concepts/change-sets.md") if b.language == "yaml"]
    assert shown
    for text in shown:
        KovraFile.model_validate_json(json.dumps(read(text).document))
