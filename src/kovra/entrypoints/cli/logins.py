"""Logging in and out, and who one is."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from kovra.client import ApiRefused
from kovra.entrypoints.cli import contexts, kept
from kovra.entrypoints.cli.asking import ask
from kovra.entrypoints.cli.named import Form
from kovra.entrypoints.cli.output import Output, show

if TYPE_CHECKING:
    from kovra.client import Client


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    for verb in (login, logout, whoami):
        app.command()(verb)


def login(
    email: Annotated[str | None, typer.Option(help="Your address; asked for on a terminal.")] = None,
    url: Annotated[str | None, typer.Option(help="The API (KOVRA_URL).")] = None,
    organization: Annotated[str | None, typer.Option(help="Which organization to open.")] = None,
    output: Form = Output.text,
) -> None:
    """Log in and keep the login for the next commands. The password comes from the terminal, or from stdin.

    The login is kept in the context of that server, or in the one that --context names, which becomes the current one.
    """
    name, server = kept.for_login(url)
    client = kept.client_at(server)
    email = email or ask("Email", otherwise="Say who you are: --email you@example.test")
    password = getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if not password:
        raise typer.BadParameter("Give the password on stdin.")
    wanted = organization or _remembered(name, email)
    pair = client.log_in({"email": email, "password": password, "organization": wanted})
    context = kept.keep(name, client.url, dict(pair), account=email, use=True)
    opened = pair["organization"]["slug"] if pair["organization"] else "no organization"
    sys.stderr.write(f"Logged in to {opened}" + (f" (context {name}).\n" if name != contexts.FIRST else ".\n"))
    if output is Output.json:
        shown = {"url": client.url, "organization": pair["organization"], "context": name, "kept_in": context.kept_in}
        show(shown, output, "")


def _remembered(name: str, email: str) -> str | None:
    """The organization this context was made for, or this person was in; that of somebody else is not theirs."""
    before = contexts.load().known.get(name)
    return before.organization if before and (before.account == email or before.kept_in is None) else None


def logout(
    everywhere: Annotated[
        bool, typer.Option("--everywhere", help="End every login of yours, not only this one.")
    ] = False,
    output: Form = Output.text,
) -> None:
    """End the kept login, here and on the server. An api token is only forgotten here; `kovra tokens revoke` ends one."""
    context = kept.choose().context
    known = context is not None and context.kept_in is not None
    if context is not None and known:
        if "api_token" not in contexts.tokens_of(context):
            _end(kept.client_of(context), everywhere)
        kept.forget(context)
    sys.stderr.write("Logged out.\n" if known else "You were not logged in.\n")
    if output is Output.json:
        show({"logged_out": known, "everywhere": everywhere}, output, "")


def _end(client: Client, everywhere: bool) -> None:
    try:
        end = client.log_out_all if everywhere else client.log_out
        end()
    except ApiRefused as refused:
        if refused.status != 401:  # it has ended already
            raise


def whoami(output: Form = Output.text) -> None:
    """Who you are, and what you may do."""
    me = kept.connect().get_me()
    who = me["user"]["email"] if me["user"] else "api token"
    opened = me["organization"]["slug"] if me["organization"] else "no organization"
    show(me, output, f"{who} in {opened} as {me['role'] or 'token'}")
