"""Shapes of logs. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, TypedDict


class LineOut(TypedDict):
    """One line an app wrote."""

    time: str
    """RFC 3339 with nanoseconds, as the container runtime noted it."""
    pod: str
    """The instance."""
    process: str
    """The process of the app, `release` for the release command, or `run` for a run's command."""
    run: str | None
    """Which run's command wrote it."""
    release: int | None
    """The release's number."""
    line: str
    """At most 16 KiB; what is longer is cut and ends in an ellipsis."""


class LogPage(TypedDict):
    """Lines in order of time."""

    object: Literal["log_page"]
    """What kind of object this is."""
    data: list[LineOut]
    """Lines, oldest first."""
    next: str | None
    """With `since`: later lines; else earlier ones."""
    has_more: bool
    """Whether there is another page."""
    live: bool
    """False: the cluster could not be asked, and the newest lines may be missing."""
