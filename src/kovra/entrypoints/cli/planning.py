"""kovra.yaml: what it would change, making it so, and writing it from what is there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer

from kovra.client import Answered, ApiRefused
from kovra.entrypoints.cli import completing, kept
from kovra.entrypoints.cli.asking import ask
from kovra.entrypoints.cli.differing import shown
from kovra.entrypoints.cli.named import Form, Seconds, Waits, Where
from kovra.entrypoints.cli.output import Output, show
from kovra.entrypoints.cli.pipelines import pipeline
from kovra.entrypoints.cli.trouble import LocalTrouble
from kovra.entrypoints.cli.verdicts import verdict
from kovra.entrypoints.cli.waiting import TIMED_OUT, wait

if TYPE_CHECKING:
    from kovra.client import Client
    from kovra.client.models import ChangeSetIn, ChangeSetOut, WrongOut
    from kovra.features.changesets.rules.kovrafile import Read

CHANGED: Final = 2
_WAIT_S: Final = 60
_EXITS: Final = {"live": 0, "skipped": 0, "failed": 1, "canceled": 2, "superseded": 2, None: TIMED_OUT}
_FORMAT: Final = "The format: docs/reference/kovra-yaml.md"
File = Annotated[Path, typer.Option("--file", "-f", help="The file; - reads it from stdin.", allow_dash=True)]
Prune = Annotated[
    bool | None,
    typer.Option("--prune/--no-prune", help="Whether what the file does not name goes; default: as it says."),
]
Message = Annotated[str, typer.Option(help="Kept with the change set and its deployments.")]


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    for verb in (plan, apply, export):
        app.command()(verb)


def plan(
    environment: Where = "production",
    file: File = Path("kovra.yaml"),
    prune: Prune = None,
    message: Message = "",
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with 2 where something would change.")] = False,
    output: Form = Output.text,
) -> None:
    """Show what a kovra.yaml would change in an environment; nothing is changed.

    Exit code: 0 planned, 2 planned and something would change (with --exit-code), 4 denied, 5 the file is wrong.
    """
    made = _planned(kept.connect(), file, environment, prune, message)
    show(made, output, shown(made, sys.stdout))
    raise typer.Exit(CHANGED if exit_code and _changes(made) else 0)


def apply(
    environment: Where = "production",
    file: File = Path("kovra.yaml"),
    prune: Prune = None,
    change_set: Annotated[
        str | None,
        typer.Option(help="The id of a change set that was planned and looked at before, instead of a file."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    waits: Waits = True,
    timeout: Seconds = 900,
    message: Message = "",
    output: Form = Output.text,
) -> None:
    """Plan a kovra.yaml, show what it changes, ask, make it so, and follow its deployments to their verdicts.

    Exit code: 0 done and live, 1 a deployment failed or the change set is stale, 2 canceled or superseded, 3 timed out, 4 denied, 5 usage.
    """
    client = kept.connect()
    seen = Answered()
    if change_set is None:
        made = _planned(client, file, environment, prune, message, seen)
    else:
        made = client.get_change_set(change_set, wait=_WAIT_S, answered=seen)
        _refuse_failed(made, None)
    if made["state"] != "applied":
        sys.stderr.write(shown(made, sys.stderr) + "\n")
        if not _changes(made):
            show(made, output, "Nothing to change.")
            return
        _agreed(yes)
        made = client.apply_change_set(made["id"], if_match=seen.etag)
    code, told = _followed(client, made, timeout) if waits else (0, [])
    show(made, output, "\n".join([f"applied: {made['id']}", *told]))
    raise typer.Exit(code)


def export(
    project: Annotated[str, typer.Argument(help="The project's slug.", autocompletion=completing.projects)],
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Only of this environment.")] = None,
    output: Form = Output.text,
) -> None:
    """Write the kovra.yaml that describes a project as it is; applied again it changes nothing."""
    client = kept.connect()
    found = client.list_projects(slug=project)["data"]
    if not found:
        problem = {"code": "not_found", "detail": f"There is no project {project}.", "hint": "kovra projects list"}
        raise ApiRefused(404, problem)
    if output is Output.json:
        show(client.export_project(found[0]["id"], environment=environment), output, "")
        return
    sys.stdout.write(client.export_project_as_yaml(found[0]["id"], environment=environment))


def _planned(
    client: Client,
    file: Path,
    environment: str,
    prune: bool | None,
    message: str,
    seen: Answered | None = None,
) -> ChangeSetOut:
    """The change set of a file, once it is planned; raises LocalTrouble that names each place in the file."""
    read = _read(file)
    body: Any = {"environment": environment, "state": read.document, "message": message}
    body |= {"trigger": "ci" if pipeline().kind else "cli"} | ({} if prune is None else {"prune": prune})
    try:
        made = client.create_change_set(cast("ChangeSetIn", body))
    except ApiRefused as refused:
        wrong = [one for one in refused.problem.get("errors") or [] if one["pointer"].startswith("/state")]
        if refused.status != 422 or not wrong:
            raise
        raise _wrong(file, read, wrong) from None
    while made["state"] == "planning":
        made = client.get_change_set(made["id"], wait=_WAIT_S, answered=seen)
    _refuse_failed(made, (file, read))
    # What is applied is what was seen: its version comes from the answer that shows it.
    return client.get_change_set(made["id"], answered=seen)


def _read(file: Path) -> Read:
    from kovra.features.changesets.rules.kovrafile import FileWrong, read

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except OSError as error:
        hint = "Name another one with --file, or write one: kovra export PROJECT > kovra.yaml"
        raise LocalTrouble("file_unreadable", f"{file}: {error.strerror}.", hint, usage=True) from None
    except UnicodeDecodeError:
        raise LocalTrouble("file_wrong", f"{file}: it is not UTF-8.", _FORMAT, usage=True) from None
    try:
        found = read(text)
    except FileWrong as refused:
        lines = [_line(file, one.spot.line, one.spot.column, one.path, one.message) for one in refused.wrong]
        raise LocalTrouble("file_wrong", "\n".join(lines), _FORMAT, usage=True) from None
    if not isinstance(found.document, dict):
        raise LocalTrouble("file_wrong", f"{file}:1:1: A map, please.", _FORMAT, usage=True)
    return found


def _line(file: Path, line: int, column: int, pointer: str, message: str) -> str:
    path = ".".join(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])
    return f"{file}:{line}:{column}: {path + ': ' if path else ''}{message}"


def _wrong(file: Path, read: Read, errors: list[Any]) -> LocalTrouble:
    lines = []
    for one in errors:
        pointer = one["pointer"].removeprefix("/state")
        spot = read.spot(pointer)
        lines.append(_line(file, spot.line, spot.column, pointer, one["message"]))
    return LocalTrouble("file_wrong", "\n".join(lines), _FORMAT, usage=True)


def _refuse_failed(made: ChangeSetOut, source: tuple[Path, Read] | None) -> None:
    reason = made["reason"]
    if made["state"] != "failed" or reason is None:
        return
    errors: list[WrongOut] = [one for one in reason["errors"] if one["pointer"].startswith("/state")]
    if source is not None and errors:
        raise _wrong(*source, errors)
    problem = {"code": reason["code"], "detail": reason["message"], "hint": reason["hint"], "errors": reason["errors"]}
    raise ApiRefused(422, problem)


def _changes(made: ChangeSetOut) -> bool:
    return bool(made["changes"]) or any(app["deploys"] for app in made["apps"])


def _agreed(yes: bool) -> None:
    if yes:
        return
    answer = ask("Apply this? yes or no", otherwise="Say --yes where nobody can be asked.", default="no")
    if answer.lower() not in ("y", "yes"):
        sys.stderr.write("Nothing was changed.\n")
        raise typer.Exit(CHANGED)


def _followed(client: Client, made: ChangeSetOut, timeout_s: int) -> tuple[int, list[str]]:
    """Each deployment to its verdict: the worst exit code, and what is to be told."""
    worst, told = 0, []
    for one in made["deployment_ids"]:
        ended = wait(client, client.get_deployment(one), timeout_s)
        worst = max(worst, _EXITS[ended["outcome"]], key=(0, 2, 3, 1).index)
        told.append(verdict(ended))
    return worst, told
