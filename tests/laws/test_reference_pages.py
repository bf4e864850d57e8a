"""Pages of reference that are generated: events with their payloads, and the command line."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

import typer.main

from kovra.entrypoints.cli import app
from kovra.foundation.events import CATALOGUE, Event
from tests.laws.test_documents import same


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
        "Results on stdout (`--output json` for programs), progress on stderr. Exit codes: 0 live or done, 1 failed, 2 canceled or",
        "superseded, 3 timed out, 4 denied, 5 usage. `KOVRA_URL` and `KOVRA_TOKEN` say where and as whom. Generated from the source.",
        "",
    ]
    lines += described(typer.main.get_command(app), "kovra")
    same("docs/reference/cli.md", "\n".join(lines).rstrip() + "\n")
