"""What a workload needs at its worst moment, as a pure function; and that a rolling update never needs more."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kovra.features.deployments.rules.demand import (
    COMMAND,
    NOTHING,
    Demand,
    Over,
    Running,
    lacking,
    replacing,
    running,
    surge_of,
)
from kovra.features.projects.plans import SIZES, Plans, Size

PLANS = Plans()
ONE = Size(100, 128)


def of(instances: int, size: Size = ONE, **more: object) -> Running:
    return replace(Running(processes={"web": (instances, size)}), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("instances", "drain_s", "min_ready_s", "surge"),
    [(1, 10, 5, 1), (3, 10, 5, 3), (20, 10, 5, 7), (20, 0, 5, 5), (20, 120, 5, 20), (20, 10, 0, 20), (0, 10, 5, 0)],
)
def test_besides_the_wanted_there_is_one_that_comes_and_those_that_still_go(
    instances: int, drain_s: int, min_ready_s: int, surge: int
) -> None:
    assert surge_of(instances, drain_s, min_ready_s) == surge


def test_what_is_replaced_counts_old_and_new_and_the_larger_size() -> None:
    assert replacing(NOTHING, of(2), PLANS) == Demand.of(ONE, 4)
    assert replacing(of(2), of(2), PLANS) == Demand.of(ONE, 4)
    assert replacing(of(2), of(0), PLANS) == Demand.of(ONE, 2)
    grown = replacing(of(2), of(2, Size(500, 512)), PLANS)
    assert grown == Demand.of(Size(500, 512), 4)
    moved = replacing(of(1), Running(processes={"worker": (1, ONE)}), PLANS)
    assert moved == Demand.of(ONE, 3)


def test_a_release_command_runs_beside_what_serves() -> None:
    small = of(1, Size(10, 10), has_command=True)
    assert replacing(small, small, PLANS) == Demand.of(Size(10, 10)) + Demand.of(COMMAND)


def test_of_an_autoscaled_process_its_most_count_unless_it_is_stopped() -> None:
    processes = {"web": {"size": "small", "autoscale": {"min": 1, "max": 6, "cpu": 50}}, "worker": {}}
    found = running(processes, {"web": 1, "worker": 2}, PLANS, drain_s=10, has_command=False)
    assert found.processes == {"web": (6, SIZES["small"]), "worker": (2, SIZES["nano"])}
    assert running(processes, {}, PLANS, drain_s=10, has_command=False).steady == Demand()


def test_what_does_not_fit_is_told_with_its_figures() -> None:
    allowed, used = Demand(cpu_millis=1000, memory_mib=1000, pods=10), Demand(cpu_millis=800, memory_mib=100, pods=5)
    (over,) = lacking(Demand(cpu_millis=201, memory_mib=900, pods=5), used, allowed)
    assert over == Over(resource="cpu_millis", asked=201, used=800, allowed=1000)
    assert over.sentence() == "thousandths of a CPU: 201 asked for, 800 used by all else here, 1000 allowed"
    assert lacking(Demand(), used, Demand()) == []


sizes = st.builds(Size, st.integers(10, 4000), st.integers(16, 8192))


@given(old=st.integers(0, 50), new=st.integers(1, 50), before=sizes, after=sizes, drain_s=st.integers(0, 120))
def test_no_rolling_update_needs_more_than_was_foreseen(
    old: int, new: int, before: Size, after: Size, drain_s: int
) -> None:
    """Played through: one more than wanted at a time, an old one told to end for each that is ready, its leave taken."""
    foreseen = replacing(of(old, before, drain_s=drain_s), of(new, after, drain_s=drain_s), PLANS)
    leaves = (20 + drain_s) / PLANS.min_ready_s
    alive, made, going = old, 0, list[float]()
    at = 0.0
    while alive or made < new:
        coming = min(new - made, max(0, new + 1 - made - alive))
        serving = made + coming
        leaving = sum(1 for end in going if end > at)
        total = Demand.of(before, alive + leaving) + Demand.of(after, serving)
        assert total.is_within(foreseen), (at, alive, leaving, serving)
        made, at = serving, at + 1
        gone = max(0, min(alive, alive + made - new))
        going += [at + leaves] * gone
        alive -= gone
