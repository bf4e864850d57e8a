"""What travels over the event socket: frames, topics, close codes. Pure.

A topic is the id of what somebody wants to watch: an organization, a project, an environment, an app, an app
environment or a deployment. The frames are JSON objects; ``type`` says which.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final
from uuid import UUID

from pydantic_core import to_json

from kovra.foundation.access import Access
from kovra.foundation.errors import Malformed
from kovra.foundation.ids import decode

PROTOCOL: Final = "kovra.v1"
MAX_MESSAGE_BYTES: Final = 4096
"""A client's message; larger ones close the socket."""
MAX_SUBSCRIPTIONS: Final = 100
"""Per socket."""
TOPICS: Final = ("org", "prj", "env", "app", "aev", "dep")


class Close(IntEnum):
    """Why the server closes a socket (RFC 6455 §7.4; 4000–4999 are ours)."""

    unreadable = 1007
    policy = 1008
    too_large = 1009
    restarting = 1012
    """Come back, at the time that the ``reconnect`` frame says."""
    ended = 4401
    """The ticket is not valid, or the credential behind it has ended."""
    forbidden = 4403
    """The permission to read events was taken away."""
    idle = 4408
    """Nothing was subscribed for a minute, or the client does not read."""
    too_many = 4429
    """Too many sockets or messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One event of the ledger, ready to be sent: where it belongs, and its JSON, rendered once for all readers."""

    seq: int
    type: str
    subject: str
    project_id: UUID | None
    app_id: UUID | None
    environment_id: UUID | None
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """What is watched: a place, or one deployment in it."""

    id: str
    """As the client wrote it."""
    project_id: UUID | None = None
    app_id: UUID | None = None
    environment_id: UUID | None = None
    subject: str | None = None
    """Only facts about this id."""

    def covers(self, fact: Fact) -> bool:
        """Whether the fact belongs to what is watched."""
        return (
            (self.project_id is None or self.project_id == fact.project_id)
            and (self.app_id is None or self.app_id == fact.app_id)
            and (self.environment_id is None or self.environment_id == fact.environment_id)
            and (self.subject is None or self.subject == fact.subject)
        )


def may_read(access: Access, fact: Fact) -> bool:
    """Whether the fact lies where the credential is narrowed to; the same rule as the ledger's policy."""
    return (
        (access.project_id is None or access.project_id == fact.project_id)
        and (access.app_id is None or access.app_id == fact.app_id)
        and (access.environment_id is None or access.environment_id == fact.environment_id)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe:
    """Watch a topic; ``after``: first what happened since that sequence, else a snapshot."""

    id: str
    prefix: str
    topic: str
    uuid: UUID
    after: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribe:
    """Stop watching."""

    id: str


@dataclass(frozen=True, slots=True)
class Ping:
    """The client asks whether the server is there."""


def parse(text: str) -> Subscribe | Unsubscribe | Ping:
    """A client's message; raises Malformed (``frame_invalid``) that says what is wrong."""
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        raise Malformed("A message is one JSON object.", code="frame_invalid") from None
    if not isinstance(frame, dict):
        raise Malformed("A message is one JSON object.", code="frame_invalid")
    match frame.get("type"):
        case "ping":
            return Ping()
        case "unsubscribe":
            return Unsubscribe(id=_name(frame))
        case "subscribe":
            return _subscribe(frame)
    raise Malformed("type is one of subscribe, unsubscribe, ping.", code="frame_invalid")


def _name(frame: Mapping[str, Any]) -> str:
    name = frame.get("id")
    if not isinstance(name, str) or not 0 < len(name) <= 64 or not name.isprintable():
        raise Malformed("id is your name for the subscription, 1 to 64 characters.", code="frame_invalid")
    return name


def _subscribe(frame: Mapping[str, Any]) -> Subscribe:
    name, topic, after = _name(frame), frame.get("topic"), frame.get("after")
    unknown = frame.keys() - {"type", "id", "topic", "after"}
    if unknown:
        raise Malformed("A subscribe message has id, topic and after.", code="frame_invalid")
    if after is not None and (not isinstance(after, int) or isinstance(after, bool) or not 0 <= after < 2**62):
        raise Malformed("after is a sequence: a whole number.", code="frame_invalid")
    prefix = topic.partition("_")[0] if isinstance(topic, str) else ""
    found = decode(prefix, topic) if isinstance(topic, str) and prefix in TOPICS else None
    if found is None:
        raise Malformed(f"topic is an id of {', '.join(TOPICS)}.", code="frame_invalid")
    return Subscribe(id=name, prefix=prefix, topic=str(topic), uuid=found, after=after)


def frame_data(**members: Any) -> str:
    """A JSON object in one line."""
    return to_json(members).decode()


def frame(kind: str, **members: Any) -> str:
    """A server's frame; models among the members are written as their GET shows them."""
    return frame_data(type=kind, **members)


def event_frame(fact: Fact, subscriptions: Iterable[str]) -> str:
    """``{"type": "event", "subscriptions": […], "event": {…}}`` around the fact's JSON."""
    return f'{{"type":"event","subscriptions":{to_json(list(subscriptions)).decode()},"event":{fact.body}}}'
