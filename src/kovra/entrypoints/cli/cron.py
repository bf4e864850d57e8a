"""Cron jobs: list, add, remove, run now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kovra.client import ApiRefused
from kovra.entrypoints.cli import kept
from kovra.entrypoints.cli.named import AppName, Form, Where, find_pair
from kovra.entrypoints.cli.output import Output, show, table
from kovra.entrypoints.cli.runs import Limit, Size, Words, size_of, words_of

if TYPE_CHECKING:
    from kovra.client import Client
    from kovra.client.models import CronJobIn, CronJobOut

cron = typer.Typer(help="Cron jobs: commands that run by the clock.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The cron job's name.")]


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    app.add_typer(cron, name="cron")


@cron.command("list")
def cron_list(app: AppName, environment: Where = "production", output: Form = Output.text) -> None:
    """The cron jobs of an app, and when they are due."""
    client = kept.connect()
    place = find_pair(client, app, environment)["id"]
    found = list(client.iter_cron_jobs(app_environment=place, limit=200))
    rows = [{**one, "command": " ".join(one["command"])} for one in found]
    show(found, output, table(rows, "name", "schedule", "time_zone", "enabled", "next_run_at", "command"))


@cron.command("add", context_settings={"allow_interspersed_args": False})
def cron_add(
    app: AppName,
    name: Name,
    schedule: Annotated[str, typer.Argument(help="Five fields in quotes, such as '30 2 * * *'.")],
    command: Words,
    environment: Where = "production",
    time_zone: Annotated[str, typer.Option(help="As IANA names it.")] = "UTC",
    size: Size = "nano",
    time_limit: Limit = 3600,
    output: Form = Output.text,
) -> None:
    """Run a command at the times of a schedule."""
    client = kept.connect()
    body: CronJobIn = {
        "app_environment": find_pair(client, app, environment)["id"], "name": name, "schedule": schedule,
        "time_zone": time_zone, "command": words_of(command), "size": size_of(size), "time_limit_s": time_limit,
    }  # fmt: skip
    made = client.create_cron_job(body)
    show(made, output, f"{made['name']}  {made['id']}  next {made['next_run_at']}")


@cron.command("remove")
def cron_remove(app: AppName, name: Name, environment: Where = "production", output: Form = Output.text) -> None:
    """Delete a cron job; its history stays, and a run that is under way goes on."""
    client = kept.connect()
    found = _named(client, app, environment, name)
    client.delete_cron_job(found["id"])
    show({"id": found["id"], "removed": True}, output, f"{name} is removed")


@cron.command("run")
def cron_run(app: AppName, name: Name, environment: Where = "production", output: Form = Output.text) -> None:
    """Start a run of a cron job now, besides its schedule; `kovra runs show` tells how it went."""
    client = kept.connect()
    made = client.run_cron_job_now(_named(client, app, environment, name)["id"], {"trigger": "cli"})
    show(made, output, made["id"])


def _named(client: Client, app: str, environment: str, name: str) -> CronJobOut:
    place = find_pair(client, app, environment)["id"]
    for one in client.iter_cron_jobs(app_environment=place, limit=200):
        if one["name"] == name:
            return one
    hint = f"What there is: kovra cron list {app}"
    raise ApiRefused(404, {"code": "not_found", "detail": f"There is no cron job {name}.", "hint": hint})
