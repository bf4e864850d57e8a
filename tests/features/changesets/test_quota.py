"""What a plan says that instances ask for."""

from __future__ import annotations

from kovra.features.changesets.rules.quota import Demand, demand_of, surge_of
from kovra.features.projects.plans import Plans, Size


def test_sizes_are_those_of_the_operators_table() -> None:
    """Found: the built-in sizes were counted, whatever the setting said."""
    plans, processes = Plans(sizes={"nano": Size(300, 700)}), {"web": {"size": "nano"}}
    assert demand_of(processes, {"web": 2}, plans) == Demand(cpu_millis=600, memory_mib=1400, pods=2)
    assert surge_of(processes, {"web": 2}, plans) == Demand(cpu_millis=300, memory_mib=700, pods=1)
