"""The long loops of a process: started again when they break, given up when they break again and again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

from kovra.foundation import clock
from kovra.foundation.errors import KovraError
from kovra.foundation.observability import LOOP_RESTARTS, LOOP_UP, logger

LIVED_S: Final = 60.0
"""A loop that worked this long did not break at once."""


class LoopDead(KovraError):
    """A loop cannot be kept running; the process ends, so that its supervisor starts it anew."""

    code = "loop_dead"


class Loops:
    """Keeps named loops running; ``failed`` tells when one is given up."""

    def __init__(self, *, first_wait_s: float = 0.5, longest_wait_s: float = 30.0, give_up_after: int = 6) -> None:
        self._first_wait_s = first_wait_s
        self._longest_wait_s = longest_wait_s
        self._give_up_after = give_up_after
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._draining: set[str] = set()
        self._down: set[str] = set()

    def start(self, name: str, work: Callable[[], Awaitable[None]], *, drains: bool = False) -> None:
        """Run a loop until the process ends. One that returns has broken as well: loops do not end.

        ``drains``: told to end it still has something to finish, and takes care itself to end in time.
        """
        if drains:
            self._draining.add(name)
        self._tasks[name] = asyncio.create_task(self._keep(name, work), name=name)

    def down(self) -> list[str]:
        """The loops that do not work now."""
        return sorted(self._down)

    async def failed(self) -> LoopDead:
        """Wait until a loop is given up; says which."""
        await asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_EXCEPTION)
        dead = next(name for name, task in self._tasks.items() if task.done())
        return LoopDead(f"The loop {dead} broke {self._give_up_after} times in a row.")

    async def stop(self) -> None:
        """End all; those that drain are told once."""
        for task in self._tasks.values():
            task.cancel()
        pending = set(self._tasks.values())
        while pending:
            _, pending = await asyncio.wait(pending, timeout=1.0)
            # Python 3.11's wait_for may swallow a cancellation; whoever waits in one has to be told again.
            for task in pending:
                if task.get_name() not in self._draining:
                    task.cancel()

    async def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        failures = 0
        while True:
            began = clock.monotonic()
            self._down.discard(name)
            LOOP_UP.labels(name).set(1)
            try:
                await work()
                logger.error("loop_ended", loop=name)
            except Exception as defect:  # an outermost loop: without its text, which may hold values
                logger.error("loop_broke", loop=name, error=type(defect).__name__, exc_info=without_text(defect))
            finally:
                LOOP_UP.labels(name).set(0)
            self._down.add(name)
            LOOP_RESTARTS.labels(name).inc()
            failures = 1 if clock.monotonic() - began > LIVED_S else failures + 1
            if failures >= self._give_up_after:
                raise LoopDead(f"The loop {name} broke {failures} times in a row.")
            wait = min(self._first_wait_s * 2 ** (failures - 1), self._longest_wait_s)
            await asyncio.sleep(wait * (0.5 + random.random()))  # noqa: S311  # jitter, not a secret


async def every(seconds: float, name: str, action: Callable[[], Awaitable[None]]) -> None:
    """Do something again and again; a failure is logged and the next turn comes."""
    while True:
        try:
            await action()
        except KovraError as error:
            logger.warning("periodic_failed", periodic=name, code=error.error_code)
        await asyncio.sleep(seconds)


class _Hidden(Exception):
    """Stands in for an exception in the log."""


def without_text(defect: BaseException) -> tuple[type[BaseException], BaseException, Any]:
    """An exception for the log: its kind and where it was raised, not its text."""
    return _Hidden, _Hidden(type(defect).__name__), defect.__traceback__
