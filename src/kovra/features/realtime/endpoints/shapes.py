"""Facts as they are shown."""

from __future__ import annotations

from kovra.features.realtime.queries import EventRow
from kovra.features.realtime.schemas import EventOut
from kovra.foundation.web.actors import shown


def event_out(row: EventRow) -> EventOut:
    """An event."""
    return EventOut(
        id=row.id,
        seq=row.seq,
        type=row.type,
        actor=shown(row.actor),
        origin=row.origin,
        subject=row.subject,
        project_id=row.project_id,
        app_id=row.app_id,
        environment_id=row.environment_id,
        payload=row.payload,
        created_at=row.created_at,
        hash=row.hash.hex(),
    )


def rendered(row: EventRow) -> str:
    """An event as JSON, for streams."""
    return event_out(row).model_dump_json()
