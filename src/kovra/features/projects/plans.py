"""What a plan includes: what one environment may use, how many environments there may be, and how large sizes are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from kovra.adapters.cluster.workload import Quota


@dataclass(frozen=True, slots=True)
class Size:
    """What one instance may use."""

    cpu_millis: int
    memory_mib: int


SIZES: Final[dict[str, Size]] = {
    "nano": Size(100, 128),
    "micro": Size(250, 256),
    "small": Size(500, 512),
    "medium": Size(1000, 1024),
    "large": Size(2000, 4096),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plans:
    """The operators' table of plans and sizes; api and worker must be told the same."""

    quotas: Mapping[str, Quota] = field(default_factory=dict)
    """Plan → what one environment may use in all."""
    sizes: Mapping[str, Size] = field(default_factory=lambda: SIZES)
    environments: Mapping[str, int] = field(default_factory=dict)
    """Plan → how many environments an organization may have."""
    min_ready_s: int = 5
    """How long a new instance must be ready before the next old one may go."""

    def quota_of(self, plan: str) -> Quota:
        """What one environment of an organization with this plan may use."""
        return self.quotas.get(plan, Quota())

    def size_of(self, name: str) -> Size:
        """What an instance of this size may use."""
        return self.sizes.get(name, SIZES[name])
