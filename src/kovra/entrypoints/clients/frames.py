"""What event streams and sockets carry, as schemas: they are no part of OpenAPI. Tests hold each real frame against them.

`docs/reference/live.md` says what they mean; ``kovra.features.realtime.protocol`` and ``kovra.features.logs`` make them.
"""

from __future__ import annotations

from typing import Any, Final

STREAMS: Final = {"listEvents": "EventStream", "readLogs": "LogStream"}
"""Operation → the record of what its stream tells: kind → data."""
_TEXT: Final = {"type": "string"}
_NUMBER: Final = {"type": "integer"}


def _record(about: str, *, optional: tuple[str, ...] = (), **members: Any) -> dict[str, Any]:
    needed = [name for name in members if name not in optional]
    return {
        "type": "object",
        "description": about,
        "properties": members,
        "required": needed,
        "additionalProperties": False,
    }


def _frame(kind: str, about: str, *, optional: tuple[str, ...] = (), **members: Any) -> dict[str, Any]:
    return _record(about, optional=optional, type={"type": "string", "const": kind}, **members)


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _any_of(about: str, *names: str) -> dict[str, Any]:
    return {"description": about, "anyOf": [_ref(name) for name in names]}


def _list(name: str) -> dict[str, Any]:
    return {"type": "array", "items": _ref(name)}


FRAMES: Final[dict[str, dict[str, Any]]] = {
    "EventGap": _record("The reader fell too far behind: these sequences were left out.", after=_NUMBER, to=_NUMBER),
    "EventsReady": _record("Where a stream begins.", seq=_NUMBER),
    "EventsEnded": _record(
        "The server ends the stream; `restarting`: come back after so many milliseconds.",
        code=_TEXT,
        after_ms=_NUMBER,
    ),
    "EventStream": _record(
        "What `GET /v1/events` tells as an event stream: kind → data.",
        ready=_ref("EventsReady"),
        event=_ref("EventOut"),
        dropped=_ref("EventGap"),
        ended=_ref("EventsEnded"),
    ),
    "LinesDropped": _record(
        "So many lines were left out, because they came faster than they were read; pages still have them.",
        count=_NUMBER,
        pod=_TEXT,
    ),
    "LinesLive": _record("Whether lines come from the cluster as they are written.", live={"type": "boolean"}),
    "LinesEnded": _record("Why the stream ends; `complete`: that is all there is.", code=_TEXT, message=_TEXT),
    "LogStream": _record(
        "What an app's log tells as an event stream: kind → data.",
        line=_ref("LineOut"),
        dropped=_ref("LinesDropped"),
        live=_ref("LinesLive"),
        end=_ref("LinesEnded"),
    ),
    "SocketSubscribe": _frame(
        "subscribe", "Watch a topic; `after`: resume there.", optional=("after",), id=_TEXT, topic=_TEXT, after=_NUMBER
    ),
    "SocketUnsubscribe": _frame("unsubscribe", "Stop watching.", id=_TEXT),
    "SocketAskPing": _frame("ping", "Is the server there?"),
    "SocketAsk": _any_of("What a client sends.", "SocketSubscribe", "SocketUnsubscribe", "SocketAskPing"),
    "Snapshot": _record(
        "What is there now.", app_environments=_list("AppEnvironmentOut"), deployments=_list("DeploymentOut")
    ),
    "SocketSubscribed": _frame(
        "subscribed",
        "Facts after `seq` follow; a subscription that did not resume begins with a snapshot.",
        optional=("snapshot",),
        id=_TEXT,
        topic=_TEXT,
        seq=_NUMBER,
        snapshot=_ref("Snapshot"),
    ),
    "SocketUnsubscribed": _frame("unsubscribed", "No more of it.", id=_TEXT),
    "SocketEvent": _frame(
        "event",
        "A fact, and which subscriptions it belongs to.",
        subscriptions={"type": "array", "items": _TEXT},
        event=_ref("EventOut"),
    ),
    "SocketDropped": _frame(
        "dropped", "These sequences were left out; fresh snapshots follow.", after=_NUMBER, to=_NUMBER
    ),
    "SocketReconnect": _frame("reconnect", "The server is being replaced: come back then.", after_ms=_NUMBER),
    "SocketPing": _frame("ping", "The server is there.", at=_TEXT),
    "SocketPong": _frame("pong", "The answer to a client's ping.", at=_TEXT),
    "SocketError": _frame(
        "error",
        "A message was refused; the socket stays open.",
        id={"type": ["string", "null"]},
        code=_TEXT,
        message=_TEXT,
    ),
    "SocketFrame": _any_of(
        "What the server sends.",
        "SocketSubscribed",
        "SocketUnsubscribed",
        "SocketEvent",
        "SocketDropped",
        "SocketReconnect",
        "SocketPing",
        "SocketPong",
        "SocketError",
    ),
    "ShellResize": _frame("resize", "The terminal's size.", columns=_NUMBER, rows=_NUMBER),
    "ShellEndInput": _frame("end", "No more input comes."),
    "ShellAsk": _any_of("Text that a client sends; input is binary.", "ShellResize", "ShellEndInput"),
    "ShellStarted": _frame("started", "The command runs.", pod=_TEXT),
    "ShellExited": _frame("exit", "The command has ended; nothing follows.", code=_NUMBER, message=_TEXT),
    "ShellFrame": _any_of("Text that the server sends; output is binary.", "ShellStarted", "ShellExited"),
}
