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
    type: str = Field(description="What happened: a name of the catalogue of events.")
    actor: str
    origin: str = Field(description="`api`, `worker` or `system`: which part of Kovra recorded it.")
    subject: str = Field(description="The id of what it is about.")
    project_id: Annotated[UUID | None, wire("prj")] = Field(description="Where it belongs; null: not in a project.")
    app_id: Annotated[UUID | None, wire("app")]
    environment_id: Annotated[UUID | None, wire("env")]
    payload: dict[str, Any] = Field(description="Ids, names and numbers, by `type`; never a secret.")
    created_at: Time
    hash: str = Field(description="Chains this fact to the one before.")


class EventsOut(Output):
    """A page of the ledger, oldest first; `next` is the `after` of the next page."""

    data: list[EventOut]
    next: int | None = Field(description="The `after` of the next page; null: there is none.")
    has_more: bool


class TicketOut(Output):
    """A one-use ticket for the event socket."""

    object: Literal["ws_ticket"] = "ws_ticket"
    ticket: str = Field(description="Send it as the subprotocol `ticket.<ticket>`; it works once.")
    protocol: Literal["kovra.v1"] = Field(default="kovra.v1", description="The other subprotocol to send.")
    expires_at: Time = Field(description="30 seconds from now.")
