"""The ledger over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from kovra.features.realtime import queries
from kovra.features.realtime.queries import EventRow
from kovra.features.realtime.schemas import EventOut, EventsOut
from kovra.foundation.access import Permission, Principal
from kovra.foundation.web.actors import shown
from kovra.foundation.web.guard import requires
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import Session

router = APIRouter(route_class=KovraRoute)


def _out(row: EventRow) -> EventOut:
    return EventOut(
        id=row.id,
        seq=row.seq,
        type=row.type,
        actor=shown(row.actor),
        origin=row.origin,
        subject=row.subject,
        payload=row.payload,
        created_at=row.created_at,
        hash=row.hash.hex(),
    )


@router.get("/v1/events", tags=["events"], operation_id="listEvents", summary="The ledger")
async def list_events(
    who: Annotated[Principal, requires(Permission.events_read)],
    session: Session,
    after: Annotated[int, Query(ge=0, le=2**62, description="A sequence; facts after it are listed.")] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    type: Annotated[str | None, Query(max_length=60, examples=["deployment.finished"])] = None,  # noqa: A002
    subject: Annotated[str | None, Query(max_length=40, description="The id of what the facts are about.")] = None,
) -> EventsOut:
    """Every fact of the organization, oldest first."""
    rows = await session.all(
        queries.EVENTS_AFTER, org_id=session.org_id, after=after, limit=limit + 1, type=type, subject=subject
    )
    shown_rows = rows[:limit]
    more = len(rows) > limit
    return EventsOut(data=[_out(r) for r in shown_rows], next=shown_rows[-1].seq if more else None, has_more=more)
