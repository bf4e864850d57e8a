"""`kovra volumes`: disks of single instances."""

from __future__ import annotations

from typing import Annotated

import typer

from kovra.entrypoints.cli import kept
from kovra.entrypoints.cli.named import AppName, Form, Where, find_pair
from kovra.entrypoints.cli.output import Output, show, table

volumes = typer.Typer(help="Disks of single instances.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    app.add_typer(volumes, name="volumes")


@volumes.command("list")
def volumes_list(app: AppName, environment: Where = "production", output: Form = Output.text) -> None:
    """The app's volumes, also those that nothing mounts any more. Kovra makes no backups of them."""
    client = kept.connect()
    rows = list(client.iter_volumes(app_environment=find_pair(client, app, environment)["id"], limit=200))
    show(rows, output, table(rows, "process", "name", "size_gib", "state", "id"))


@volumes.command("remove")
def volumes_remove(
    volume: Annotated[str, typer.Argument(help="Its id, by `kovra volumes list`.", metavar="VOLUME")],
    confirm: Annotated[str, typer.Option(help="Its name: what is in it is gone for good.")],
    output: Form = Output.text,
) -> None:
    """Remove a volume that nothing mounts, and what is in it. There is no undo."""
    found = kept.connect().remove_volume(volume, confirm=confirm)
    show(found, output, f"{found['process']}/{found['name']} is being removed")
