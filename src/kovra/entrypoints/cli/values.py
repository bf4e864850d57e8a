"""`kovra config` and `kovra secrets`: what an app gets in an environment."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from kovra.client import ApiRefused
from kovra.entrypoints.cli import kept
from kovra.entrypoints.cli.named import AppName, Deploys, Form, Seconds, Where, find_pair
from kovra.entrypoints.cli.output import Output, show, table
from kovra.entrypoints.cli.verdicts import Place
from kovra.entrypoints.cli.waiting import exit_code, wait

if TYPE_CHECKING:
    from kovra.client import Client
    from kovra.client.models import AppEnvironmentOut, ConfigOut, DeploymentOut

config = typer.Typer(help="Config vars of an app in an environment.", no_args_is_help=True)
secrets = typer.Typer(help="Secrets of an app in an environment.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The variable's name.")]


def _read(client: Client, app: str, environment: str) -> ConfigOut:
    return client.get_config(find_pair(client, app, environment)["id"])


@config.command("list")
def config_list(app: AppName, environment: Where = "production", output: Form = Output.text) -> None:
    """All config vars."""
    found = _read(kept.connect(), app, environment)
    lines = [f"{name}={value}" for name, value in found["vars"].items()]
    show(found, output, "\n".join([f"# revision {found['revision']}", *lines]))


@config.command("get")
def config_get(app: AppName, name: Name, environment: Where = "production", output: Form = Output.text) -> None:
    """The value of one config var."""
    found = _read(kept.connect(), app, environment)
    if name not in found["vars"]:
        raise ApiRefused(
            404, {"detail": f"There is no config var {name}.", "hint": f"What there is: kovra config list {app}"}
        )
    value = found["vars"][name]
    show({"name": name, "value": value, "revision": found["revision"]}, output, value)


def _assignments(words: list[str]) -> dict[str, str | None]:
    changes: dict[str, str | None] = {}
    for word in words:
        name, joint, value = word.partition("=")
        if not joint or not name:
            raise typer.BadParameter("Give each var as NAME=value.")
        if name in changes:
            raise typer.BadParameter(f"{name[:128]} is given twice.")
        changes[name] = value
    return changes


@config.command("set")
def config_set(
    app: AppName,
    values: Annotated[list[str], typer.Argument(help="NAME=value …", metavar="NAME=VALUE")],
    environment: Where = "production",
    deploy: Deploys = False,
    timeout: Seconds = 900,
    output: Form = Output.text,
) -> None:
    """Set config vars."""
    _change_config(app, environment, _assignments(values), deploy, timeout, output)


@config.command("unset")
def config_unset(
    app: AppName,
    names: Annotated[list[str], typer.Argument(help="Names …", metavar="NAME")],
    environment: Where = "production",
    deploy: Deploys = False,
    timeout: Seconds = 900,
    output: Form = Output.text,
) -> None:
    """Remove config vars."""
    _change_config(app, environment, dict.fromkeys(names), deploy, timeout, output)


@secrets.command("set")
def secrets_set(
    app: AppName,
    name: Name,
    environment: Where = "production",
    deploy: Deploys = False,
    timeout: Seconds = 900,
    output: Form = Output.text,
) -> None:
    """Set a secret. Its value is read from stdin, so that it is in no history and no process list.

    One newline at its end is taken off.
    """
    value = getpass.getpass(f"Value of {name}: ") if sys.stdin.isatty() else _given_value()
    if not value:
        raise typer.BadParameter("The secret's value is empty: give it on stdin.")
    _change_secret(app, environment, name, value, deploy, timeout, output)


def _given_value() -> str:
    try:
        return sys.stdin.buffer.read().decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise typer.BadParameter("The secret's value is not UTF-8; encode it, for example with base64.") from None


@secrets.command("unset")
def secrets_unset(
    app: AppName,
    name: Name,
    environment: Where = "production",
    deploy: Deploys = False,
    timeout: Seconds = 900,
    output: Form = Output.text,
) -> None:
    """Remove a secret."""
    _change_secret(app, environment, name, None, deploy, timeout, output)


@secrets.command("list")
def secrets_list(app: AppName, environment: Where = "production", output: Form = Output.text) -> None:
    """Names and versions; values are shown to nobody."""
    client = kept.connect()
    found = client.list_secrets(find_pair(client, app, environment)["id"])
    show(found, output, table(found["data"], "name", "version", "digest"))


def _change_config(
    app: str, environment: str, changes: dict[str, str | None], deploy: bool, timeout: int, output: Output
) -> None:
    client = kept.connect()
    pair = find_pair(client, app, environment)
    answer = client.update_config(pair["id"], {"vars": changes}, deploy=deploy)
    _changed(client, pair, answer, Place(app=app, environment=environment), timeout, output)


def _change_secret(
    app: str, environment: str, name: str, value: str | None, deploy: bool, timeout: int, output: Output
) -> None:
    client = kept.connect()
    pair = find_pair(client, app, environment)
    answer = client.update_secrets(pair["id"], {"secrets": {name: value}}, deploy=deploy)
    _changed(client, pair, answer, Place(app=app, environment=environment), timeout, output)


def _changed(
    client: Client,
    pair: AppEnvironmentOut,
    answer: ConfigOut | DeploymentOut,
    place: Place,
    timeout: int,
    output: Output,
) -> None:
    """Show what is staged, or wait for the deployment that was asked for."""
    if answer["object"] == "deployment":
        raise typer.Exit(exit_code(wait(client, answer, timeout), output, place))
    changed = answer["revision"] != pair["config_revision"]
    said = "staged for the next deployment" if changed else "nothing changed"
    show(answer, output, f"revision {answer['revision']}, {said}")
