"""Shapes of metrics. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, TypedDict


class MetricsOut(TypedDict):
    """What an app uses."""

    object: Literal["metrics"]
    source: Literal["cluster", "store"]
    """The cluster itself knows only the present."""
    at: str
    processes: list[ProcessNowOut]
    range: RangeOut | None


class PointOut(TypedDict):
    """A value at a time."""

    time: float
    """Seconds since 1970."""
    value: float


class ProcessNowOut(TypedDict):
    """One process at this moment, over all its instances."""

    process: str
    replicas: int
    ready: int
    restarts: int
    cpu_millis: float | None
    """Thousandths of a core; null: not measured."""
    memory_bytes: int | None


class RangeOut(TypedDict):
    """What was."""

    start: str
    end: str
    step_s: int
    series: list[SeriesOut]


class SeriesOut(TypedDict):
    """One metric of one process over time."""

    process: str
    metric: str
    points: list[PointOut]
