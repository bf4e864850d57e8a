"""One-off runs: start one and follow it, list, show, cancel."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from kovra.client import ApiRefused
from kovra.entrypoints.cli import kept
from kovra.entrypoints.cli.named import AppName, Form, Where, find_pair
from kovra.entrypoints.cli.output import Output, harmless, show, table

SizeName = Literal["nano", "micro", "small", "medium", "large"]

if TYPE_CHECKING:
    from kovra.client import Client
    from kovra.client.models import LineOut, RunIn, RunOut

runs = typer.Typer(help="Runs of commands.", no_args_is_help=True)

FAILED, CANCELED, TIMED_OUT = 1, 2, 3
_SETTLES_S: Final = 2.0
"""How long the stream of lines may go on after the end: the last page is read anyway."""
Size = Annotated[str, typer.Option(help="nano, micro, small, medium or large.")]
Limit = Annotated[int, typer.Option("--time-limit", min=1, max=86_400, help="Seconds until it is ended.")]
Variables = Annotated[list[str] | None, typer.Option("--env", help="NAME=value, no secrets; may be repeated.")]
Words = Annotated[list[str], typer.Argument(help="What to run, after --.")]
RunId = Annotated[str, typer.Argument(help="The id of a run.", metavar="RUN")]


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command(context_settings={"allow_interspersed_args": False})(run)
    app.add_typer(runs, name="runs")


def run(
    app: AppName,
    command: Words,
    environment: Where = "production",
    release: Annotated[int | None, typer.Option(help="Its number. Default: the one that is live.")] = None,
    size: Size = "nano",
    time_limit: Limit = 3600,
    env: Variables = None,
    follows: Annotated[bool, typer.Option("--follow/--no-follow", help="Show what it writes, to its end.")] = True,
    output: Form = Output.text,
) -> None:
    """Run a command once in the image of what is live. Exit code: the command's own; 1 failed without one, 2 canceled,
    3 ended at its time limit.
    """
    client = kept.connect()
    place = find_pair(client, app, environment)["id"]
    body: RunIn = {
        "app_environment": place, "command": words_of(command), "size": size_of(size), "time_limit_s": time_limit,
        "release": release, "env": variables(env), "trigger": "cli",
    }  # fmt: skip
    started = client.create_run(body)
    sys.stderr.write(f"run {started['id']}\n")
    if not follows:
        show(started, output, started["id"])
        return
    ended = _followed(client, place, started, quiet=output is Output.json)
    if output is Output.json:
        show(ended, output, "")
    sys.stderr.write(f"{verdict(ended)}\n")
    raise typer.Exit(exit_code(ended))


def words_of(command: list[str]) -> list[str]:
    """The command behind the dashes; raises BadParameter when there is none."""
    words = command[1:] if command[:1] == ["--"] else command
    if not words:
        raise typer.BadParameter("name a command after --")
    return words


def size_of(name: str) -> SizeName:
    """A size by its name; raises BadParameter."""
    match name:
        case "nano" | "micro" | "small" | "medium" | "large":
            return name
    raise typer.BadParameter("nano, micro, small, medium or large", param_hint="--size")


def variables(given: list[str] | None) -> dict[str, str]:
    """NAME=value pairs; raises BadParameter."""
    found = {}
    for pair in given or ():
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise typer.BadParameter("NAME=value", param_hint="--env")
        found[name] = value
    return found


def _followed(client: Client, place: str, started: RunOut, *, quiet: bool) -> RunOut:
    """Show its lines until its end; Ctrl-C asks whether it is to be canceled."""
    lines = _Lines(client, place, started)
    if not quiet:
        lines.start()
    try:
        ended = _end_of(client, started["id"])
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        if not sys.stdin.isatty() or not typer.confirm("Cancel the run?", err=True):
            sys.stderr.write(f"It goes on; to cancel it: kovra runs cancel {started['id']}\n")
            raise typer.Exit(130) from None
        client.cancel_run(started["id"])
        ended = _end_of(client, started["id"])
    if not quiet:
        lines.finish()
    return ended


def _end_of(client: Client, run_id: str) -> RunOut:
    found = client.get_run(run_id, wait=30, until="terminal")
    while found["outcome"] is None:
        found = client.get_run(run_id, wait=30, until="terminal")
    return found


class _Lines:
    """The lines of a run on stdout, as they come, and those that were not seen coming at its end; each once."""

    def __init__(self, client: Client, place: str, started: RunOut) -> None:
        self._client, self._place, self._run = client, place, started
        self._seen: Counter[tuple[str, str, str]] = Counter()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def start(self) -> None:
        """Begin to show what comes."""
        self._thread.start()

    def _follow(self) -> None:
        """A stream that cannot be had is no failure of the run: its lines are read at the end."""
        client = replace(self._client)
        try:
            for kind, data in client.follow_logs(self._place, run=self._run["id"], since=self._run["created_at"]):
                if self._over.is_set():
                    return
                if kind == "line":
                    self._show(data)
        except ApiRefused:
            return

    def _show(self, line: LineOut) -> None:
        self._seen[line["time"], line["pod"], line["line"]] += 1
        print(harmless(line["line"]), flush=True)

    def finish(self) -> None:
        """Read once more from its beginning: what the stream has not brought by now."""
        self._thread.join(_SETTLES_S)
        self._over.set()
        seen = Counter(self._seen)
        for line in self._client.iter_logs(self._place, run=self._run["id"], since=self._run["created_at"], limit=1000):
            key = (line["time"], line["pod"], line["line"])
            if seen[key]:
                seen[key] -= 1
            else:
                print(harmless(line["line"]))


def verdict(found: RunOut) -> str:
    """How it ended, and why, for people."""
    reason = found["reason"]
    if reason is None:
        return str(found["outcome"] or found["phase"])
    code = f", exit code {found['exit_code']}" if found["exit_code"] is not None else ""
    return f"{found['outcome']}{code}: {reason['message']} {reason['hint']}"


def exit_code(found: RunOut) -> int:
    """The command's own where it ended by itself."""
    match found["outcome"]:
        case "succeeded":
            return 0
        case "failed":
            return found["exit_code"] or FAILED
        case "timed_out":
            return TIMED_OUT
        case _:
            return CANCELED


@runs.command("list")
def runs_list(
    app: AppName,
    environment: Where = "production",
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=200, help="How many of the newest.")] = 20,
    output: Form = Output.text,
) -> None:
    """The newest runs of an app, those of cron jobs among them."""
    client = kept.connect()
    place = find_pair(client, app, environment)["id"]
    found = client.list_runs(app_environment=place, limit=count)["data"]
    show(found, output, listed(found))


def listed(found: list[RunOut]) -> str:
    """Runs as a table."""
    rows = [
        {
            "id": one["id"], "state": one["outcome"] or one["phase"], "exit": one["exit_code"],
            "why": one["reason"]["code"] if one["reason"] else None,
            "when": one["scheduled_for"] or one["created_at"], "command": " ".join(one["command"]),
        }
        for one in found
    ]  # fmt: skip
    return table(rows, "id", "state", "exit", "why", "when", "command")


@runs.command("show")
def runs_show(run_id: RunId, output: Form = Output.text) -> None:
    """A run: how it ended, with its last lines when it failed."""
    found = kept.connect().get_run(run_id)
    evidence = [harmless(line) for line in (found["reason"] or {"evidence": []})["evidence"]]
    show(found, output, "\n".join([verdict(found), *evidence]))


@runs.command("cancel")
def runs_cancel(run_id: RunId, output: Form = Output.text) -> None:
    """Stop a run; its command gets SIGTERM, and SIGKILL when it does not end."""
    found = kept.connect().cancel_run(run_id)
    show(found, output, f"{found['id']} is being canceled")
