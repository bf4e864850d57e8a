"""User verbs: look, deploy, roll back. Progress on stderr, results on stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from kovra.entrypoints.cli import completing, kept
from kovra.entrypoints.cli.named import AppName, Form, Seconds, Waits, Where, find_app, find_pair
from kovra.entrypoints.cli.output import Output, show, table
from kovra.entrypoints.cli.pipelines import TRIES, pipeline
from kovra.entrypoints.cli.values import config, secrets
from kovra.entrypoints.cli.verdicts import Place
from kovra.entrypoints.cli.waiting import difference, exit_code, wait

if TYPE_CHECKING:
    from kovra.client.models import DeploymentIn, EnvironmentIn

projects = typer.Typer(help="Projects.", no_args_is_help=True)
environments = typer.Typer(help="Environments.", no_args_is_help=True)
apps = typer.Typer(help="Apps.", no_args_is_help=True)

Slug = Annotated[str | None, typer.Option(help="Its name in commands; default: made of the name.")]
InProject = Annotated[str | None, typer.Option(help="Only of this project.", autocompletion=completing.projects)]


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    for verb in (deploy, rollback):
        app.command()(verb)
    groups = {"projects": projects, "environments": environments, "apps": apps, "config": config, "secrets": secrets}
    for name, group in groups.items():
        app.add_typer(group, name=name)


@projects.command("list")
def projects_list(output: Form = Output.text) -> None:
    """All projects."""
    rows = list(kept.connect().iter_projects(limit=200))
    show(rows, output, table(rows, "slug", "name", "id"))


@projects.command("create")
def projects_create(name: str, slug: Slug = None, output: Form = Output.text) -> None:
    """Make a project."""
    made = kept.connect().create_project({"name": name, "slug": slug or None})
    show(made, output, f"{made['slug']}  {made['id']}")


@environments.command("list")
def environments_list(project: InProject = None, output: Form = Output.text) -> None:
    """All environments."""
    rows = list(kept.connect().iter_environments(project=project or None, limit=200))
    show(rows, output, table(rows, "slug", "kind", "protected", "id"))


@environments.command("create")
def environments_create(
    project: str,
    name: str,
    kind: Annotated[str, typer.Option(help="development, preview, staging or production.")] = "development",
    protected: Annotated[bool, typer.Option("--protected", help="Only admins and owners deploy there.")] = False,
    slug: Slug = None,
    output: Form = Output.text,
) -> None:
    """Make an environment."""
    body = {"project": project, "name": name, "kind": kind, "protected": protected, "slug": slug or None}
    made = kept.connect().create_environment(cast("EnvironmentIn", body))
    show(made, output, f"{made['slug']}  {made['id']}")


@apps.command("list")
def apps_list(project: InProject = None, output: Form = Output.text) -> None:
    """All apps."""
    rows = list(kept.connect().iter_apps(project=project or None, limit=200))
    show(rows, output, table(rows, "slug", "image", "id"))


@apps.command("create")
def apps_create(
    project: str,
    name: str,
    image: Annotated[str | None, typer.Option(help="What `kovra deploy` deploys by default.")] = None,
    port: Annotated[int, typer.Option(help="Where web listens.")] = 8080,
    slug: Slug = None,
    output: Form = Output.text,
) -> None:
    """Make an app with one process, web."""
    made = kept.connect().create_app(
        {
            "project": project,
            "name": name,
            "slug": slug or None,
            "image": image or None,
            "processes": {"web": {"port": port}},
        }
    )
    show(made, output, f"{made['slug']}  {made['id']}")


@apps.command("show")
def apps_show(app: AppName, environment: Where = "production", output: Form = Output.text) -> None:
    """An app in an environment: address, release, health."""
    pair = find_pair(kept.connect(), app, environment)
    current = pair["current_release"]
    live = f"release {current['number']} ({current['image']})" if current else "nothing live"
    show(pair, output, f"{pair['url']}\n{live}, {pair['health']}, config revision {pair['config_revision']}")


def deploy(
    app: AppName,
    environment: Where = "production",
    image: Annotated[str | None, typer.Option(help="Default: the app's own.")] = None,
    waits: Waits = True,
    timeout: Seconds = 900,
    message: Annotated[str, typer.Option(help="Kept with the deployment.")] = "",
    output: Form = Output.text,
) -> None:
    """Deploy an image. Exit code: 0 live, 1 failed, 2 canceled or superseded, 3 timed out, 4 denied, 5 usage.

    In a pipeline (GitHub, GitLab, or KOVRA_RUN_ID) one run deploys once, however often it is tried.
    """
    client, run = kept.connect(), pipeline()
    client.tries = TRIES if run.kind else client.tries
    body: DeploymentIn = {
        "environment": environment,
        "image": image or None,
        "message": message,
        "trigger": "ci" if run.kind else "cli",
    }
    place = find_app(client, app)["id"]
    started = client.create_deployment(place, body, idempotency_key=run.key(f"deploy {place}", body))
    if not waits:
        show(started, output, f"{started['id']} {started['phase']}")
        return
    with run.folded(f"Deploying {app} to {environment}"):
        ended = wait(client, started, timeout)
    run.summarize(app, environment, ended)
    with run.quoted():
        code = exit_code(ended, output, Place(app=app, environment=environment))
    raise typer.Exit(code)


def rollback(
    app: AppName,
    release: Annotated[int, typer.Argument(help="The release's number.", min=1)],
    environment: Where = "production",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    waits: Waits = True,
    timeout: Seconds = 900,
    output: Form = Output.text,
) -> None:
    """Go back to an older release: image, config and secrets. Exit codes as of deploy."""
    client = kept.connect()
    place = find_pair(client, app, environment)["id"]
    answer = client.roll_back(place, {"release": release, "dry_run": dry_run})
    if answer["object"] == "rollback_diff":
        show(answer, output, difference(answer))
        return
    if not waits:
        show(answer, output, f"{answer['id']} {answer['phase']}")
        return
    ended = wait(client, answer, timeout)
    raise typer.Exit(exit_code(ended, output, Place(app=app, environment=environment)))
