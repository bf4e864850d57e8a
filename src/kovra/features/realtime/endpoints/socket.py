"""The event socket: one connection, many subscriptions, each with a snapshot first and then every fact in order.

One task writes: it answers the client's messages and sends facts in turn, so a snapshot and the facts after it never
overlap. Another only reads messages into a short queue. While the first has nothing to do, facts go past it: as frames made
once for every socket with the same subscriptions.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from kovra.features.realtime import queries
from kovra.features.realtime.endpoints.pulse import Pulse
from kovra.features.realtime.endpoints.topics import find_topic
from kovra.features.realtime.hub import Batch, Dropped, Ended, Hub, Snapshots, Viewer
from kovra.features.realtime.protocol import (
    MAX_MESSAGE_BYTES,
    MAX_SUBSCRIPTIONS,
    PROTOCOL,
    Close,
    Fact,
    Ping,
    Subscribe,
    Topic,
    Unsubscribe,
    event_frame,
    frame,
    may_read,
    parse,
)
from kovra.features.realtime.schemas import TicketOut
from kovra.foundation import clock
from kovra.foundation.access import Access, Permission, Principal
from kovra.foundation.db.database import Database
from kovra.foundation.errors import (
    Conflict,
    Forbidden,
    KovraError,
    Malformed,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from kovra.foundation.observability import logger
from kovra.foundation.registry import Registry
from kovra.foundation.web import tickets
from kovra.foundation.web.eventstream import SEND_TIMEOUT_S
from kovra.foundation.web.frames import door_of, text_frame
from kovra.foundation.web.guard import public, requires
from kovra.foundation.web.idempotency import shows_secret
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import Session
from kovra.foundation.web.sockets import SocketGate
from kovra.foundation.web.tickets import Ticket

router = APIRouter(route_class=KovraRoute)

PURPOSE: Final = "events"
_PING_S: Final = 20.0
_IDLE_S: Final = 60.0
"""A socket that watches nothing is closed after this."""
_MESSAGES: Final = 60
"""Messages a client may send within ``_WINDOW_S``."""
_WINDOW_S: Final = 10.0
_WAITING: Final = 32


@router.post(
    "/v1/ws-tickets",
    tags=["events"],
    operation_id="createTicket",
    summary="A ticket for the event socket",
    status_code=201,
)
@shows_secret
async def create_ticket(who: Annotated[Principal, requires(Permission.events_read)], session: Session) -> TicketOut:
    """A one-use ticket of 30 seconds: open `/v1/ws` with the subprotocols `kovra.v1` and `ticket.<ticket>`."""
    made = await tickets.issue(session, who, PURPOSE)
    return TicketOut(ticket=made.text, expires_at=made.expires_at)


@router.websocket("/v1/ws")
@public("A one-use ticket is presented as a subprotocol.")
async def event_socket(socket: WebSocket) -> None:
    """Events as frames."""
    registry: Registry = socket.app.state.registry
    ticket = await registry.get(SocketGate).admit(socket, protocol=PROTOCOL, purpose=PURPOSE)
    if ticket is not None:
        await _Connection(socket, registry, ticket).serve()


@dataclass(slots=True)
class _Subscription:
    topic: Topic
    asked: Subscribe
    after: int
    """Facts up to here are in its snapshot, or were sent before."""


class _Connection:
    """One accepted socket."""

    def __init__(self, socket: WebSocket, registry: Registry, ticket: Ticket) -> None:
        self._socket = socket
        self._registry = registry
        self._database = registry.get(Database)
        self._principal = ticket.principal
        self._subscriptions: dict[str, _Subscription] = {}
        self._messages: deque[Subscribe | Unsubscribe | Ping | Malformed] = deque()
        self._received: deque[float] = deque()
        self._idle_since = clock.monotonic()
        self._pulse: Pulse
        self._door = door_of(socket)
        self._sees = ""
        """Names what is made of facts for this socket: the same for all with these subscriptions and this narrowing."""
        self._newest = 0
        """The latest sequence that a subscription begins after."""

    async def serve(self) -> None:
        """Until either side ends it."""
        try:
            async with self._database.principal(self._principal, Permission.events_read) as session:
                access = await session.access()
            hub = self._registry.get(Hub)
            viewer = await hub.watch(self._principal, access, None)
            viewer.push = None if self._door is None else lambda batch: self._push(viewer, batch)
            try:
                async with Pulse(viewer.woken.set) as self._pulse:
                    await self._both(viewer)
            finally:
                hub.leave(viewer)
        except TimeoutError:
            await self._close(Close.idle, "not_reading")
        except Unauthenticated as ended:
            await self._close(Close.ended, ended.error_code)
        except Forbidden as refused:
            await self._close(Close.forbidden, refused.error_code)
        except RateLimited as many:
            await self._close(Close.too_many, many.error_code)
        except KovraError as away:
            await self._close(Close.restarting, away.error_code)
        except (WebSocketDisconnect, RuntimeError):  # the client is gone, maybe in the middle of a frame
            return

    async def _both(self, viewer: Viewer) -> None:
        reading = asyncio.create_task(self._read(viewer))
        try:
            await self._write(viewer)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, viewer: Viewer) -> None:
        """Messages into the queue; one that breaks a rule of the socket ends it."""
        while viewer.ended is None:
            try:
                message = await self._socket.receive()
            except RuntimeError:
                message = {"type": "websocket.disconnect"}
            if message["type"] == "websocket.disconnect":
                viewer.end(Ended(Close.policy, "disconnected"))
                return
            text = message.get("text")
            if text is None:
                viewer.end(Ended(Close.policy, "binary_not_expected"))
            elif len(text.encode()) > MAX_MESSAGE_BYTES:
                viewer.end(Ended(Close.too_large, "message_too_large"))
            elif not self._in_time():
                viewer.end(Ended(Close.too_many, "too_many_messages"))
            else:
                self._messages.append(_parsed(text))
                viewer.woken.set()

    def _in_time(self) -> bool:
        now = clock.monotonic()
        self._received.append(now)
        while self._received[0] < now - _WINDOW_S:
            self._received.popleft()
        return len(self._received) <= _MESSAGES and len(self._messages) < _WAITING

    async def _write(self, viewer: Viewer) -> None:
        pinged = clock.monotonic()
        while True:
            while self._messages and viewer.ended is None:
                await self._answer(viewer, self._messages.popleft())
            found = await viewer.next(None)
            match found:
                case Ended():
                    await self._end(found)
                    return
                case Dropped():
                    await self._begin_again(viewer, found)
                case _:
                    for text in self._frames(found):
                        await self._send(text)
            if clock.monotonic() - pinged >= _PING_S:
                pinged = clock.monotonic()
                await self._send(frame("ping", at=clock.rfc3339(clock.now())))
            if self._subscriptions:
                self._idle_since = clock.monotonic()
            elif clock.monotonic() - self._idle_since > _IDLE_S:
                viewer.end(Ended(Close.idle, "nothing_subscribed"))

    def _push(self, viewer: Viewer, batch: Batch) -> bool:
        if self._door is None or self._messages or batch.facts[0].seq <= self._newest:
            return False
        data = batch.made.get(self._sees)
        if data is None:
            readable = [fact for fact in batch.facts if may_read(viewer.access, fact)]
            data = batch.made[self._sees] = b"".join(map(text_frame, self._frames(readable)))
        return not data or self._door.write_frames(data)

    def _frames(self, facts: Iterable[Fact]) -> Iterator[str]:
        for fact in facts:
            names = [
                name for name, one in self._subscriptions.items() if fact.seq > one.after and one.topic.covers(fact)
            ]
            if names:
                yield event_frame(fact, names)

    def _changed(self, viewer: Viewer) -> None:
        """Other facts are seen from now on."""
        access, topics = viewer.access, [(name, one.topic.id) for name, one in self._subscriptions.items()]
        self._sees = repr((access.project_id, access.app_id, access.environment_id, topics))
        self._newest = max((one.after for one in self._subscriptions.values()), default=0)

    async def _answer(self, viewer: Viewer, message: Subscribe | Unsubscribe | Ping | Malformed) -> None:
        try:
            match message:
                case Ping():
                    await self._send(frame("pong", at=clock.rfc3339(clock.now())))
                case Unsubscribe():
                    self._subscriptions.pop(message.id, None)
                    self._changed(viewer)
                    await self._send(frame("unsubscribed", id=message.id))
                case Subscribe():
                    await self._subscribe(viewer, message)
                case Malformed():
                    raise message
        except (Unauthenticated, Forbidden, Unavailable):  # what passes ends the socket: who comes back has it all
            raise
        except KovraError as refused:
            name = message.id if isinstance(message, Subscribe) else None
            await self._send(frame("error", id=name, code=refused.error_code, message=refused.message))

    async def _subscribe(self, viewer: Viewer, asked: Subscribe) -> None:
        if asked.id not in self._subscriptions and len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise Conflict(f"At most {MAX_SUBSCRIPTIONS} subscriptions.", code="too_many_subscriptions")
        async with self._database.principal(self._principal, Permission.events_read) as session:
            topic = await find_topic(session, asked.prefix, asked.uuid)
            head = (await session.one(queries.HEAD, org_id=session.org_id)).seq
            if asked.after is not None and asked.after > head:
                raise Conflict("The ledger has no such sequence yet.", code="cursor_invalid")
            resumed = asked.after is not None and head - asked.after <= viewer.feed.options.catch_up
            snapshot = None if resumed else await self._snapshot(session, asked, topic)
            access = await session.access()
        if resumed and asked.after is not None:
            await self._send(frame("subscribed", id=asked.id, topic=topic.id, seq=asked.after))
            await self._resume(viewer, asked, topic, access)
            return
        if asked.after is not None:
            await self._send(frame("dropped", after=asked.after, to=head))
        await self._send(frame("subscribed", id=asked.id, topic=topic.id, seq=head, snapshot=snapshot))
        self._subscriptions[asked.id] = _Subscription(topic, asked, head)
        self._changed(viewer)

    async def _snapshot(self, session: Any, asked: Subscribe, topic: Topic) -> dict[str, list[Any]]:
        place = {
            "project_id": topic.project_id,
            "app_id": topic.app_id,
            "environment_id": topic.environment_id,
            "deployment_id": asked.uuid if asked.prefix == "dep" else None,
        }
        return await self._registry.get(Snapshots).of(session, self._registry, place)

    async def _resume(self, viewer: Viewer, asked: Subscribe, topic: Topic, access: Access) -> None:
        """What happened between the client's sequence and this socket's place; from there it follows with the others."""
        assert asked.after is not None
        position = asked.after
        while position < viewer.cursor:
            facts = await viewer.feed.read(position)
            if not facts:
                break
            for fact in facts:
                if fact.seq <= viewer.cursor and topic.covers(fact) and may_read(access, fact):
                    await self._send(event_frame(fact, [asked.id]))
            position = facts[-1].seq
        self._subscriptions[asked.id] = _Subscription(topic, asked, max(asked.after, viewer.cursor))
        self._changed(viewer)

    async def _begin_again(self, viewer: Viewer, gap: Dropped) -> None:
        """The client fell too far behind: say what it missed, and give every subscription a fresh snapshot."""
        await self._send(frame("dropped", after=gap.after, to=gap.to))
        for one in list(self._subscriptions.values()):
            fresh = Subscribe(
                id=one.asked.id, prefix=one.asked.prefix, topic=one.asked.topic, uuid=one.asked.uuid, after=None
            )
            await self._answer(viewer, fresh)

    async def _end(self, why: Ended) -> None:
        if why.close is Close.restarting:
            await self._send(frame("reconnect", after_ms=why.after_ms))
        await self._close(why.close, why.code)

    async def _send(self, text: str) -> None:
        self._pulse.sending_since = clock.monotonic()
        await self._socket.send_text(text)
        self._pulse.sending_since = None

    async def _close(self, code: Close, reason: str) -> None:
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._socket.close(int(code), reason)
        except (RuntimeError, WebSocketDisconnect, TimeoutError, OSError):
            logger.debug("socket_was_gone", reason=reason)


def _parsed(text: str) -> Subscribe | Unsubscribe | Ping | Malformed:
    try:
        return parse(text)
    except Malformed as wrong:
        return wrong
