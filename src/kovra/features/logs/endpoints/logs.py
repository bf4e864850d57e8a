"""Logs over HTTP: a page, or a stream of events."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, cast

from fastapi import APIRouter, Depends, Header, Query, Request
from pydantic import AwareDatetime

from kovra.adapters.cluster.manifests.labels import run_process
from kovra.features.logs.endpoints.shapes import Marks, line_out, target_of
from kovra.features.logs.endpoints.stream import Stream
from kovra.features.logs.protocol import Place, nanoseconds
from kovra.features.logs.schemas import LogPage
from kovra.features.logs.service.live import Target
from kovra.features.logs.service.reading import LogReader, Page
from kovra.features.logs.service.store import Edge, Wanted
from kovra.features.logs.service.turns import Turns
from kovra.foundation.access import Permission, Principal
from kovra.foundation.db.notices import Notices
from kovra.foundation.db.pages import Cursors
from kovra.foundation.errors import Invalid, Malformed
from kovra.foundation.ids import NIL, decode
from kovra.foundation.web.answers import refuses
from kovra.foundation.web.eventstream import MEDIA_TYPE, EventStream
from kovra.foundation.web.fields import Reference, path_id
from kovra.foundation.web.guard import requires
from kovra.foundation.web.routes import KovraRoute, also_answers
from kovra.foundation.web.sessions import SessionFactory, Sessions, wired

router = APIRouter(route_class=KovraRoute, prefix="/v1/app-environments/{app_environment_id}")

_LARGEST_CURSOR: Final = 8000


@dataclass(frozen=True, slots=True)
class Question:
    """What a request asks for."""

    follow: bool | None
    since: datetime | None
    until: datetime | None
    process: str | None
    q: str | None
    cursor: str | None
    limit: int

    def wanted(self, target: Target) -> Wanted:
        """As the reader takes it."""
        return Wanted(
            target=target,
            contains=self.q,
            since_ns=nanoseconds(self.since) if self.since else None,
            until_ns=nanoseconds(self.until) if self.until else None,
        )


async def _question(
    follow: Annotated[bool | None, Query(description="A stream goes on (default), or ends with what there is.")] = None,
    since: Annotated[AwareDatetime | None, Query(description="Lines from this time on, oldest first.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Lines before this time.")] = None,
    process: Annotated[
        str | None, Query(max_length=40, pattern="^[a-z][a-z0-9-]*$", description="Only this process.")
    ] = None,
    run: Annotated[Reference | None, Query(description="Only this run's command, by id.")] = None,
    q: Annotated[
        str | None, Query(min_length=1, max_length=200, description="Text a line must hold; case does not matter.")
    ] = None,
    cursor: Annotated[
        str | None, Query(max_length=_LARGEST_CURSOR, description="`next` of a page, or the id of an event.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Lines of a page; old lines before a stream.")] = 100,
) -> Question:
    for name, moment in (("since", since), ("until", until)):
        if moment is not None and not 1971 <= moment.year < 2200:
            raise Invalid.field(f"query:{name}", "out_of_range", "A time between 1971 and 2200.")
    if since is not None and until is not None and since >= until:
        raise Invalid.field("query:until", "empty_range", "`until` must be later than `since`.")
    if run is not None:
        if process is not None:
            raise Invalid.field("query:run", "process_or_run", "Ask for a process or for a run, not both.")
        process = run_process(decode("run", run) or NIL)
    return Question(follow, since, until, process, q, cursor, limit)


_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "A page; or, with `Accept: text/event-stream`, events `line`, `dropped`, `live` and `end`. "
        "The id of a `line` resumes by `Last-Event-ID`.",
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
    }
}


@router.get("/logs", tags=["logs"], operation_id="readLogs", summary="What an app writes", responses=_STREAM)
@also_answers(MEDIA_TYPE)
@refuses(
    "422 process_or_run",
    "422 stream_needed",
    "429 too_many_streams",
    "503 live_unavailable",
    "503 log_store_unavailable",
)
async def read_logs(
    app_environment_id: str,
    who: Annotated[Principal, requires(Permission.logs_read)],
    request: Request,
    sessions: Sessions,
    reader: Annotated[LogReader, wired(LogReader)],
    turns: Annotated[Turns, wired(Turns)],
    bell: Annotated[Notices, wired(Notices)],
    cursors: Annotated[Cursors, wired(Cursors)],
    question: Annotated[Question, Depends(_question)],
    last_event_id: Annotated[
        str | None, Header(max_length=_LARGEST_CURSOR, description="A stream resumes after this line.")
    ] = None,
) -> LogPage:
    """All pods and processes as one: from `since` on, or the newest lines first and then back in time."""
    target = await target_of(sessions, path_id("aev", app_environment_id), question.process)
    marks = Marks(cursors, target, contains=question.q, until=question.until)
    wanted = question.wanted(target)
    if MEDIA_TYPE not in request.headers.get("accept", ""):
        if question.follow:
            raise Invalid.field("query:follow", "stream_needed", "Following needs Accept: text/event-stream.")
        begin = marks.read(question.cursor) if question.cursor else None
        with turns.taken("pages", target.org_id):
            return _page_out(await _page(reader, sessions, wanted, begin, question.limit), marks)
    place = _begin(question, last_event_id, marks)
    turn = ExitStack()
    turn.enter_context(turns.taken("streams", target.org_id))
    stream = Stream(reader, sessions, bell, wanted, marks)
    events = stream.events(
        place, newest=question.limit, follow=question.follow is not False, ending=lambda: turns.ending
    )
    answer: Any = EventStream(events, on_close=turn.close)
    return cast("LogPage", answer)  # FastAPI passes responses on as they are


def _begin(question: Question, last_event_id: str | None, marks: Marks) -> Place | None:
    """Where a stream begins; a client that comes back says so in its header and repeats the query."""
    if question.until is not None and question.follow is not False:
        raise Invalid.field("query:until", "endless", "A stream that follows has no end; add `follow=false`.")
    cursor = last_event_id or question.cursor
    begin = marks.read(cursor) if cursor else None
    if isinstance(begin, tuple):
        raise Malformed("A stream cannot go back in time.", code="cursor_invalid")
    return begin


async def _page(
    reader: LogReader, sessions: SessionFactory, wanted: Wanted, begin: Place | Edge | None, limit: int
) -> Page:
    if isinstance(begin, tuple):
        return await reader.newest(sessions, wanted, begin, limit)
    if begin is None and wanted.since_ns is None:
        return await reader.newest(sessions, wanted, None, limit)
    return await reader.forward(sessions, wanted, begin or Place((wanted.since_ns or 1) - 1), limit)


def _page_out(page: Page, marks: Marks) -> LogPage:
    following = None
    if page.more and page.further is not None:
        following = marks.forward(page.further)
    elif page.more and page.older is not None:
        following = marks.backward(page.older)
    return LogPage(data=[line_out(line) for line in page.lines], next=following, has_more=page.more, live=page.live)
