"""How many instances run, by a number or by bounds within which the cluster decides."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kovra.entrypoints.cli import kept
from kovra.entrypoints.cli.named import AppName, Form, Seconds, Waits, Where, find_app, find_pair
from kovra.entrypoints.cli.output import Output, show, table
from kovra.entrypoints.cli.verdicts import Place
from kovra.entrypoints.cli.waiting import exit_code, wait

if TYPE_CHECKING:
    from kovra.client.models import AppUsageOut, AutoscaleIn, NeedOut, QuotaOut

_NUMBER: Final = re.compile(r"([a-z][a-z0-9-]{0,19})=([0-9]{1,3})")
Percent = Annotated[int | None, typer.Option(min=1, max=100, help="Percent of their size that instances are to use.")]


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command()(scale)
    app.command()(autoscale)
    app.command()(usage)


def scale(
    app: AppName,
    numbers: Annotated[list[str], typer.Argument(help="Such as web=3.", metavar="PROCESS=N...")],
    environment: Where = "production",
    waits: Waits = True,
    timeout: Seconds = 900,
    output: Form = Output.text,
) -> None:
    """Run so many instances. Exit codes as of deploy."""
    read = [_NUMBER.fullmatch(text) for text in numbers]
    if not all(read):
        raise typer.BadParameter("Say how many as PROCESS=N, such as web=3.")
    client = kept.connect()
    place = find_pair(client, app, environment)["id"]
    started = client.scale(place, {"scale": {found[1]: int(found[2]) for found in read if found}})
    if not waits:
        show(started, output, f"{started['id']} {started['phase']}")
        return
    ended = wait(client, started, timeout)
    raise typer.Exit(exit_code(ended, output, Place(app=app, environment=environment)))


def autoscale(
    app: AppName,
    process: Annotated[str, typer.Argument(help="Such as web.", metavar="PROCESS")],
    least: Annotated[int, typer.Option("--min", min=1, max=50, help="At least so many.")] = 1,
    most: Annotated[int | None, typer.Option("--max", min=1, max=50, help="At most so many.")] = None,
    cpu: Percent = None,
    memory: Percent = None,
    off: Annotated[bool, typer.Option("--off", help="The app's own number of instances again.")] = False,
    output: Form = Output.text,
) -> None:
    """Let the cluster decide how many instances run. It takes effect with the next deployment."""
    client = kept.connect()
    found = find_app(client, app)
    processes: dict[str, Any] = {name: dict(known) for name, known in found["processes"].items()}
    if process not in processes:
        raise typer.BadParameter(f"This app has no process {process}: it has {', '.join(sorted(processes))}.")
    processes[process].pop("autoscale", None)
    if not off:
        processes[process]["autoscale"] = _bounds(least, most, cpu, memory)
    changed = client.update_app(found["id"], {"processes": processes})
    said = "its own number of instances" if off else f"{least} to {most} instances"
    show(changed, output, f"{process}: {said}, from the next deployment on")


def _bounds(least: int, most: int | None, cpu: int | None, memory: int | None) -> AutoscaleIn:
    if most is None or (cpu is None and memory is None):
        raise typer.BadParameter("Give --max, and --cpu, --memory or both; or --off.")
    return {"min": least, "max": most, "cpu": cpu, "memory": memory}


def usage(app: AppName, environment: Where = "production", output: Form = Output.text) -> None:
    """Show what the app's environment may use. And what everything in it needs at most, while instances are replaced."""
    client = kept.connect()
    found = client.get_environment_usage(find_pair(client, app, environment)["environment_id"])
    needs = [{"app": one["app"], **_need(one)} for one in found["apps"]]
    rows = [*needs, {"app": "(runs)", **_need(found["runs"])}, {"app": "(together)", **_need(found["used"])}]
    rows.append({"app": f"(plan {found['plan']})", **_need(found["quota"])})
    show(found, output, table(rows, "app", "cpu", "memory_mib", "instances"))


def _need(need: NeedOut | AppUsageOut | QuotaOut) -> dict[str, Any]:
    return {"cpu": need["cpu_millis"] / 1000, "memory_mib": need["memory_mib"], "instances": need["pods"]}
