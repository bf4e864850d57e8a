"""Request and response models of logs and shells."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from kovra.foundation.web.fields import Input, Output, Slug, Time, storable


class LineOut(Output):
    """One line an app wrote."""

    time: str = Field(
        description="RFC 3339 with nanoseconds, as the container runtime noted it.",
        examples=["2026-11-25T11:04:05.123456789Z"],
    )
    pod: str = Field(description="The instance.")
    process: str = Field(
        description="The process of the app, `release` for the release command, or `run` for a run's command."
    )
    run: str | None = Field(description="Which run's command wrote it.", examples=["run_01jdqjwz00fay8vvr14d2pf2db"])
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


LARGEST_COMMAND = 16 * 1024


def _bounded(words: list[str]) -> list[str]:
    if sum(len(word.encode()) for word in words) > LARGEST_COMMAND:
        raise PydanticCustomError("too_long", "All words together may have 16 KiB.")
    return words


Word = Annotated[str, StringConstraints(min_length=1, max_length=8192), AfterValidator(storable)]


class ShellIn(Input):
    """What to run. Its words are handed over as they are: no shell takes them apart."""

    process: Slug = Field(default="web", description="In an instance of this process.")
    command: Annotated[list[Word], AfterValidator(_bounded)] = Field(
        min_length=1,
        max_length=64,
        examples=[["sh"], ["./manage", "migrate", "--plan"]],
        description="The program and its arguments.",
    )
    tty: bool = Field(default=False, description="With a terminal: one output, line editing, signals by keys.")


class ShellTicketOut(Output):
    """A one-use ticket for one command."""

    object: Literal["shell_ticket"] = "shell_ticket"
    ticket: str = Field(description="Send it as the subprotocol `ticket.<ticket>`; it works once.")
    url: str = Field(examples=["wss://kovra.example/v1/exec"], description="The socket to open.")
    protocol: Literal["kovra.exec.v1"] = Field(default="kovra.exec.v1", description="The other subprotocol to send.")
    expires_at: Time = Field(description="30 seconds from now.")


class ProcessNowOut(Output):
    """One process at this moment, over all its instances."""

    process: str
    replicas: int = Field(description="Instances there are.")
    ready: int = Field(description="Instances that are ready.")
    restarts: int = Field(description="Of all containers since they were made.")
    cpu_millis: float | None = Field(description="Thousandths of a core; null: not measured.")
    memory_bytes: int | None = Field(description="The working set; null: not measured.")


class PointOut(Output):
    """A value at a time."""

    time: float = Field(description="Seconds since 1970.")
    value: float = Field(description="In the unit of the metric.")


class SeriesOut(Output):
    """One metric of one process over time."""

    process: str
    metric: str = Field(
        examples=["cpu_millis", "memory_bytes", "restarts", "ready"],
        description="`cpu_millis`, `memory_bytes`, `restarts` or `ready`.",
    )
    points: list[PointOut] = Field(description="Oldest first.")


class RangeOut(Output):
    """What was."""

    start: Time = Field(description="As it was asked for.")
    end: Time = Field(description="As it was asked for.")
    step_s: int = Field(description="Seconds between two points.")
    series: list[SeriesOut] = Field(description="One for each process and metric.")


class MetricsOut(Output):
    """What an app uses."""

    object: Literal["metrics"] = "metrics"
    source: Literal["cluster", "store"] = Field(description="The cluster itself knows only the present.")
    at: Time = Field(description="When it was measured.")
    processes: list[ProcessNowOut] = Field(description="Each process now.")
    range: RangeOut | None = Field(description="null: only the present was asked for.")
