"""The ledger as a list and as a stream of server-sent events."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request
from starlette.types import Receive, Scope, Send

from kovra.features.realtime import queries
from kovra.features.realtime.endpoints.shapes import event_out
from kovra.features.realtime.endpoints.topics import find_topic, read_topic
from kovra.features.realtime.hub import Dropped, Ended, Hub, Viewer
from kovra.features.realtime.protocol import Fact, Topic, frame_data, sse
from kovra.features.realtime.schemas import EventsOut
from kovra.foundation.access import Permission, Principal
from kovra.foundation.errors import Malformed
from kovra.foundation.web.guard import requires
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import SessionFactory, Sessions, wired
from kovra.foundation.web.streams import EventStream, wants_events

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
async def list_events(
    request: Request,
    who: Annotated[Principal, requires(Permission.events_read)],
    sessions: Sessions,
    hub: Live,
    after: Annotated[int | None, Query(ge=0, le=2**62, description="A sequence; facts after it are listed.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    type: Annotated[str | None, Query(max_length=60, examples=["deployment.finished"])] = None,  # noqa: A002
    subject: Annotated[str | None, Query(max_length=40, description="The id of what the facts are about.")] = None,
    topic: Annotated[
        str | None,
        Query(
            max_length=40, description="Only facts of this project, environment, app, app environment or deployment."
        ),
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
            return EventsOut(data=[event_out(r) for r in rows], next=rows[-1].seq if more else None, has_more=more)
        access = await session.access()
    wanted = _Wanted(place, type, subject)
    start = _resumed(last_event_id) if last_event_id is not None else after
    return _Stream(sessions, hub, who, access, wanted, start)


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


class _Stream(EventStream):
    """Facts as server-sent events; each carries its sequence as id, so that a browser resumes by itself."""

    def __init__(
        self, sessions: SessionFactory, hub: Hub, who: Principal, access: Any, wanted: _Wanted, after: int | None
    ) -> None:
        super().__init__()
        self._hub, self._who, self._access, self._wanted, self._after = hub, who, access, wanted, after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Admitted before the first byte: too many streams are still answered with a problem.
        async with self._hub.watching(self._who, self._access, self._after) as viewer:
            await self.run(scope, receive, send, self._events(viewer))

    async def _events(self, viewer: Viewer) -> Any:
        yield b"retry: 2000\n\n" + sse("ready", frame_data(seq=viewer.cursor), seq=viewer.cursor)
        while True:
            found = await viewer.next(_PING_S)
            if isinstance(found, Ended):
                wait = f"retry: {found.after_ms}\n" if found.after_ms else ""
                yield wait.encode() + sse("ended", frame_data(code=found.code, after_ms=found.after_ms))
                return
            if isinstance(found, Dropped):
                yield sse("dropped", frame_data(after=found.after, to=found.to), seq=found.to)
                continue
            sent = [sse("event", fact.body, seq=fact.seq) for fact in found if self._wanted(fact)]
            yield b"".join(sent) or b": ping\n\n"
