"""What an environment's instances ask for, before and after: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kovra.features.projects.plans import Plans


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """CPU in thousandths, memory in MiB, and instances."""

    cpu_millis: int = 0
    memory_mib: int = 0
    pods: int = 0

    def __add__(self, other: Demand) -> Demand:
        return Demand(
            cpu_millis=self.cpu_millis + other.cpu_millis,
            memory_mib=self.memory_mib + other.memory_mib,
            pods=self.pods + other.pods,
        )

    def document(self) -> dict[str, int]:
        """For storing and showing."""
        return {"cpu_millis": self.cpu_millis, "memory_mib": self.memory_mib, "pods": self.pods}

    def is_within(self, other: Demand) -> bool:
        """Whether none of it is more."""
        return all(n <= other.document()[name] for name, n in self.document().items())


def demand_of(processes: Mapping[str, Any], instances: Mapping[str, int], plans: Plans) -> Demand:
    """What so many instances of these processes ask for."""
    return together(_times(processes[name], n, plans) for name, n in instances.items() if name in processes)


def surge_of(processes: Mapping[str, Any], instances: Mapping[str, int], plans: Plans) -> Demand:
    """What a rollout asks for besides: one more instance of each process that runs."""
    return together(_times(processes[name], 1, plans) for name, n in instances.items() if n and name in processes)


def together(parts: Iterable[Demand]) -> Demand:
    """The sum."""
    return sum(parts, Demand())


def _times(process: Mapping[str, Any], n: int, plans: Plans) -> Demand:
    size = plans.size_of(process.get("size", "nano"))
    return Demand(cpu_millis=n * size.cpu_millis, memory_mib=n * size.memory_mib, pods=n)
