"""A change set for people: what becomes of each app, line by line, with signs in front."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, TextIO

from kovra.entrypoints.cli.output import harmless
from kovra.entrypoints.cli.terminals import colored

if TYPE_CHECKING:
    from kovra.client.models import AppPlanOut, ChangeOut, ChangeSetOut, ObjectOut

_SIGNS: Final = {"add": "+", "create": "+", "change": "~", "update": "~", "remove": "-", "delete": "-", "none": " "}
_COLORS: Final = {"+": "32", "~": "33", "-": "31", "!": "33"}
_LONGEST: Final = 60


def shown(made: ChangeSetOut, stream: TextIO) -> str:
    """All of it, in colours where the stream takes them."""
    lines = [f"{made['id']}  {made['project']} in {made['environment']}", ""]
    if not made["changes"] and not any(app["deploys"] for app in made["apps"]):
        lines.append("Nothing changes: everything is as the file says.")
    for app in made["apps"]:
        lines += _app(app, made, stream)
    lines += _objects(made["objects"], stream)
    lines += _use(made)
    lines += [_signed("!", _warning(one), stream) for one in made["warnings"]]
    return "\n".join([*lines, *(["", _sum(made)] if made["changes"] else [])])


def _app(app: AppPlanOut, made: ChangeSetOut, stream: TextIO) -> Iterator[str]:
    changes = [change for change in made["changes"] if change["app"] == app["app"]]
    if not changes and not app["deploys"]:
        return
    after = {"image": f", deploys {app['image']}", "scale": ", scales", None: ""}[app["deploys"]]
    yield _signed(_SIGNS[app["action"]], f"{app['app']}{after}", stream)
    for change in changes:
        yield _signed(_SIGNS[change["action"]], _change(change), stream, indent=4)
    yield ""


def _change(change: ChangeOut) -> str:
    part = "" if change["part"] == "app" else f"{change['part']}."
    head = harmless(f"{part}{change['path']}")
    if change["hidden"]:
        return f"{head}: (not shown)"
    match change["action"]:
        case "add":
            return f"{head}: {_value(change['after'])}"
        case "remove":
            return f"{head}: {_value(change['before'])}"
        case _:
            return f"{head}: {_value(change['before'])} -> {_value(change['after'])}"


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return harmless(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}...")


def _objects(objects: list[ObjectOut] | None, stream: TextIO) -> list[str]:
    if not objects:
        return []
    lines = ["In the cluster:"]
    for one in objects:
        fields = ", ".join(field["path"] for field in one["fields"][:4])
        more = ", ..." if len(one["fields"]) > 4 else ""
        refused = f" REFUSED: {one['refused']}" if one["refused"] else ""
        about = f": {fields}{more}" if fields else ""
        lines.append(_signed(_SIGNS[one["change"]], f"{one['kind']} {one['name']}{about}{refused}", stream, indent=4))
    return [*lines, ""]


def _use(made: ChangeSetOut) -> list[str]:
    use = made["quota"]
    if use is None or use["before"] == use["after"]:
        return []
    before, after, limit = use["before"], use["after"], use["limit"]
    line = (
        f"Uses {before['cpu_millis'] / 1000:g} -> {after['cpu_millis'] / 1000:g} of {limit['cpu_millis'] / 1000:g} CPU, "
        f"{before['memory_mib']} -> {after['memory_mib']} of {limit['memory_mib']} MiB, "
        f"{before['pods']} -> {after['pods']} of {limit['pods']} instances."
    )
    return [line, ""]


def _warning(one: Any) -> str:
    place = ".".join(part for part in (one["app"], one["about"]) if part)
    return f"{place}: {one['message']}" if place else str(one["message"])


def _sum(made: ChangeSetOut) -> str:
    count = {action: sum(c["action"] == action for c in made["changes"]) for action in ("add", "change", "remove")}
    deploys = sum(bool(app["deploys"]) for app in made["apps"])
    return (
        f"{count['add']} to add, {count['change']} to change, {count['remove']} to remove; "
        f"{deploys} deployment{'' if deploys == 1 else 's'}."
    )


def _signed(sign: str, text: str, stream: TextIO, *, indent: int = 2) -> str:
    line = f"{' ' * (indent - 2)}{sign} {harmless(text)}"
    return colored(line, _COLORS[sign], stream) if sign in _COLORS else line
