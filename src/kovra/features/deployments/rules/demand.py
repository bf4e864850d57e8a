"""What a workload needs of its environment's quota while it is being replaced, when it needs most. Pure.

A rolling update has one instance more than wanted; those that were told to end count until they are gone, and while one of
them takes its leave further ones follow. A quota that has no room for them refuses new instances, and the rollout fails.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kovra.features.projects.plans import Plans, Size

LEAVES_S: Final = 20
"""So long an instance may take to end besides what its app asks for: it goes on answering, and is ended in the end."""
COMMAND: Final = Size(250, 256)
"""What a release command runs with."""
_RESOURCES: Final = ("cpu_millis", "memory_mib", "pods")
_UNITS: Final = {
    "cpu_millis": "thousandths of a CPU",
    "memory_mib": "MiB of memory",
    "pods": "instances",
    "storage_gib": "GiB of volumes",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """So much at the same time."""

    cpu_millis: int = 0
    memory_mib: int = 0
    pods: int = 0

    def __add__(self, other: Demand) -> Demand:
        return self._with(other, lambda a, b: a + b)

    def __or__(self, other: Demand) -> Demand:
        """As much as either: they are not there together."""
        return self._with(other, max)

    def _with(self, other: Demand, join: Any) -> Demand:
        return Demand(**{name: join(getattr(self, name), getattr(other, name)) for name in _RESOURCES})

    def is_within(self, other: Demand) -> bool:
        """Whether it asks for no more of anything."""
        return self | other == other

    @classmethod
    def of(cls, size: Size, pods: int = 1) -> Demand:
        """So many instances of this size."""
        return cls(cpu_millis=pods * size.cpu_millis, memory_mib=pods * size.memory_mib, pods=pods)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Processes with as many instances as there may be at most, and how they end."""

    processes: Mapping[str, tuple[int, Size]]
    drain_s: int = 10
    has_command: bool = False
    alone: frozenset[str] = frozenset()
    """Processes whose instance ends before the next one begins."""

    @property
    def steady(self) -> Demand:
        """What they need while nothing changes."""
        return total(Demand.of(size, n) for n, size in self.processes.values())

    def only(self, name: str) -> Running:
        """One of its processes."""
        return Running(processes={known: what for known, what in self.processes.items() if known == name})


NOTHING: Final = Running(processes={})


def running(
    processes: Mapping[str, Any], instances: Mapping[str, int], plans: Plans, *, drain_s: int, has_command: bool
) -> Running:
    """From the documents of processes; of autoscaled ones as many as the cluster may choose."""
    found = {}
    for name, process in processes.items():
        n = min(int(instances.get(name, 0)), 1 if process.get("volumes") else 50)
        scaled = process.get("autoscale")
        found[name] = (scaled["max"] if scaled and n else n, plans.size_of(process.get("size", "nano")))
    alone = frozenset(name for name, process in processes.items() if process.get("volumes"))
    return Running(processes=found, drain_s=drain_s, has_command=has_command, alone=alone)


def replacing(before: Running, after: Running, plans: Plans) -> Demand:
    """At most so much is there while one takes the place of the other, whatever happens first."""
    rolling = total(
        before.only(name).steady | after.only(name).steady
        if name in after.alone
        else _replaced(before.processes.get(name), after.processes.get(name), before.drain_s, plans)
        for name in sorted(before.processes.keys() | after.processes.keys())
    )
    command = before.steady + Demand.of(COMMAND) if after.has_command else Demand()
    return rolling | command


def _replaced(before: tuple[int, Size] | None, after: tuple[int, Size] | None, drain_s: int, plans: Plans) -> Demand:
    old, old_size = before or (0, Size(0, 0))
    new, new_size = after or (0, Size(0, 0))
    if not new:
        return Demand.of(old_size, old)
    steady = (Demand.of(old_size, old) + Demand.of(new_size, max(0, new - old))) | Demand.of(new_size, new)
    larger = Size(
        max(old_size.cpu_millis, new_size.cpu_millis), max(old_size.memory_mib, new_size.memory_mib)
    )  # fmt: skip
    return steady + Demand.of(larger, surge_of(max(old, new), drain_s, plans.min_ready_s))


def surge_of(instances: int, drain_s: int, min_ready_s: int) -> int:
    """How many instances there are at most besides those that are wanted: the one that comes, and those that still go
    while others have come, which takes at least ``min_ready_s`` each.
    """
    return min(instances, 1 + math.ceil((LEAVES_S + drain_s) / max(1, min_ready_s)))


def total(parts: Iterable[Demand]) -> Demand:
    """All of them together."""
    found = Demand()
    for part in parts:
        found += part
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    """One resource of which there is too little."""

    resource: str
    asked: int
    used: int
    """By everything else in the environment, at its most."""
    allowed: int

    def sentence(self) -> str:
        """As evidence."""
        return f"{_UNITS[self.resource]}: {self.asked} asked for, {self.used} used by all else here, {self.allowed} allowed"


def lacking(asked: Demand, used: Demand, allowed: Demand) -> list[Over]:
    """What does not fit."""
    return [
        Over(resource=name, asked=getattr(asked, name), used=getattr(used, name), allowed=getattr(allowed, name))
        for name in _RESOURCES
        if getattr(asked, name) and getattr(asked, name) + getattr(used, name) > getattr(allowed, name)
    ]
