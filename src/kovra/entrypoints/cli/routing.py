"""Who reaches an app: everybody, or its organization alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kovra.entrypoints.cli import kept
from kovra.entrypoints.cli.named import AppName, Form, Where, find_pair
from kovra.entrypoints.cli.output import Output, show

if TYPE_CHECKING:
    from kovra.client.models import AppEnvironmentOut, AppEnvironmentPatch

Egress = Literal["internet", "none"]


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command()(expose)


def expose(
    app: AppName,
    environment: Where = "production",
    private: Annotated[
        bool | None, typer.Option("--private/--public", help="Reached inside the organization alone, or by everybody.")
    ] = None,
    internet: Annotated[
        bool | None, typer.Option("--internet/--no-internet", help="Whether its instances reach the internet.")
    ] = None,
    output: Form = Output.text,
) -> None:
    """Show or change who reaches an app. The route changes at once, the instances by a deployment."""
    client = kept.connect()
    found = find_pair(client, app, environment)
    body: AppEnvironmentPatch = {}
    if private is not None:
        body["exposure"] = "private" if private else "public"
    if internet is not None:
        body["egress"] = "internet" if internet else "none"
    if body:
        found = client.update_app_environment(found["id"], body)
    show(found, output, _told(found))


def _told(found: AppEnvironmentOut) -> str:
    internet = "reaches the internet" if found["egress"] == "internet" else "does not reach the internet"
    return f"{found['exposure']}, at {found['url'] or found['internal_host']}, {internet}"
