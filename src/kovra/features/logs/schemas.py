"""Response models of logs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from kovra.foundation.web.fields import Output


class LineOut(Output):
    """One line an app wrote."""

    time: str = Field(
        description="RFC 3339 with nanoseconds, as the container runtime noted it.",
        examples=["2026-11-25T11:04:05.123456789Z"],
    )
    pod: str
    process: str = Field(description="The process of the app, or `release` for the release command.")
    release: int | None = Field(description="The release's number.")
    line: str = Field(description="At most 16 KiB; what is longer is cut and ends in an ellipsis.")


class LogPage(Output):
    """Lines in order of time."""

    object: Literal["log_page"] = "log_page"
    data: list[LineOut]
    next: str | None = Field(description="With `since`: later lines; else earlier ones.")
    has_more: bool
    live: bool = Field(description="False: the cluster could not be asked, and the newest lines may be missing.")


class DroppedOut(Output):
    """So many lines were left out, because they came faster than they were read; pages still have them."""

    count: int
    pod: str


class LiveOut(Output):
    """Whether lines come from the cluster as they are written, or a little later from what is stored."""

    live: bool


class EndOut(Output):
    """Why the stream ends; a client that may comes back with `Last-Event-ID`."""

    code: str
    message: str
