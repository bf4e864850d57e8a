"""Shapes of events. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class EventOut(TypedDict):
    """One fact of the organization's ledger."""

    id: str
    object: Literal["event"]
    seq: int
    """Gapless within the organization; resume by it."""
    type: str
    actor: str
    origin: str
    subject: str
    project_id: str | None
    """Where it belongs; null: not in a project."""
    app_id: str | None
    environment_id: str | None
    payload: dict[str, Any]
    created_at: str
    hash: str
    """Chains this fact to the one before."""


class EventsOut(TypedDict):
    """A page of the ledger, oldest first; `next` is the `after` of the next page."""

    data: list[EventOut]
    next: int | None
    has_more: bool


class TicketOut(TypedDict):
    """A one-use ticket for the event socket."""

    object: Literal["ws_ticket"]
    ticket: str
    """Send it as the subprotocol `ticket.<ticket>`; it works once."""
    protocol: Literal["kovra.v1"]
    expires_at: str
