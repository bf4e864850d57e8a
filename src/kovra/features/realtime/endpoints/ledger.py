"""The ledger as a list and as a stream of server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request, Response

from kovra.features.realtime import queries
from kovra.features.realtime.endpoints.shapes import event_out
from kovra.features.realtime.endpoints.topics import find_topic, read_topic
from kovra.features.realtime.hub import Dropped, Ended, Hub, Viewer
from kovra.features.realtime.protocol import Fact, Topic
from kovra.features.realtime.schemas import EventsOut
from kovra.foundation.access import Permission, Principal
from kovra.foundation.errors import Malformed
from kovra.foundation.web.answers import refuses
from kovra.foundation.web.eventstream import COMMENT, MEDIA_TYPE, EventStream, event, rendered_event, wants_events
from kovra.foundation.web.fields import Reference
from kovra.foundation.web.guard import requires
from kovra.foundation.web.lists import link
from kovra.foundation.web.routes import KovraRoute, also_answers
from kovra.foundation.web.sessions import Sessions, wired

router = APIRouter(route_class=KovraRoute)

_PING_S: Final = 15.0
Live = Annotated[Hub, wired(Hub)]
_STREAMED: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'id: 42\nevent: event\ndata: {"id":"evt_…","seq":42,"type":"deployment.finished"}\n\n',
            }
        }
    }
}


@router.get(
    "/v1/events", tags=["events"], operation_id="listEvents", summary="The ledger", response_model=EventsOut,
    responses=_STREAMED,
)  # fmt: skip
@also_answers(MEDIA_TYPE)
@refuses("404 not_found", "429 too_many_streams", "503 restarting")
async def list_events(
    request: Request,
    response: Response,
    who: Annotated[Principal, requires(Permission.events_read)],
    sessions: Sessions,
    hub: Live,
    after: Annotated[int | None, Query(ge=0, le=2**62, description="A sequence; facts after it are listed.")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="How many at most.")] = 50,
    type: Annotated[  # noqa: A002
        Reference | None, Query(description="Only facts of this type.", examples=["deployment.finished"])
    ] = None,
    subject: Annotated[Reference | None, Query(description="The id of what the facts are about.")] = None,
    topic: Annotated[
        Reference | None,
        Query(description="Only facts of this project, environment, app, app environment or deployment."),
    ] = None,
    last_event_id: Annotated[str | None, Header(description="A stream resumes after this sequence.")] = None,
) -> Any:
    """Every fact of the organization, oldest first; with `Accept: text/event-stream`, facts as they happen.

    A stream begins after `Last-Event-ID` or `after`, else now, and misses nothing from there on.
    """
    chosen = read_topic(topic, pointer="topic") if topic else None
    async with sessions() as session:
        place = await find_topic(session, *chosen) if chosen else Topic(id="")
        if not wants_events(request):
            rows = await session.all(
                queries.EVENTS_AFTER, org_id=session.org_id, after=after or 0, limit=limit + 1, type=type,
                subject=subject or place.subject, project_id=place.project_id, app_id=place.app_id,
                environment_id=place.environment_id,
            )  # fmt: skip
            more = len(rows) > limit
            rows = rows[:limit]
            if more:
                link(request, response, after=rows[-1].seq)
            return EventsOut(data=[event_out(r) for r in rows], next=rows[-1].seq if more else None, has_more=more)
        access = await session.access()
    wanted = _Wanted(place, type, subject)
    start = _resumed(last_event_id) if last_event_id is not None else after
    viewer = await hub.watch(who, access, start)  # before the first byte: too many streams still get a problem
    return EventStream(_events(viewer, wanted), on_close=lambda: hub.leave(viewer))


def _resumed(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Malformed("Last-Event-ID is a sequence: a whole number.", code="cursor_invalid")
    return int(text)


class _Wanted:
    """The stream's filters."""

    def __init__(self, place: Topic, kind: str | None, subject: str | None) -> None:
        self._place, self._kind, self._subject = place, kind, subject

    def __call__(self, fact: Fact) -> bool:
        return self._place.covers(fact) and self._kind in (None, fact.type) and self._subject in (None, fact.subject)


async def _events(viewer: Viewer, wanted: _Wanted) -> AsyncGenerator[bytes]:
    """Facts, each with its sequence as id, so that a browser resumes by itself."""
    yield b"retry: 2000\n\n" + event("ready", {"seq": viewer.cursor}, id=str(viewer.cursor))
    while True:
        found = await viewer.next(_PING_S)
        if isinstance(found, Ended):
            wait = f"retry: {found.after_ms}\n" if found.after_ms else ""
            yield wait.encode() + event("ended", {"code": found.code, "after_ms": found.after_ms})
            return
        if isinstance(found, Dropped):
            yield event("dropped", {"after": found.after, "to": found.to}, id=str(found.to))
            continue
        sent = [rendered_event("event", fact.body, id=str(fact.seq)) for fact in found if wanted(fact)]
        yield b"".join(sent) or COMMENT
