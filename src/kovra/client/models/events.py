"""Shapes of events. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class EventOut(TypedDict):
    """One fact of the organization's ledger."""

    id: str
    """Its id, for ever."""
    object: Literal["event"]
    """What kind of object this is."""
    seq: int
    """Gapless within the organization; resume by it."""
    type: str
    """What happened: a name of the catalogue of events."""
    actor: str
    """Who did it: the id of a person or an api token, or `system`."""
    origin: str
    """`api`, `worker` or `system`: which part of Kovra recorded it."""
    subject: str
    """The id of what it is about."""
    project_id: str | None
    """Where it belongs; null: not in a project."""
    app_id: str | None
    """null: it is about no single app."""
    environment_id: str | None
    """null: it is about no single environment."""
    payload: dict[str, Any]
    """Ids, names and numbers, by `type`; never a secret."""
    created_at: str
    """When it was made."""
    hash: str
    """Chains this fact to the one before."""


class EventsOut(TypedDict):
    """A page of the ledger, oldest first; `next` is the `after` of the next page."""

    data: list[EventOut]
    """Facts, oldest first."""
    next: int | None
    """The `after` of the next page; null: there is none."""
    has_more: bool
    """Whether there is another page."""


class TicketOut(TypedDict):
    """A one-use ticket for the event socket."""

    object: Literal["ws_ticket"]
    """What kind of object this is."""
    ticket: str
    """Send it as the subprotocol `ticket.<ticket>`; it works once."""
    protocol: Literal["kovra.v1"]
    """The other subprotocol to send."""
    expires_at: str
    """30 seconds from now."""
