"""Shapes of shells. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


class ShellIn(TypedDict):
    """What to run. Its words are handed over as they are: no shell takes them apart."""

    process: NotRequired[str]
    """In an instance of this process."""
    command: list[str]
    """The program and its arguments."""
    tty: NotRequired[bool]
    """With a terminal: one output, line editing, signals by keys."""


class ShellTicketOut(TypedDict):
    """A one-use ticket for one command."""

    object: Literal["shell_ticket"]
    """What kind of object this is."""
    ticket: str
    """Send it as the subprotocol `ticket.<ticket>`; it works once."""
    url: str
    """The socket to open."""
    protocol: Literal["kovra.exec.v1"]
    """The other subprotocol to send."""
    expires_at: str
    """30 seconds from now."""
