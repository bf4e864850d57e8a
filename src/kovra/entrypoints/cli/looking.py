"""Looking into what runs: logs, and commands in running instances."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import typer

from kovra.entrypoints.cli import kept
from kovra.entrypoints.cli.named import AppName, Form, Where, find_pair
from kovra.entrypoints.cli.output import Output, harmless
from kovra.entrypoints.cli.streaming import follow
from kovra.entrypoints.client import Client

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command()(logs)
    app.command(name="exec", context_settings={"allow_interspersed_args": False})(execute)


def logs(
    app: AppName,
    environment: Where = "production",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    since: Annotated[str | None, typer.Option(help="10m, 2h, 1d, or a time (RFC 3339).")] = None,
    process: Annotated[str | None, typer.Option(help="Only this process.")] = None,
    contains: Annotated[str | None, typer.Option("--grep", "-q", help="Only lines with this text.")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=1000, help="How many old lines.")] = 100,
    output: Form = Output.text,
) -> None:
    """Show what an app writes: the newest lines, or everything since a time, and with -f what comes."""
    client = kept.connect()
    query: dict[str, Any] = {"limit": lines if since is None else 1000}
    query |= {"since": moment(since)} if since else {}
    query |= {"process": process} if process else {}
    query |= {"q": contains} if contains else {}
    path = f"/v1/app-environments/{find_pair(client, app, environment)['id']}/logs"
    found = _followed(client, path, query) if follow else _paged(client, path, query)
    try:
        for line in found:
            print(json.dumps(line) if output is Output.json else shown(line), flush=follow)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def moment(text: str) -> str:
    """``10m`` as the time ten minutes ago, a time as it is; raises BadParameter."""
    if text[:-1].isdecimal() and len(text) < 8 and text[-1] in _UNITS:
        ago = timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
        return (datetime.now(UTC) - ago).isoformat().replace("+00:00", "Z")
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("10m, 2h, 1d, or a time such as 2026-11-25T11:00:00Z") from None
    return given.astimezone(UTC).isoformat().replace("+00:00", "Z")


def shown(line: dict[str, Any]) -> str:
    """A line of a log for a terminal."""
    return f"{line['time'][:23]}Z {line['process']}.{line['pod'].rsplit('-', 1)[-1]} | {harmless(line['line'])}"


def _paged(client: Client, path: str, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    while True:
        page = client.call("GET", f"{path}?{urlencode(query)}")
        yield from page["data"]
        if "since" not in query or not page["next"]:
            return
        query = query | {"cursor": page["next"]}


def _followed(client: Client, path: str, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for kind, data in follow(client, path, query, ends="end"):
        if kind == "line":
            yield data
        elif kind == "dropped":
            sys.stderr.write(f"... {data['count']} lines of {data['pod']} left out\n")


def execute(
    app: AppName,
    command: Annotated[list[str], typer.Argument(help="What to run, after --.")],
    environment: Where = "production",
    process: Annotated[str, typer.Option(help="In an instance of this process.")] = "web",
    tty: Annotated[bool | None, typer.Option("--tty/--no-tty", "-t/-T", help="Default: as this terminal is.")] = None,
) -> None:
    """Run a command in a running instance; its exit code becomes this one's."""
    from kovra.entrypoints.cli.terminal import run

    client = kept.connect()
    terminal = tty if tty is not None else sys.stdin.isatty() and sys.stdout.isatty()
    words = command[1:] if command[:1] == ["--"] else command
    if not words:
        raise typer.BadParameter("name a command after --")
    path = f"/v1/app-environments/{find_pair(client, app, environment)['id']}/actions/exec"
    made = client.call("POST", path, {"process": process, "command": words, "tty": terminal})
    raise typer.Exit(run(client.url, made["ticket"], tty=terminal))
