"""Seeing what is there and what happens: status, releases, events, and the app itself."""

from __future__ import annotations

import contextlib
import json
import sys
import textwrap
import webbrowser
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kovra.entrypoints.cli import completing, kept
from kovra.entrypoints.cli.looking import say_following
from kovra.entrypoints.cli.named import AppName, Form, Where, find_app, find_pair
from kovra.entrypoints.cli.output import Output, harmless, show, table
from kovra.entrypoints.cli.terminals import is_live, width_of

if TYPE_CHECKING:
    from kovra.client import Client
    from kovra.client.models import AppEnvironmentOut, DeploymentOut, EventOut

_LATEST: Final = 5
_SPANS: Final = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command()(status)
    app.command()(releases)
    app.command()(events)
    app.command(name="open")(open_page)


def status(app: AppName, output: Form = Output.text) -> None:
    """Show an app on one screen. Where it runs, what is live there, how it is, and its last deployments."""
    client = kept.connect()
    found = find_app(client, app)
    pairs = list(client.iter_app_environments(app=found["id"], include="environment", limit=200))
    newest = client.list_deployments(app=found["id"], include="environment", sort="-created_at", limit=_LATEST)
    deployments = newest["data"]
    document = {"app": found, "app_environments": pairs, "deployments": deployments}
    show(document, output, _screen(app, pairs, deployments))


def _screen(name: str, pairs: list[AppEnvironmentOut], deployments: list[DeploymentOut]) -> str:
    environments = [
        {
            "environment": _environment(pair),
            "release": pair["current_release"]["number"] if pair["current_release"] else None,
            "image": pair["current_release"]["image"] if pair["current_release"] else None,
            "health": "suspended" if pair["suspended"] else pair["health"],
            "reached": "maintenance" if pair["maintenance"] else pair["exposure"],
            "url": pair["url"],
        }
        for pair in pairs
    ]
    latest = [
        {
            "deployment": d["number"],
            "environment": _environment(d),
            "release": d["release"]["number"] if d["release"] else None,
            "outcome": d["outcome"] or f"{d['phase']} …",
            "by": d["trigger"],
            "when": ago(d["created_at"]),
            "reason": d["reason"]["code"] if d["reason"] else None,
        }
        for d in deployments
    ]
    return "\n".join(
        [
            name,
            "",
            table(environments, "environment", "release", "image", "health", "reached"),
            "",
            "Addresses",
            table([one for one in environments if one["url"]], "environment", "url"),
            "",
            "Last deployments",
            table(latest, "deployment", "environment", "release", "outcome", "by", "when", "reason"),
        ]
    )


def _environment(place: AppEnvironmentOut | DeploymentOut) -> str | None:
    embedded = place.get("environment")
    return embedded["slug"] if embedded else None


def ago(moment: str) -> str:
    """How long ago a time was: ``3 min ago``."""
    seconds = max(0, int((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()))
    size, unit = next(((size, unit) for size, unit in _SPANS if seconds >= size), (1, "s"))
    return f"{seconds // size} {unit} ago"


def releases(
    app: AppName,
    environment: Where = "production",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=200, help="How many at most.")] = 20,
    output: Form = Output.text,
) -> None:
    """Show what was released, newest first. `kovra rollback PROJECT/APP NUMBER` goes back to one."""
    client = kept.connect()
    pair = find_pair(client, app, environment)
    rows = client.list_releases(app_environment=pair["id"], sort="-created_at", limit=limit)["data"]
    current = pair["current_release"]["id"] if pair["current_release"] else None
    shown = [
        row | {"release": row["number"], "live": row["id"] == current, "when": ago(row["created_at"])} for row in rows
    ]
    show(rows, output, table(shown, "release", "image", "config_revision", "live", "when"))


def open_page(
    app: AppName,
    environment: Where = "production",
    print_only: Annotated[bool, typer.Option("--print", help="Only print the address.")] = False,
    output: Form = Output.text,
) -> None:
    """Open the app's address in a browser. Where there is none, and in any case, the address is printed."""
    address = find_pair(kept.connect(), app, environment)["url"]
    if not address:
        raise typer.BadParameter("This app has no address: it has no process called web.")
    show({"url": address}, output, address)
    if not print_only and output is Output.text and sys.stdout.isatty():
        webbrowser.open(address)


def events(
    app: Annotated[
        str | None, typer.Option("--app", help="Only of this project/app.", autocompletion=completing.apps)
    ] = None,
    kind: Annotated[str | None, typer.Option("--type", help="Only of this type, such as deployment.finished.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only about this id.")] = None,
    following: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=1000, help="How many old ones.")] = 20,
    output: Form = Output.text,
) -> None:
    """Show what happened in the organization. The newest facts of its ledger, and with -f what happens."""
    client = kept.connect()
    topic = find_app(client, app)["id"] if app else None

    def since(after: int) -> Iterator[EventOut]:
        return client.iter_events(after=after, limit=200, type_=kind, subject=subject, topic=topic)

    old = _newest(client, since, lines)
    try:
        for fact in old:
            _print(fact, output)
        if following:
            say_following()
            begin = old[-1]["seq"] if old else None
            for told in client.follow_events(after=begin, type_=kind, subject=subject, topic=topic):
                if told.kind == "event":
                    _print(told.data, output)
                elif told.kind == "dropped":
                    sys.stderr.write(f"... {told.data['to'] - told.data['after']} facts left out\n")
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _newest(client: Client, since: Callable[[int], Iterator[EventOut]], count: int) -> list[EventOut]:
    """The newest facts, oldest first. The list begins where it is told to, so it is asked for ever longer ends of it."""
    if not count:
        return []
    with contextlib.closing(client.follow_events()) as stream:
        newest = next(stream).data["seq"]  # a stream begins by telling where
    span = count
    while True:
        start = max(0, newest - span)
        found = list(since(start))
        if len(found) >= count or not start:
            return found[-count:]
        span *= 8


def _print(fact: EventOut, output: Output) -> None:
    if output is Output.json:
        print(json.dumps(fact), flush=True)
        return
    told = harmless(" ".join(f"{name}={_short(value)}" for name, value in fact["payload"].items()))
    line = harmless(f"{fact['created_at'][:19]}Z {fact['type']} {fact['subject']}")
    told = f"by {harmless(fact['actor'])} {told}".rstrip()
    if is_live(sys.stdout):
        room = max(20, width_of(sys.stdout) - 5)
        print(line, *(f"    {piece}" for piece in textwrap.wrap(told, room)), sep="\n", flush=True)
    else:
        print(line, told, flush=True)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
