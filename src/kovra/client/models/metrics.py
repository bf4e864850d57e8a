"""Shapes of metrics. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, TypedDict


class MetricsOut(TypedDict):
    """What an app uses."""

    object: Literal["metrics"]
    """What kind of object this is."""
    source: Literal["cluster", "store"]
    """The cluster itself knows only the present."""
    at: str
    """When it was measured."""
    processes: list[ProcessNowOut]
    """Each process now."""
    range: RangeOut | None
    """null: only the present was asked for."""


class PointOut(TypedDict):
    """A value at a time."""

    time: float
    """Seconds since 1970."""
    value: float
    """In the unit of the metric."""


class ProcessNowOut(TypedDict):
    """One process at this moment, over all its instances."""

    process: str
    """A process of the app."""
    replicas: int
    """Instances there are."""
    ready: int
    """Instances that are ready."""
    restarts: int
    """Of all containers since they were made."""
    cpu_millis: float | None
    """Thousandths of a core; null: not measured."""
    memory_bytes: int | None
    """The working set; null: not measured."""


class RangeOut(TypedDict):
    """What was."""

    start: str
    """As it was asked for."""
    end: str
    """As it was asked for."""
    step_s: int
    """Seconds between two points."""
    series: list[SeriesOut]
    """One for each process and metric."""


class SeriesOut(TypedDict):
    """One metric of one process over time."""

    process: str
    """A process of the app."""
    metric: str
    """`cpu_millis`, `memory_bytes`, `restarts` or `ready`."""
    points: list[PointOut]
    """Oldest first."""
