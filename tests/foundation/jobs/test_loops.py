"""Loops that break are started again; one that keeps breaking is given up, and the process knows."""

from __future__ import annotations

import asyncio

import pytest

from kovra.foundation.errors import Conflict
from kovra.foundation.jobs.loops import Loops, every


def quick(give_up_after: int = 3) -> Loops:
    return Loops(first_wait_s=0.001, longest_wait_s=0.002, give_up_after=give_up_after)


async def test_a_loop_that_breaks_is_started_again_and_is_down_meanwhile() -> None:
    runs, working = 0, asyncio.Event()
    loops = quick()

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs < 3:
            raise ValueError("CANARY")
        working.set()
        await asyncio.Event().wait()

    loops.start("one", work)
    loops.start("other", asyncio.Event().wait)  # type: ignore[arg-type]  # its value is of no interest
    await asyncio.wait_for(working.wait(), 60)
    assert (runs, loops.down()) == (3, [])
    await loops.stop()


@pytest.mark.parametrize("how", ["raises", "returns"])
async def test_a_loop_that_breaks_again_and_again_is_given_up_and_named(how: str) -> None:
    async def work() -> None:
        if how == "raises":
            raise ValueError("CANARY")

    loops = quick()
    loops.start("other", asyncio.Event().wait)  # type: ignore[arg-type]
    loops.start("poor", work)
    dead = await asyncio.wait_for(loops.failed(), 60)
    assert "poor" in dead.message
    assert "CANARY" not in dead.message
    assert loops.down() == ["poor"]
    await loops.stop()


async def test_a_periodic_action_survives_expected_failures() -> None:
    turns = 0

    async def action() -> None:
        nonlocal turns
        turns += 1
        if turns < 3:
            raise Conflict("no")
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        await every(0.001, "action", action)
    assert turns == 3


async def test_a_loop_that_misses_that_it_was_cancelled_is_told_again_and_one_that_drains_is_not() -> None:
    """As 3.11's wait_for does when what it waits for ends at the same moment."""
    told = {"deaf": 0, "draining": 0}
    working = asyncio.Event()

    async def deaf() -> None:
        working.set()
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                told["deaf"] += 1
                if told["deaf"] == 2:
                    raise

    async def draining() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            told["draining"] += 1
            await asyncio.sleep(1.2)

    loops = quick()
    loops.start("draining", draining, drains=True)
    loops.start("deaf", deaf)
    await working.wait()
    await asyncio.wait_for(loops.stop(), 60)
    assert told == {"deaf": 2, "draining": 1}
