"""The command line: server verbs and user verbs. Light to import: what a command needs is loaded when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from kovra.entrypoints.cli import (
    clusters,
    completing,
    cron,
    drifting,
    kept,
    linking,
    logins,
    looking,
    organization,
    planning,
    registries,
    routing,
    running,
    runs,
    scaling,
    server,
    switching,
    user,
    volumes,
    watching,
)
from kovra.entrypoints.cli.appcommands import about_apps

app = typer.Typer(
    name="kovra",
    help="From an image to a running, isolated, observable app.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def common(
    context: Annotated[
        str | None,
        typer.Option(
            help="Which server and organization, by `kovra context list`. Default: KOVRA_CONTEXT, else the current one.",
            autocompletion=completing.context_names,
        ),
    ] = None,
) -> None:
    """From an image to a running, isolated, observable app."""
    if context:
        kept.asked.set(context)


logins.add_to(app)
user.add_to(app)
looking.add_to(app)
scaling.add_to(app)
volumes.add_to(app)
runs.add_to(app)
cron.add_to(app)
watching.add_to(app)
drifting.add_to(app)
planning.add_to(app)
organization.add_to(app)
registries.add_to(app)
clusters.add_to(app)
switching.add_to(app)
linking.add_to(app)
routing.add_to(app)
completing.add_to(app)
server.add_to(app)  # last: most people are no operators
about_apps(app)


def main() -> None:
    """Run a command; exit codes are those of the reference: 0 live, 1 failed, 2 canceled, 3 timed out, 4 denied, 5 usage."""
    running.run(app)
