"""`kovra registries`: the organization's credentials for private registries."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from kovra.client import ApiRefused
from kovra.entrypoints.cli import kept
from kovra.entrypoints.cli.named import Form
from kovra.entrypoints.cli.output import Output, show, table

if TYPE_CHECKING:
    from kovra.client import Client
    from kovra.client.models import RegistryCredentialOut

registries = typer.Typer(help="Credentials for private registries.", no_args_is_help=True)
Registry = Annotated[str, typer.Argument(help="As image references begin, such as ghcr.io; Docker Hub is docker.io.")]


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    app.add_typer(registries, name="registries")


def _find(client: Client, registry: str) -> RegistryCredentialOut | None:
    return next((c for c in client.iter_registry_credentials(limit=200) if c["registry"] == registry.lower()), None)


@registries.command("list")
def registries_list(output: Form = Output.text) -> None:
    """For which registries there is a credential; passwords are shown to nobody."""
    rows = list(kept.connect().iter_registry_credentials(limit=200))
    show(rows, output, table(rows, "registry", "username", "updated_at", "id"))


@registries.command("set")
def registries_set(
    registry: Registry,
    username: Annotated[str, typer.Option("--username", "-u", help="As the registry knows it.")],
    output: Form = Output.text,
) -> None:
    """Store or replace a credential. Its password is read from stdin, so that it is in no history and no process list.

    One newline at its end is taken off.
    """
    question = f"Password of {username} at {registry}: "
    password = getpass.getpass(question) if sys.stdin.isatty() else _given_password()
    if not password:
        raise typer.BadParameter("The password is empty: give it on stdin.")
    client = kept.connect()
    there = _find(client, registry)
    if there is None:
        made = client.create_registry_credential({"registry": registry, "username": username, "password": password})
    else:
        made = client.update_registry_credential(there["id"], {"username": username, "password": password})
    show(made, output, f"{made['registry']}  {made['id']}, used from the next deployment on")


def _given_password() -> str:
    try:
        return sys.stdin.buffer.read().decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise typer.BadParameter("The password is not UTF-8.") from None


@registries.command("remove")
def registries_remove(registry: Registry, output: Form = Output.text) -> None:
    """Forget a credential."""
    client = kept.connect()
    there = _find(client, registry)
    if there is None:
        raise ApiRefused(
            404, {"detail": f"There is no credential for {registry}.", "hint": "What there is: kovra registries list"}
        )
    client.remove_registry_credential(there["id"])
    said = f"{there['registry']} is asked without a credential from the next deployment on"
    show({"id": there["id"], "removed": True}, output, said)
