"""`kovra init`: link a folder to an app."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kovra.entrypoints.cli import completing, kept, linked
from kovra.entrypoints.cli.asking import choose
from kovra.entrypoints.cli.linked import FILE, Link
from kovra.entrypoints.cli.named import Form, find_app, find_pair
from kovra.entrypoints.cli.output import Output, show
from kovra.entrypoints.cli.trouble import LocalTrouble

if TYPE_CHECKING:
    from kovra.client import Client

_SAY: Final = "Name the app: kovra init PROJECT/APP"


def add_to(app: typer.Typer) -> None:
    """Register the verb."""
    app.command()(init)


def init(
    app: Annotated[
        str | None,
        typer.Argument(help="The app; asked for on a terminal.", metavar="PROJECT/APP", autocompletion=completing.apps),
    ] = None,
    environment: Annotated[
        str | None,
        typer.Option(
            "--environment",
            "-e",
            help="The default environment of its commands.",
            autocompletion=completing.environments,
        ),
    ] = None,
    directory: Annotated[Path, typer.Option(help="Which folder.", file_okay=False, exists=True)] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Write a link anew that is there.")] = False,
    output: Form = Output.text,
) -> None:
    """Link a folder to an app. Commands in it and below then need no PROJECT/APP.

    It writes a file .kovra.toml, to be committed, with `url`, `organization`, `project`, `app` and `environment`. What is named
    on the command line wins over it.
    """
    path = directory.absolute() / FILE
    if path.exists() and not force:
        raise LocalTrouble("link_exists", f"{path} is there already.", "Write it anew: kovra init --force", usage=True)
    client = kept.connect(heed_link=False)
    name = app or _chosen_app(client)
    found = find_app(client, name)
    where = environment or (_chosen_environment(client, found["project_id"]) if app is None else None)
    if where:
        find_pair(client, name, where)
    opened = client.get_me()["organization"]
    project, _, slug = name.partition("/")
    link = Link(
        path=path, url=client.url, organization=opened["slug"] if opened else None, project=project, app=slug,
        environment=where,
    )  # fmt: skip
    _write(link)
    facts = {key: getattr(link, key) for key in ("url", "organization", "project", "app", "environment")}
    inside = f"{name}{f' in {where}' if where else ''}, organization {link.organization} at {link.url}"
    show({"path": str(path), **facts}, output, f"Wrote {path}: {inside}")


def _write(link: Link) -> None:
    draft = link.path.with_name(f"{FILE}.{os.getpid()}.new")
    try:
        draft.write_text(linked.document(link), encoding="utf-8")
        draft.replace(link.path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise LocalTrouble(
            "link_unwritable", f"{link.path}: {error.strerror}.", "Name another folder: --directory"
        ) from None


def _chosen_app(client: Client) -> str:
    if not sys.stdin.isatty():
        raise typer.BadParameter(_SAY)
    names = [f"{app['project']['slug']}/{app['slug']}" for app in client.iter_apps(include="project") if app["project"]]
    if not names:
        raise LocalTrouble(
            "nothing_to_link",
            "There is no app yet.",
            "Make one: kovra apps create PROJECT NAME --image IMAGE",
            usage=True,
        )
    return choose("App", names, otherwise=_SAY)


def _chosen_environment(client: Client, project_id: str) -> str | None:
    names = [one["slug"] for one in client.iter_environments(project=project_id)]
    ordered = sorted(names, key=lambda name: (name != "production", name))
    return choose("Default environment", ordered, otherwise=_SAY) if ordered else None
