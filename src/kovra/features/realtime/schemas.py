"""Response models of the ledger."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from kovra.foundation.web.fields import Output, Time, wire


class EventOut(Output):
    """One fact of the organization's ledger."""

    id: Annotated[UUID, wire("evt")]
    object: Literal["event"] = "event"
    seq: int = Field(description="Gapless within the organization; resume by it.")
    type: str
    actor: str
    origin: str
    subject: str
    project_id: Annotated[UUID | None, wire("prj")] = Field(description="Where it belongs; null: not in a project.")
    app_id: Annotated[UUID | None, wire("app")]
    environment_id: Annotated[UUID | None, wire("env")]
    payload: dict[str, Any]
    created_at: Time
    hash: str = Field(description="Chains this fact to the one before.")


class EventsOut(Output):
    """A page of the ledger, oldest first; `next` is the `after` of the next page."""

    data: list[EventOut]
    next: int | None
    has_more: bool


class TicketOut(Output):
    """A one-use ticket for the event socket."""

    object: Literal["ws_ticket"] = "ws_ticket"
    ticket: str = Field(description="Send it as the subprotocol `ticket.<ticket>`; it works once.")
    protocol: Literal["kovra.v1"] = "kovra.v1"
    expires_at: Time
