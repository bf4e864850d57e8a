"""Who may do what: members, api tokens, and the organization's own keys."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, cast

import typer

from kovra.client import ApiRefused
from kovra.entrypoints.cli import kept
from kovra.entrypoints.cli.looking import moment
from kovra.entrypoints.cli.named import Form
from kovra.entrypoints.cli.output import Output, show, table

if TYPE_CHECKING:
    from kovra.client import Client
    from kovra.client.models import MemberOut, Permission, Role, RotateIn, TokenIn, TokenOut

members = typer.Typer(help="Members of the organization.", no_args_is_help=True)
tokens = typer.Typer(help="Api tokens, for pipelines and programs.", no_args_is_help=True)
encryption = typer.Typer(help="The organization's own keys.", no_args_is_help=True)

Person = Annotated[str, typer.Argument(help="An address, or a member's id.")]


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    for name, group in {"members": members, "tokens": tokens, "encryption": encryption}.items():
        app.add_typer(group, name=name)


@members.command("list")
def members_list(output: Form = Output.text) -> None:
    """Everybody, with their roles."""
    rows = list(kept.connect().iter_members(limit=200))
    shown = [row | {"email": row["user"]["email"], "name": row["user"]["name"]} for row in rows]
    show(rows, output, table(shown, "email", "name", "role", "id"))


@members.command("role")
def members_role(
    person: Person,
    role: Annotated[str, typer.Argument(help="owner, admin, member or viewer.")],
    output: Form = Output.text,
) -> None:
    """Give somebody another role; it counts at once."""
    client = kept.connect()
    changed = client.change_role(_member(client, person)["id"], {"role": cast("Role", role)})
    show(changed, output, f"{changed['user']['email']} is {changed['role']}")


@members.command("remove")
def members_remove(person: Person, output: Form = Output.text) -> None:
    """Take somebody out of the organization; their logins here end at once."""
    client = kept.connect()
    found = _member(client, person)
    client.remove_member(found["id"])
    show({"id": found["id"], "removed": True}, output, f"{found['user']['email']} is no member any more")


def _member(client: Client, person: str) -> MemberOut:
    for row in client.iter_members(limit=200):
        if person in (row["id"], row["user"]["email"]):
            return row
    raise ApiRefused(
        404, {"code": "not_found", "detail": f"There is no member {person}.", "hint": "kovra members list"}
    )


@tokens.command("list")
def tokens_list(output: Form = Output.text) -> None:
    """All api tokens; what they are is shown nowhere."""
    rows = list(kept.connect().iter_tokens(limit=200))
    shown = [row | {"permissions": len(row["permissions"]), "place": _place(row)} for row in rows]
    show(rows, output, table(shown, "name", "place", "permissions", "expires_at", "last_used_at", "id"))


def _place(token: TokenOut) -> str:
    places = (token["environment_id"], token["app_id"], token["project_id"])
    return next((place for place in places if place), "everywhere")


@tokens.command("create")
def tokens_create(
    name: str,
    permission: Annotated[
        list[str], typer.Option("--permission", "-p", help="Such as deployments:create; again for more.")
    ],
    project: Annotated[str | None, typer.Option(help="Only in this project.")] = None,
    app: Annotated[str | None, typer.Option(help="Only for this app (its id).")] = None,
    environment: Annotated[str | None, typer.Option(help="Only in this environment (its id).")] = None,
    expires: Annotated[str | None, typer.Option(help="When it ends (RFC 3339); default: the server's.")] = None,
    output: Form = Output.text,
) -> None:
    """Make an api token. It is printed once, alone on stdout, and kept nowhere."""
    body: TokenIn = {
        "name": name,
        "permissions": cast("list[Permission]", permission),
        "project": project,
        "app": app,
        "environment": environment,
        "expires_at": moment(expires) if expires else None,
    }
    made = kept.connect().create_token(body)
    sys.stderr.write(f"Keep it now: it is not shown again. Revoke it by `kovra tokens revoke {made['id']}`.\n")
    show(made, output, made["token"])


@tokens.command("revoke")
def tokens_revoke(token_id: str, output: Form = Output.text) -> None:
    """End an api token at once."""
    kept.connect().revoke_token(token_id)
    show({"id": token_id, "revoked": True}, output, f"{token_id} opens nothing any more")


@encryption.command("show")
def encryption_show(output: Form = Output.text) -> None:
    """The versions of the organization's keys, and how many values each seals."""
    found = kept.connect().get_encryption()
    show(found, output, table(found["keys"], "purpose", "version", "state", "values", "created_at"))


@encryption.command("rotate")
def encryption_rotate(
    purpose: Annotated[str, typer.Argument(help="config, secret or digest.")], output: Form = Output.text
) -> None:
    """Seal what comes under a new version, and what is there anew in the background."""
    found = kept.connect().rotate_encryption(cast("RotateIn", {"purpose": purpose}))
    show(found, output, f"{purpose}: rotation begun; `kovra encryption show` tells how far it is")
