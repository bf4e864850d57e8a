"""User verbs: log in, look, configure, deploy, roll back. Progress on stderr, results on stdout."""

from __future__ import annotations

import getpass
import json
import os
import sys
from typing import Annotated, Any
from urllib.parse import quote

import typer

from kovra.entrypoints.cli.output import Output, show, table
from kovra.entrypoints.cli.waiting import exit_code, wait
from kovra.entrypoints.client import ApiRefused, Client, connect, keep_login, load_login

projects = typer.Typer(help="Projects.", no_args_is_help=True)
environments = typer.Typer(help="Environments.", no_args_is_help=True)
apps = typer.Typer(help="Apps.", no_args_is_help=True)
config = typer.Typer(help="Config vars of an app in an environment.", no_args_is_help=True)
secrets = typer.Typer(help="Secrets of an app in an environment.", no_args_is_help=True)

Where = Annotated[str, typer.Option("--environment", "-e", help="Environment.")]
AppName = Annotated[str, typer.Argument(help="project/app", metavar="PROJECT/APP")]
Form = Annotated[Output, typer.Option("--output", "-o", help="How results are printed.")]
Deploy = Annotated[bool, typer.Option("--deploy", help="Deploy at once; otherwise it is staged.")]


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    for verb in (login, whoami, deploy, rollback):
        app.command()(verb)
    groups = {"projects": projects, "environments": environments, "apps": apps, "config": config, "secrets": secrets}
    for name, group in groups.items():
        app.add_typer(group, name=name)


def run(app: typer.Typer) -> None:
    """Run, and turn what the API refuses into a message and an exit code."""
    try:
        # Without standalone mode an Exit comes back as its code.
        code = app(standalone_mode=False)
        raise SystemExit(code if isinstance(code, int) else 0)
    except ApiRefused as refused:
        sys.stderr.write(f"error: {refused}\n")
        for wrong in refused.problem.get("errors") or []:
            sys.stderr.write(f"  {wrong['pointer']}: {wrong['message']}\n")
        if refused.problem.get("hint"):
            sys.stderr.write(f"  {refused.problem['hint']}\n")
        if refused.status == 401:
            sys.stderr.write("  Log in with: kovra login --email you@example.test\n")
        raise SystemExit({401: 4, 403: 4, 400: 5, 404: 5, 422: 5}.get(refused.status, 1)) from None
    except typer.Exit as done:
        raise SystemExit(done.exit_code) from None
    except typer.Abort:
        raise SystemExit(5) from None
    except Exception as wrong:
        # Typer's usage errors know how to show themselves; anything else is a defect and stays loud.
        if not hasattr(wrong, "format_message"):
            raise
        sys.stderr.write(f"usage: {wrong.format_message()}\n")
        raise SystemExit(5) from None


def login(
    email: Annotated[str, typer.Option(help="Your address.")],
    url: Annotated[str | None, typer.Option(help="The API (KOVRA_URL).")] = None,
    organization: Annotated[str | None, typer.Option(help="Which organization to open.")] = None,
) -> None:
    """Log in and keep the login for the next commands. The password comes from the terminal, or from stdin."""
    client = Client(url or os.environ.get("KOVRA_URL") or load_login().get("url") or "http://127.0.0.1:8080", None)
    password = getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    body = {"email": email, "password": password}
    if organization:
        body["organization"] = organization
    pair = client.call("POST", "/v1/auth/login", body)
    keep_login({"url": client.url, "access_token": pair["access_token"], "refresh_token": pair["refresh_token"]})
    opened = pair["organization"]["slug"] if pair["organization"] else "no organization"
    sys.stderr.write(f"Logged in to {opened}.\n")


def whoami(output: Form = Output.text) -> None:
    """Who you are, and what you may do."""
    me = connect(None).call("GET", "/v1/me")
    who = me["user"]["email"] if me["user"] else "api token"
    opened = me["organization"]["slug"] if me["organization"] else "no organization"
    show(me, output, f"{who} in {opened} as {me['role'] or 'token'}")


def _app(client: Client, name: str) -> dict[str, Any]:
    project, _, slug = name.partition("/")
    if not slug:
        raise typer.BadParameter("name it as project/app")
    found = client.call("GET", f"/v1/apps?project={quote(project)}&slug={quote(slug)}")["data"]
    if not found:
        raise ApiRefused(404, {"detail": f"There is no app {name}."})
    only: dict[str, Any] = found[0]
    return only


def _pair(client: Client, name: str, environment: str) -> dict[str, Any]:
    app = _app(client, name)
    project = app["project_id"]
    inside = client.call("GET", f"/v1/environments?project={project}&slug={quote(environment)}")["data"]
    if not inside:
        raise ApiRefused(404, {"detail": f"There is no environment {environment}."})
    pairs = client.call("GET", f"/v1/app-environments?app={app['id']}&environment={inside[0]['id']}")["data"]
    only: dict[str, Any] = pairs[0]
    return only


@projects.command("list")
def projects_list(output: Form = Output.text) -> None:
    """All projects."""
    rows = connect(None).pages("/v1/projects?limit=200")
    show(rows, output, table(rows, "slug", "name", "id"))


@projects.command("create")
def projects_create(name: str, slug: str | None = None, output: Form = Output.text) -> None:
    """Make a project."""
    made = connect(None).call("POST", "/v1/projects", {"name": name} | ({"slug": slug} if slug else {}))
    show(made, output, f"{made['slug']}  {made['id']}")


@environments.command("list")
def environments_list(project: str | None = None, output: Form = Output.text) -> None:
    """All environments."""
    rows = connect(None).pages("/v1/environments?limit=200" + (f"&project={quote(project)}" if project else ""))
    show(rows, output, table(rows, "slug", "kind", "protected", "id"))


@environments.command("create")
def environments_create(
    project: str, name: str, kind: str = "development", protected: bool = False, output: Form = Output.text
) -> None:
    """Make an environment."""
    body = {"project": project, "name": name, "kind": kind, "protected": protected}
    made = connect(None).call("POST", "/v1/environments", body)
    show(made, output, f"{made['slug']}  {made['id']}")


@apps.command("list")
def apps_list(project: str | None = None, output: Form = Output.text) -> None:
    """All apps."""
    rows = connect(None).pages("/v1/apps?limit=200" + (f"&project={quote(project)}" if project else ""))
    show(rows, output, table(rows, "slug", "image", "id"))


@apps.command("create")
def apps_create(
    project: str,
    name: str,
    image: str | None = None,
    port: Annotated[int, typer.Option(help="Where web listens.")] = 8080,
    output: Form = Output.text,
) -> None:
    """Make an app with one process, web."""
    body: dict[str, Any] = {"project": project, "name": name, "processes": {"web": {"port": port}}}
    made = connect(None).call("POST", "/v1/apps", body | ({"image": image} if image else {}))
    show(made, output, f"{made['slug']}  {made['id']}")


@apps.command("show")
def apps_show(app: AppName, environment: Where = "production", output: Form = Output.text) -> None:
    """An app in an environment: address, release, health."""
    pair = _pair(connect(None), app, environment)
    current = pair["current_release"]
    live = f"release {current['number']} ({current['image']})" if current else "nothing live"
    show(pair, output, f"{pair['url']}\n{live}, {pair['health']}, config revision {pair['config_revision']}")


@config.command("get")
def config_get(app: AppName, environment: Where = "production", output: Form = Output.text) -> None:
    """The config vars."""
    client = connect(None)
    found = client.call("GET", f"/v1/app-environments/{_pair(client, app, environment)['id']}/config")
    lines = [f"{name}={value}" for name, value in found["vars"].items()]
    show(found, output, "\n".join([f"# revision {found['revision']}", *lines]))


def _assignments(words: list[str]) -> dict[str, str | None]:
    changes: dict[str, str | None] = {}
    for word in words:
        name, joint, value = word.partition("=")
        if not joint:
            raise typer.BadParameter(f"{name[:40]} is no NAME=value")
        changes[name] = value
    return changes


@config.command("set")
def config_set(
    app: AppName,
    values: Annotated[list[str], typer.Argument(help="NAME=value …", metavar="NAME=VALUE")],
    environment: Where = "production",
    deploy: Deploy = False,
    output: Form = Output.text,
) -> None:
    """Set config vars."""
    _change(app, environment, "config", {"vars": _assignments(values)}, deploy, output)


@config.command("unset")
def config_unset(
    app: AppName,
    names: list[str],
    environment: Where = "production",
    deploy: Deploy = False,
    output: Form = Output.text,
) -> None:
    """Remove config vars."""
    _change(app, environment, "config", {"vars": dict.fromkeys(names)}, deploy, output)


@secrets.command("set")
def secrets_set(
    app: AppName,
    name: str,
    environment: Where = "production",
    deploy: Deploy = False,
    output: Form = Output.text,
) -> None:
    """Set a secret; its value is read from stdin, so that it is in no history and no process list."""
    value = getpass.getpass(f"Value of {name}: ") if sys.stdin.isatty() else sys.stdin.read().removesuffix("\n")
    _change(app, environment, "secrets", {"secrets": {name: value}}, deploy, output)


@secrets.command("unset")
def secrets_unset(
    app: AppName, name: str, environment: Where = "production", deploy: Deploy = False, output: Form = Output.text
) -> None:
    """Remove a secret."""
    _change(app, environment, "secrets", {"secrets": {name: None}}, deploy, output)


@secrets.command("list")
def secrets_list(app: AppName, environment: Where = "production", output: Form = Output.text) -> None:
    """Names and versions; values are shown to nobody."""
    client = connect(None)
    found = client.call("GET", f"/v1/app-environments/{_pair(client, app, environment)['id']}/secrets")
    show(found, output, table(found["data"], "name", "version", "digest"))


def _change(app: str, environment: str, what: str, body: dict[str, Any], deploy: bool, output: Output) -> None:
    client = connect(None)
    pair = _pair(client, app, environment)
    path = f"/v1/app-environments/{pair['id']}/{what}" + ("?deploy=true" if deploy else "")
    answer = client.call("PATCH", path, body)
    if deploy:
        raise typer.Exit(exit_code(wait(client, answer, 900), output))
    show(answer, output, f"revision {answer['revision']}, staged for the next deployment")


def deploy(
    app: AppName,
    environment: Where = "production",
    image: Annotated[str | None, typer.Option(help="Default: the app's own.")] = None,
    wait_for: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the verdict.")] = True,
    timeout: Annotated[int, typer.Option(help="Seconds to wait.")] = 900,
    message: str = "",
    output: Form = Output.text,
) -> None:
    """Deploy an image. Exit code: 0 live, 1 failed, 2 canceled or superseded, 3 timed out, 4 denied, 5 usage."""
    client = connect(None)
    body: dict[str, Any] = {"environment": environment, "message": message, "trigger": "cli"}
    started = client.call(
        "POST", f"/v1/apps/{_app(client, app)['id']}/deployments", body | ({"image": image} if image else {})
    )
    if not wait_for:
        show(started, output, f"{started['id']} {started['phase']}")
        return
    raise typer.Exit(exit_code(wait(client, started, timeout), output))


def rollback(
    app: AppName,
    release: Annotated[int, typer.Argument(help="The release's number.")],
    environment: Where = "production",
    dry_run: Annotated[bool, typer.Option(help="Only show what would change.")] = False,
    timeout: Annotated[int, typer.Option(help="Seconds to wait.")] = 900,
    output: Form = Output.text,
) -> None:
    """Go back to an older release: image, config and secrets."""
    client = connect(None)
    pair = _pair(client, app, environment)
    path = f"/v1/app-environments/{pair['id']}/actions/rollback"
    answer = client.call("POST", path, {"release": release, "dry_run": dry_run})
    if dry_run:
        show(answer, output, json.dumps({k: v for k, v in answer.items() if k != "object"}, indent=2))
        return
    raise typer.Exit(exit_code(wait(client, answer, timeout), output))
