"""Which server and organization a command means, as whom, and the login that is kept for it.

The server and the organization: ``--context``; else KOVRA_URL; else KOVRA_CONTEXT; else the context that the folder's link
(`linked`) names; else the current one; else this machine. The credential: KOVRA_TOKEN; else that context's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from kovra.client import ApiRefused, address
from kovra.entrypoints.cli import contexts, linked
from kovra.entrypoints.cli.contexts import Context
from kovra.entrypoints.cli.trouble import LocalTrouble

if TYPE_CHECKING:
    from kovra.client import Client

HERE: Final = "http://127.0.0.1:8080"
asked: Final[ContextVar[str | None]] = ContextVar("asked", default=None)
"""What ``--context`` says in this command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Where a command goes."""

    url: str
    context: Context | None
    """None: nothing is kept for that server."""


def named() -> str | None:
    """The context that is named for this command; raises LocalTrouble when two are."""
    return asked.get() or os.environ.get("KOVRA_CONTEXT") or None


def choose(*, heed_link: bool = True) -> Chosen:
    """Where this command goes; raises LocalTrouble, and AddressWrong. ``heed_link``: as the folder's link says, if it has one."""
    known = contexts.load()
    name, given = named(), os.environ.get("KOVRA_URL")
    if name:
        return _named(name, known.known, None if asked.get() else given)
    if given:
        url = address(given)
        return Chosen(url=url, context=_matching(known, url))
    link = linked.find() if heed_link else None
    if link is not None and link.url:
        return _linked(link, link.url, known)
    current = known.known.get(known.current or "")
    if current is None and known.known:
        raise LocalTrouble(
            "context_not_chosen", "No context is the current one.", "Choose one: kovra context use NAME", usage=True
        )
    return Chosen(url=current.url if current else HERE, context=current)


def _linked(link: linked.Link, url: str, known: contexts.Contexts) -> Chosen:
    """The context of a linked folder. Nothing is sent to another organization's app of the same name, nor to an address that
    is in a file alone.
    """
    found = _matching(known, address(url), link.organization)
    if found is None:
        organization = f" --organization {link.organization}" if link.organization else ""
        raise LocalTrouble(
            "link_elsewhere",
            f"{link.path} is about {link.organization or 'an organization'} at {url}, and no context is.",
            f"Log in there: kovra login --url {url}{organization}; or say where to go: --context NAME, or KOVRA_URL",
            usage=True,
        )
    return Chosen(url=found.url, context=found)


def _named(name: str, known: Mapping[str, Context], given: str | None) -> Chosen:
    context = known.get(name)
    if context is None:
        raise LocalTrouble(
            "context_unknown",
            f"There is no context {name}.",
            "What there is: kovra context list. Another one: kovra context add NAME --url URL",
            usage=True,
        )
    if given and address(given) != context.url:
        raise LocalTrouble(
            "context_contradicted",
            f"KOVRA_CONTEXT is {name} ({context.url}), and KOVRA_URL is {address(given)}.",
            "Unset one of them.",
            usage=True,
        )
    return Chosen(url=context.url, context=context)


def _matching(known: contexts.Contexts, url: str, organization: str | None = None) -> Context | None:
    """The context of this server (and organization, where one is named), the current one before others."""
    current = known.known.get(known.current or "")
    for one in [*([current] if current else []), *known.known.values()]:
        if one.url == url and organization in (None, one.organization):
            return one
    return None


def connect(*, heed_link: bool = True) -> Client:
    """The client of this command; raises LocalTrouble, and AddressWrong."""
    chosen = choose(heed_link=heed_link)
    token = os.environ.get("KOVRA_TOKEN")
    if token or chosen.context is None:
        return client_at(chosen.url, token or None)
    return client_of(chosen.context)


def client_at(url: str, token: str | None = None, *, fresh: Callable[[str | None], str] | None = None) -> Client:
    """The client of a server; all operations are loaded by who calls one."""
    from kovra.entrypoints.cli.patient import PatientClient

    return PatientClient(url, token, fresh=fresh)


def client_of(context: Context) -> Client:
    """The client of a context, with its own credential."""
    tokens, name = contexts.tokens_of(context), context.name
    if "api_token" in tokens:
        return client_at(context.url, tokens["api_token"])
    return client_at(context.url, tokens.get("access_token"), fresh=lambda expired: _fresh(name, expired))


def for_login(url: str | None) -> tuple[str, str]:
    """(context, server) that a login is for: a named one may be new; else the one of that server, else another one."""
    known, name = contexts.load(), named()
    context = known.known.get(name) if name else None
    if name:
        where = url or (context.url if context else None) or os.environ.get("KOVRA_URL")
        if where is None:
            raise LocalTrouble(
                "context_unknown", f"There is no context {name} yet.", "Say where it is: --url URL", usage=True
            )
        return name, address(where)
    server = address(url) if url else choose().url
    found = _matching(known, server)
    return (found.name if found else _new_name(known.known, server)), server


def _new_name(known: Mapping[str, Context], server: str) -> str:
    if contexts.FIRST not in known:
        return contexts.FIRST
    host = urlsplit(server).hostname or "other"
    taken = [host, *(f"{host}-{n}" for n in range(2, len(known) + 3))]
    return next(name for name in taken if name not in known)


def keep(name: str, url: str, pair: Mapping[str, Any], *, account: str | None = None, use: bool = False) -> Context:
    """Keep a login for the next commands, with the organization it opened."""
    with contexts.changing():
        return _keep(name, url, pair, account=account, use=use)


def _keep(name: str, url: str, pair: Mapping[str, Any], *, account: str | None, use: bool) -> Context:
    before = contexts.load().known.get(name) or Context(name=name, url=url)
    opened = pair.get("organization")
    context = replace(
        before,
        url=url,
        account=account or before.account,
        organization=opened["slug"] if opened else before.organization,
    )
    tokens = {"access_token": str(pair["access_token"]), "refresh_token": str(pair["refresh_token"])}
    return contexts.put(context, tokens, use=use)


def forget(context: Context) -> None:
    """Keep no credential of it; the context stays."""
    with contexts.changing():
        # The organization was that login's; whoever logs in next may not be in it.
        contexts.put(replace(context, account=None, organization=None if context.account else context.organization), {})


def _fresh(name: str, expired: str | None) -> str:
    """Another access token. Commands that run side by side refresh once: a refresh token is good for one use."""
    with contexts.changing():
        context = contexts.load().known.get(name)
        tokens = contexts.tokens_of(context) if context else {}
        if context is None or not tokens.get("refresh_token"):
            raise ApiRefused(401, {"code": "credential_ended", "detail": "You are not logged in any more."})
        if tokens.get("access_token") and tokens["access_token"] != expired:
            return tokens["access_token"]
        pair = client_at(context.url).refresh_tokens({"refresh_token": tokens["refresh_token"]})
        _keep(name, context.url, dict(pair), account=None, use=False)
        return str(pair["access_token"])
