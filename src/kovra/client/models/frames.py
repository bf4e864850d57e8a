"""Shapes of frames. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict

from kovra.client.models.app_environments import AppEnvironmentOut
from kovra.client.models.config import DeploymentOut
from kovra.client.models.events import EventOut
from kovra.client.models.logs import LineOut


class EventGap(TypedDict):
    """The reader fell too far behind: these sequences were left out."""

    after: int
    to: int


class EventStream(TypedDict):
    """What `GET /v1/events` tells as an event stream: kind → data."""

    ready: EventsReady
    event: EventOut
    dropped: EventGap
    ended: EventsEnded


class EventsEnded(TypedDict):
    """The server ends the stream; `restarting`: come back after so many milliseconds."""

    code: str
    after_ms: int


class EventsReady(TypedDict):
    """Where a stream begins."""

    seq: int


class LinesDropped(TypedDict):
    """So many lines were left out, because they came faster than they were read; pages still have them."""

    count: int
    pod: str


class LinesEnded(TypedDict):
    """Why the stream ends; `complete`: that is all there is."""

    code: str
    message: str


class LinesLive(TypedDict):
    """Whether lines come from the cluster as they are written."""

    live: bool


class LogStream(TypedDict):
    """What an app's log tells as an event stream: kind → data."""

    line: LineOut
    dropped: LinesDropped
    live: LinesLive
    end: LinesEnded


class ShellEndInput(TypedDict):
    """No more input comes."""

    type: Literal["end"]


class ShellExited(TypedDict):
    """The command has ended; nothing follows."""

    type: Literal["exit"]
    code: int
    message: str


class ShellResize(TypedDict):
    """The terminal's size."""

    type: Literal["resize"]
    columns: int
    rows: int


class ShellStarted(TypedDict):
    """The command runs."""

    type: Literal["started"]
    pod: str


class Snapshot(TypedDict):
    """What is there now."""

    app_environments: list[AppEnvironmentOut]
    deployments: list[DeploymentOut]


class SocketAskPing(TypedDict):
    """Is the server there?"""

    type: Literal["ping"]


class SocketDropped(TypedDict):
    """These sequences were left out; fresh snapshots follow."""

    type: Literal["dropped"]
    after: int
    to: int


class SocketError(TypedDict):
    """A message was refused; the socket stays open."""

    type: Literal["error"]
    id: str | None
    code: str
    message: str


class SocketEvent(TypedDict):
    """A fact, and which subscriptions it belongs to."""

    type: Literal["event"]
    subscriptions: list[str]
    event: EventOut


class SocketPing(TypedDict):
    """The server is there."""

    type: Literal["ping"]
    at: str


class SocketPong(TypedDict):
    """The answer to a client's ping."""

    type: Literal["pong"]
    at: str


class SocketReconnect(TypedDict):
    """The server is being replaced: come back then."""

    type: Literal["reconnect"]
    after_ms: int


class SocketSubscribe(TypedDict):
    """Watch a topic; `after`: resume there."""

    type: Literal["subscribe"]
    id: str
    topic: str
    after: NotRequired[int]


class SocketSubscribed(TypedDict):
    """Facts after `seq` follow; a subscription that did not resume begins with a snapshot."""

    type: Literal["subscribed"]
    id: str
    topic: str
    seq: int
    snapshot: NotRequired[Snapshot]


class SocketUnsubscribe(TypedDict):
    """Stop watching."""

    type: Literal["unsubscribe"]
    id: str


class SocketUnsubscribed(TypedDict):
    """No more of it."""

    type: Literal["unsubscribed"]
    id: str


ShellAsk: TypeAlias = ShellResize | ShellEndInput
"""Text that a client sends; input is binary."""

ShellFrame: TypeAlias = ShellStarted | ShellExited
"""Text that the server sends; output is binary."""

SocketAsk: TypeAlias = SocketSubscribe | SocketUnsubscribe | SocketAskPing
"""What a client sends."""

SocketFrame: TypeAlias = (
    SocketSubscribed
    | SocketUnsubscribed
    | SocketEvent
    | SocketDropped
    | SocketReconnect
    | SocketPing
    | SocketPong
    | SocketError
)
"""What the server sends."""
