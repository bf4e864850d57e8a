"""The shell protocol ``kovra.exec.v1``, the same from caller to api and from api to streamer. Pure.

To the command: binary messages are its input; text messages are JSON, ``{"type": "resize", "columns", "rows"}`` and
``{"type": "end"}`` (no more input). From it: binary messages begin with a byte that says which output they are (1 out,
2 err); text messages are ``{"type": "started", "pod"}`` and ``{"type": "exit", "code", "message"}``, which is the last.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from kovra.foundation.errors import Malformed

PROTOCOL: Final = "kovra.exec.v1"
MAX_BYTES: Final = 64 * 1024
"""Of one message."""
_LARGEST_SIDE: Final = 1000


@dataclass(frozen=True, slots=True)
class Resize:
    """The terminal's size."""

    columns: int
    rows: int


@dataclass(frozen=True, slots=True)
class EndInput:
    """No more input comes."""


def control(text: str) -> Resize | EndInput:
    """A text message of the caller; raises Malformed."""
    try:
        known: Any = json.loads(text)
        kind = known["type"]
        if kind == "end":
            return EndInput()
        if kind == "resize":
            columns, rows = known["columns"], known["rows"]
            if all(type(side) is int and 1 <= side <= _LARGEST_SIDE for side in (columns, rows)):
                return Resize(columns, rows)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise Malformed("This message is not of the shell protocol.", code="message_invalid")


def started(pod: str) -> str:
    """The command runs."""
    return json.dumps({"type": "started", "pod": pod})


def exited(code: int, message: str = "") -> str:
    """The command has ended."""
    return json.dumps({"type": "exit", "code": code, "message": message})


def exit_code(text: str) -> int | None:
    """The code, when this text message says that the command has ended."""
    try:
        known = json.loads(text)
        return int(known["code"]) if known["type"] == "exit" else None
    except (ValueError, KeyError, TypeError):
        return None
