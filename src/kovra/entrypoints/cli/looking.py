"""Looking into what runs: logs, and commands in running instances."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kovra.entrypoints.cli import kept
from kovra.entrypoints.cli.named import AppName, Form, Where, find_pair
from kovra.entrypoints.cli.output import Output, harmless

if TYPE_CHECKING:
    from kovra.client.models import LineOut
    from kovra.client.streams import Told

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
    """Show what an app writes. The newest lines, or everything since a time, and with -f what comes."""
    client = kept.connect()
    begin, count = (moment(since), 1000) if since else (None, lines)
    place = find_pair(client, app, environment)["id"]
    found: Iterable[LineOut]
    if follow:
        say_following()
        found = _lines(client.follow_logs(place, since=begin, process=process, q=contains, limit=count))
    elif since:
        found = client.iter_logs(place, since=begin, process=process, q=contains, limit=count)
    else:
        found = client.read_logs(place, process=process, q=contains, limit=count)["data"]
    any_line = False
    try:
        for line in found:
            any_line = True
            print(json.dumps(line) if output is Output.json else shown(line), flush=follow)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    if not any_line and output is Output.text:
        sys.stderr.write("No lines.\n")


def say_following() -> None:
    """What follows may be long in coming: that is no hanging."""
    sys.stderr.write("Following; Ctrl-C ends it.\n")
    sys.stderr.flush()


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


def shown(line: LineOut) -> str:
    """A line of a log for a terminal."""
    return f"{line['time'][:23]}Z {line['process']}.{line['pod'].rsplit('-', 1)[-1]} | {harmless(line['line'])}"


def _lines(stream: Iterable[Told]) -> Iterator[LineOut]:
    for kind, data in stream:
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
    """Run a command in a running instance. Its exit code becomes this one's."""
    from kovra.entrypoints.cli.terminal import run

    client = kept.connect()
    terminal = tty if tty is not None else sys.stdin.isatty() and sys.stdout.isatty()
    words = command[1:] if command[:1] == ["--"] else command
    if not words:
        raise typer.BadParameter("name a command after --")
    place = find_pair(client, app, environment)["id"]
    made = client.open_shell(place, {"process": process, "command": words, "tty": terminal})
    raise typer.Exit(run(client.url, made["ticket"], tty=terminal))
