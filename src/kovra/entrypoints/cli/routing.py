"""Who reaches an app: everybody, its organization alone, or nobody for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kovra.entrypoints.cli import kept
from kovra.entrypoints.cli.named import AppName, Form, Where, find_pair
from kovra.entrypoints.cli.output import Output, show
from kovra.entrypoints.cli.trouble import LocalTrouble

if TYPE_CHECKING:
    from kovra.client.models import AppEnvironmentOut, AppEnvironmentPatch, CanaryStepIn

maintenance = typer.Typer(help="The page that answers for an app meanwhile.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command()(expose)
    app.command(name="rollout")(roll)
    app.command()(promote)
    app.add_typer(maintenance, name="maintenance")


def expose(
    app: AppName,
    environment: Where = "production",
    private: Annotated[
        bool | None, typer.Option("--private/--public", help="Reached inside the organization alone, or by everybody.")
    ] = None,
    internet: Annotated[
        bool | None, typer.Option("--internet/--no-internet", help="Whether its instances reach the internet.")
    ] = None,
    output: Form = Output.text,
) -> None:
    """Show or change who reaches an app. The route changes at once, the instances by a deployment."""
    client = kept.connect()
    found = find_pair(client, app, environment)
    body: AppEnvironmentPatch = {}
    if private is not None:
        body["exposure"] = "private" if private else "public"
    if internet is not None:
        body["egress"] = "internet" if internet else "none"
    if body:
        found = client.update_app_environment(found["id"], body)
    show(found, output, _told(found))


@maintenance.command("on")
def maintenance_on(app: AppName, environment: Where = "production", output: Form = Output.text) -> None:
    """Answer 503 with a page at its address; its instances go on running, and deployments do not end it."""
    _maintain(app, environment, output, on=True)


@maintenance.command("off")
def maintenance_off(app: AppName, environment: Where = "production", output: Form = Output.text) -> None:
    """Lead its address to the app again."""
    _maintain(app, environment, output, on=False)


def roll(
    app: AppName,
    environment: Where = "production",
    canary: Annotated[
        str | None, typer.Option(help="Steps as WEIGHT:SECONDS, such as 10:60,50:300.", metavar="STEPS")
    ] = None,
    rolling: Annotated[bool, typer.Option("--rolling", help="Instance by instance, without steps.")] = False,
    output: Form = Output.text,
) -> None:
    """Show or change how releases of an app take over, from the next deployment on."""
    if canary and rolling:
        raise typer.BadParameter("Give --canary or --rolling, not both.")
    client = kept.connect()
    found = find_pair(client, app, environment)
    if rolling:
        found = client.update_app_environment(found["id"], {"rollout": {"strategy": "rolling"}})
    elif canary:
        found = client.update_app_environment(found["id"], {"rollout": {"strategy": "canary", "steps": _steps(canary)}})
    steps = ", ".join(f"{s['weight']} % for {s['pause_s']} s" for s in found["rollout"]["steps"])
    show(found, output, found["rollout"]["strategy"] + (f": {steps}" if steps else ""))


def _steps(text: str) -> list[CanaryStepIn]:
    try:
        pairs = [one.split(":") for one in text.split(",")]
        return [{"weight": int(weight), "pause_s": int(pause)} for weight, pause in pairs]
    except ValueError:
        raise typer.BadParameter("Steps are WEIGHT:SECONDS, such as 10:60,50:300.") from None


def promote(app: AppName, environment: Where = "production", output: Form = Output.text) -> None:
    """Let the canary that is under way take over now, without its further steps."""
    client = kept.connect()
    pair = find_pair(client, app, environment)
    listed = client.list_deployments(app=pair["app_id"], environment=pair["environment_id"], limit=50)["data"]
    tried = [one for one in listed if one["canary"] and one["outcome"] is None]
    if not tried:
        raise LocalTrouble("no_canary", "No canary is under way.", "What was deployed: kovra status")
    made = client.promote(tried[-1]["id"])
    show(made, output, f"{made['id']} {made['phase']}")


def _maintain(app: str, environment: str, output: Output, *, on: bool) -> None:
    client = kept.connect()
    found = client.update_app_environment(find_pair(client, app, environment)["id"], {"maintenance": on})
    show(found, output, f"{app}: maintenance {'on' if on else 'off'}, at {found['url']}")


def _told(found: AppEnvironmentOut) -> str:
    internet = "reaches the internet" if found["egress"] == "internet" else "does not reach the internet"
    return f"{found['exposure']}, at {found['url'] or found['internal_host']}, {internet}"
