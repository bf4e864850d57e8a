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
    from kovra.client.models import RegistryCredentialOut, RegistryCredentialPatch

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
    show(rows, output, table(rows, "registry", "kind", "username", "updated_at", "id"))


@registries.command("set")
def registries_set(
    registry: Registry,
    username: Annotated[str | None, typer.Option("--username", "-u", help="As the registry knows it.")] = None,
    role_arn: Annotated[
        str | None,
        typer.Option(
            "--role-arn", help="ECR alone: a role of your AWS account that Kovra assumes; no password is needed."
        ),
    ] = None,
    output: Form = Output.text,
) -> None:
    """Store or replace a credential. Its password is read from stdin, so that it is in no history and no process list.

    One newline at its end is taken off. With a role there is none: trust Kovra's account in it, with the external id that
    is shown.
    """
    if (username is None) == (role_arn is None):
        raise typer.BadParameter("Give --username, or --role-arn.")
    change = _change(registry, username, role_arn)
    client = kept.connect()
    there, kind = _find(client, registry), "ecr" if role_arn else "password"
    if there is not None and there["kind"] != kind:
        remedy = f"Remove it first: kovra registries remove {there['registry']}"
        raise ApiRefused(409, {"detail": f"{there['registry']} has a credential of another kind.", "hint": remedy})
    if there is not None:
        made = client.update_registry_credential(there["id"], change)
    elif role_arn:
        made = client.create_registry_credential({"registry": registry, "kind": "ecr", "role_arn": role_arn})
    else:
        made = client.create_registry_credential(
            {"registry": registry, "username": change["username"], "password": change["password"]}
        )
    more = f"; the role must trust Kovra with the external id {made['external_id']}" if role_arn else ""
    show(made, output, f"{made['registry']}  {made['id']}, used from the next deployment on{more}")


def _change(registry: str, username: str | None, role_arn: str | None) -> RegistryCredentialPatch:
    if username is None:
        return {"role_arn": role_arn or ""}
    return {"username": username, "password": _password(registry, username)}


def _password(registry: str, username: str) -> str:
    question = f"Password of {username} at {registry}: "
    password = getpass.getpass(question) if sys.stdin.isatty() else _given_password()
    if not password:
        raise typer.BadParameter("The password is empty: give it on stdin.")
    return password


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
