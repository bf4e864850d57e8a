"""`kovra context`: several servers and organizations, and moving between them."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated, Any

import typer

from kovra.client import address
from kovra.entrypoints.cli import completing, contexts, kept
from kovra.entrypoints.cli.contexts import Context
from kovra.entrypoints.cli.named import Form
from kovra.entrypoints.cli.output import Output, show, table
from kovra.entrypoints.cli.trouble import LocalTrouble

context = typer.Typer(help="Servers and organizations you work with; one is the current one.", no_args_is_help=True)

ContextName = Annotated[
    str, typer.Argument(help="The context's name.", metavar="NAME", autocompletion=completing.context_names)
]


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    app.add_typer(context, name="context")


def _shown(one: Context, current: str | None) -> dict[str, Any]:
    tokens = contexts.tokens_of(one) if one.kept_in == "file" else {}
    return {
        "name": one.name, "current": one.name == current, "url": one.url, "organization": one.organization,
        "account": one.account, "credential": _credential(one, tokens), "kept_in": one.kept_in,
    }  # fmt: skip


def _credential(one: Context, tokens: dict[str, str]) -> str | None:
    """``login`` or ``token``. What the keyring holds is not asked for: the account is a login's alone."""
    if one.kept_in is None:
        return None
    return "login" if "refresh_token" in tokens or one.account else "token"


@context.command("list")
def context_list(output: Form = Output.text) -> None:
    """All contexts; the current one is marked."""
    found = contexts.load()
    rows = [_shown(found.known[name], found.current) for name in sorted(found.known)]
    text = [
        {
            "": "*" if row["current"] else " ", "name": row["name"], "server": row["url"], "organization": row["organization"],
            "as": row["account"] or {"token": "an api token", "login": "a login"}.get(str(row["credential"]), "nobody"),
        }
        for row in rows
    ]  # fmt: skip
    empty = "There is no context yet: kovra login --email you@example.test, or kovra context add NAME --url URL"
    show(rows, output, table(text, "", "name", "server", "organization", "as") if rows else empty)


@context.command("use")
def context_use(name: ContextName, output: Form = Output.text) -> None:
    """Make a context the current one."""
    with contexts.changing():
        found = _known(name)
        contexts.put(found, use=True)
    show(_shown(found, name), output, f"{name}: {found.url}, {found.organization or 'no organization yet'}")


@context.command("add")
def context_add(
    name: ContextName,
    url: Annotated[str, typer.Option(help="The API's address.")],
    organization: Annotated[str | None, typer.Option(help="Which organization `kovra login` opens there.")] = None,
    with_token: Annotated[
        bool, typer.Option("--with-token", help="Keep an api token for it, from the terminal or from stdin.")
    ] = False,
    use: Annotated[bool, typer.Option("--use/--no-use", help="Make it the current one.")] = False,
    output: Form = Output.text,
) -> None:
    """Add a server. Log in there with `kovra --context NAME login`, or keep an api token with --with-token."""
    if name in contexts.load().known:
        raise LocalTrouble(
            "context_exists", f"There is a context {name}.", f"Remove it first: kovra context remove {name}", usage=True
        )
    made = Context(name=name, url=address(url), organization=organization)
    tokens = {"api_token": _token()} if with_token else None
    if tokens:
        found = kept.client_at(made.url, tokens["api_token"]).get_me()["organization"]
        opened = found["slug"] if found else None
        if organization not in (None, opened):
            raise LocalTrouble(
                "organization_differs", f"This token opens {opened}, not {organization}.", "Leave --organization out.", usage=True
            )  # fmt: skip
        made = Context(name=name, url=made.url, organization=opened)
    with contexts.changing():
        made = contexts.put(made, tokens, use=use)
    show(_shown(made, contexts.load().current), output, f"{name}: {made.url}")
    if not tokens:
        sys.stderr.write(f"Log in there: kovra --context {name} login --email you@example.test\n")


def _token() -> str:
    token = (getpass.getpass("Api token: ") if sys.stdin.isatty() else sys.stdin.readline()).strip()
    if not token:
        raise typer.BadParameter("Give the api token on stdin.")
    return token


@context.command("remove")
def context_remove(name: ContextName, output: Form = Output.text) -> None:
    """Forget a context and its credential here. A login goes on on the server until `kovra logout` or its end."""
    with contexts.changing():
        _known(name)
        contexts.remove(name)
    show({"name": name, "removed": True}, output, f"{name} is forgotten")


def _known(name: str) -> Context:
    found = contexts.load().known.get(name)
    if found is None:
        raise LocalTrouble(
            "context_unknown", f"There is no context {name}.", "What there is: kovra context list", usage=True
        )
    return found
