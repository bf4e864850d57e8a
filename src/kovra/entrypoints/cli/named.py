"""Finding what a person names: project/app, and its place in an environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kovra.client import ApiRefused
from kovra.entrypoints.cli import completing, linked
from kovra.entrypoints.cli.output import Output

if TYPE_CHECKING:
    from kovra.client import Client
    from kovra.client.models import AppEnvironmentOut, AppOut

Where = Annotated[str, typer.Option("--environment", "-e", help="Environment.", autocompletion=completing.environments)]
AppName = Annotated[
    str,
    typer.Argument(
        help="The app; in a folder linked by `kovra init` its own, if left out.",
        metavar="PROJECT/APP",
        autocompletion=completing.apps,
    ),
]
Form = Annotated[Output, typer.Option("--output", "-o", help="How results are printed.")]
Deploys = Annotated[bool, typer.Option("--deploy", help="Deploy at once; otherwise it is staged.")]
Waits = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the verdict.")]
Seconds = Annotated[int, typer.Option("--timeout", help="Seconds to wait.", min=1, max=24 * 3600)]


def find_app(client: Client, name: str) -> AppOut:
    """The app of project/app; raises BadParameter or ApiRefused (404)."""
    project, _, slug = name.partition("/")
    if not project or not slug:
        raise typer.BadParameter("Name the app as project/app, or link this folder to one: kovra init")
    found = client.list_apps(project=project, slug=slug)["data"]
    if not found:
        raise _absent_app(name)
    return found[0]


def find_pair(client: Client, name: str, environment: str) -> AppEnvironmentOut:
    """The app in the environment."""
    app = find_app(client, name)
    inside = client.list_environments(project=app["project_id"], slug=environment)["data"]
    if not inside:
        raise _absent(f"There is no environment {environment}.", "kovra environments list")
    pairs = client.list_app_environments(app=app["id"], environment=inside[0]["id"])["data"]
    if not pairs:
        raise _absent(f"{name} is not in {environment}.", "kovra apps list")
    return pairs[0]


def _absent_app(name: str) -> ApiRefused:
    link = linked.find_quietly()
    if link is None or link.name != name:
        return _absent(f"There is no app {name}.", "kovra apps list")
    detail = f"There is no app {name}, to which {link.path} links this folder."
    return _absent(detail, "kovra apps list; link it to another one: kovra init --force")


def _absent(detail: str, command: str) -> ApiRefused:
    return ApiRefused(404, {"code": "not_found", "detail": detail, "hint": f"What there is: {command}"})
