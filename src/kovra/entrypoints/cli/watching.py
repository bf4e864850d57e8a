"""Seeing what is there and what happens: status, releases, events, and the app itself."""

from __future__ import annotations

import contextlib
import json
import sys
import webbrowser
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import typer

from kovra.entrypoints.cli import kept
from kovra.entrypoints.cli.named import AppName, Form, Where, find_app, find_pair
from kovra.entrypoints.cli.output import Output, harmless, show, table
from kovra.entrypoints.cli.streaming import follow
from kovra.entrypoints.client import Client

_LATEST: Final = 5
_SPANS: Final = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command()(status)
    app.command()(releases)
    app.command()(events)
    app.command(name="open")(open_page)


def status(app: AppName, output: Form = Output.text) -> None:
    """One screen: where the app runs, what is live there, how it is, and its last deployments."""
    client = kept.connect()
    found = find_app(client, app)
    pairs = client.pages(f"/v1/app-environments?app={found['id']}&include=environment&limit=200")
    newest = f"/v1/deployments?app={found['id']}&include=environment&sort=-created_at&limit={_LATEST}"
    deployments = client.call("GET", newest)["data"]
    document = {"app": found, "app_environments": pairs, "deployments": deployments}
    show(document, output, _screen(app, pairs, deployments))


def _screen(name: str, pairs: list[Any], deployments: list[Any]) -> str:
    environments = [
        {
            "environment": pair["environment"]["slug"],
            "release": pair["current_release"]["number"] if pair["current_release"] else None,
            "image": pair["current_release"]["image"] if pair["current_release"] else None,
            "health": "suspended" if pair["suspended"] else pair["health"],
            "url": pair["url"],
        }
        for pair in pairs
    ]
    latest = [
        {
            "deployment": d["number"],
            "environment": d["environment"]["slug"],
            "release": d["release"]["number"] if d["release"] else None,
            "outcome": d["outcome"] or f"{d['phase']} …",
            "by": d["trigger"],
            "when": ago(d["created_at"]),
            "reason": (d["reason"] or {}).get("code"),
        }
        for d in deployments
    ]
    return "\n".join(
        [
            name,
            "",
            table(environments, "environment", "release", "image", "health", "url"),
            "",
            "Last deployments",
            table(latest, "deployment", "environment", "release", "outcome", "by", "when", "reason"),
        ]
    )


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
    """What was released, newest first; `kovra rollback PROJECT/APP NUMBER` goes back to one."""
    client = kept.connect()
    pair = find_pair(client, app, environment)
    rows = client.call("GET", f"/v1/releases?app_environment={pair['id']}&sort=-created_at&limit={limit}")["data"]
    current = (pair["current_release"] or {}).get("id")
    shown = [
        row | {"release": row["number"], "live": row["id"] == current, "when": ago(row["created_at"])} for row in rows
    ]
    show(rows, output, table(shown, "release", "image", "config_revision", "live", "when"))


def open_page(
    app: AppName,
    environment: Where = "production",
    print_only: Annotated[bool, typer.Option("--print", help="Only print the address.")] = False,
) -> None:
    """Open the app's address in a browser, where there is one; the address is printed in any case."""
    address = find_pair(kept.connect(), app, environment)["url"]
    if not address:
        raise typer.BadParameter("This app has no address: it has no process called web.")
    print(address)
    if not print_only and sys.stdout.isatty():
        webbrowser.open(address)


def events(
    app: Annotated[str | None, typer.Option("--app", help="Only of this project/app.")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="Only of this type, such as deployment.finished.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only about this id.")] = None,
    following: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=1000, help="How many old ones.")] = 20,
    output: Form = Output.text,
) -> None:
    """What happened in the organization: the newest facts of its ledger, and with -f what happens."""
    client = kept.connect()
    query = {
        name: value
        for name, value in (
            ("topic", find_app(client, app)["id"] if app else None), ("type", kind), ("subject", subject)
        )
        if value
    }  # fmt: skip
    old = _newest(client, query, lines)
    try:
        for fact in old:
            _print(fact, output)
        if following:
            start = {"after": old[-1]["seq"]} if old else {}
            for what, fact in follow(client, "/v1/events", query | start, ends="ended"):
                if what == "event":
                    _print(fact, output)
                elif what == "dropped":
                    sys.stderr.write(f"... {fact['to'] - fact['after']} facts left out\n")
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _newest(client: Client, query: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """The newest facts, oldest first. The list begins where it is told to, so it is asked for ever longer ends of it."""
    if not count:
        return []
    with contextlib.closing(follow(client, "/v1/events", {}, ends="ended")) as stream:
        _, ready = next(stream)  # a stream begins by telling where
    span = count
    while True:
        start = max(0, ready["seq"] - span)
        found = [fact for page in _pages(client, query, start) for fact in page]
        if len(found) >= count or not start:
            return found[-count:]
        span *= 8


def _pages(client: Client, query: dict[str, Any], after: int) -> Iterator[list[dict[str, Any]]]:
    while True:
        page = client.call("GET", f"/v1/events?{urlencode(query | {'after': after, 'limit': 200})}")
        yield page["data"]
        if not page["has_more"]:
            return
        after = page["next"]


def _print(fact: dict[str, Any], output: Output) -> None:
    if output is Output.json:
        print(json.dumps(fact), flush=True)
        return
    told = " ".join(f"{name}={_short(value)}" for name, value in fact["payload"].items())
    line = f"{fact['created_at'][:19]}Z {fact['type']} {fact['subject']} by {fact['actor']} {told}"
    print(harmless(line.rstrip()), flush=True)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
