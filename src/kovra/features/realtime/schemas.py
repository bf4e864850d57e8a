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
    payload: dict[str, Any]
    created_at: Time
    hash: str = Field(description="Chains this fact to the one before.")


class EventsOut(Output):
    """A page of the ledger, oldest first; `next` is the `after` of the next page."""

    data: list[EventOut]
    next: int | None
    has_more: bool
