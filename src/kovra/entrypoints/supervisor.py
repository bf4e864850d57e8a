"""Keeping processes running: what ends is started again after growing waits, and said plainly when it keeps ending."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from kovra.foundation import clock
from kovra.foundation.errors import KovraError
from kovra.foundation.observability import logger

T = TypeVar("T")

LONGEST_WAIT_S: Final = 30.0
KEEPS_ENDING: Final = 3
"""So many ends in a row, and it is said with the last lines of the log."""
_FIRST_WAIT_S: Final = 0.5
_STEADY_S: Final = 60.0
"""Who ran so long has not "kept ending"."""
LARGEST_LOG: Final = 16 * 1024 * 1024
_LOOK_S: Final = 30.0
_LINES: Final = 10


class StartFailed(KovraError):
    """A part did not become ready; the message says why as far as it is known."""

    code = "start_failed"


class Process(Protocol):
    """A running process, as asyncio's subprocesses are."""

    @property
    def pid(self) -> int:
        """Its number."""

    async def wait(self) -> int:
        """Wait until it ends; its exit code."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it at once."""


@dataclass(slots=True)
class _Child:
    name: str
    start: Callable[[], Awaitable[Process]]
    log: Path
    process: Process | None = None
    ends: int = 0
    """Ends in a row."""
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class Supervisor:
    """Runs children until each is stopped; ``say`` tells the person at the terminal."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._children: dict[str, _Child] = {}
        self._hopeless = asyncio.Event()
        self._why = ""
        self._stopping = False

    def keep(
        self, name: str, start: Callable[[], Awaitable[Process]], log: Path, *, running: Process | None = None
    ) -> None:
        """Start it (or take over a running one), and again whenever it ends."""
        child = _Child(name, start, log, process=running)
        self._children[name] = child
        child.task = asyncio.create_task(self._run(child))

    async def until(self, ready: Coroutine[Any, Any, T]) -> T:
        """What is waited for, unless a child keeps ending meanwhile: then StartFailed, with its last words."""
        waiting, hopeless = asyncio.ensure_future(ready), asyncio.ensure_future(self._hopeless.wait())
        try:
            await asyncio.wait((waiting, hopeless), return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                raise StartFailed(self._why)
            return waiting.result()
        finally:
            for task in (waiting, hopeless):
                task.cancel()
            await asyncio.gather(waiting, hopeless, return_exceptions=True)

    async def stop(self, *names: str, grace_s: float = 35.0) -> None:
        """End these children, all at once: asked first, then made to."""
        ending = [child for name, child in self._children.items() if name in names]
        self._stopping = True
        for child in ending:
            if child.process is None:
                assert child.task is not None
                child.task.cancel()
            else:
                child.process.terminate()
        tasks = {child.task for child in ending if child.task is not None}
        _, late = await asyncio.wait(tasks, timeout=grace_s) if tasks else (set(), set())
        for child in ending:
            if child.task in late and child.process is not None:
                logger.warning("process_killed", process=child.name)
                child.process.kill()
        await asyncio.gather(*tasks, return_exceptions=True)
        for child in ending:
            del self._children[child.name]

    def hurry(self) -> None:
        """End everything that is still running at once."""
        for child in self._children.values():
            if child.process is not None:
                child.process.kill()

    async def _run(self, child: _Child) -> None:
        while not self._stopping:
            began = clock.monotonic()
            try:
                if child.process is None:
                    bound(child.log)
                    child.process = await child.start()
                code = str(await self._ended(child, child.process))
            except KovraError as error:
                code = error.message
            child.process = None
            if self._stopping:
                return
            child.ends = 1 if clock.monotonic() - began >= _STEADY_S else child.ends + 1
            wait = min(LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** (child.ends - 1))
            logger.warning("process_ended", process=child.name, code=code, again_in_s=wait, log=str(child.log))
            if child.ends >= KEEPS_ENDING:
                self._keeps_ending(child, code, wait)
            await asyncio.sleep(wait)

    async def _ended(self, child: _Child, process: Process) -> int:
        """Wait for its end; meanwhile its log stays bounded."""
        ending = asyncio.ensure_future(process.wait())
        try:
            while not ending.done():
                await asyncio.wait({ending}, timeout=_LOOK_S)
                bound(child.log)
            return ending.result()
        finally:
            ending.cancel()

    def _keeps_ending(self, child: _Child, code: str, wait: float) -> None:
        last = "".join(f"\n    {line}" for line in last_lines(child.log))
        said = f"The {child.name} keeps ending ({child.ends} times in a row, code {code}). Its last lines ({child.log}):{last}"
        self._why = said
        self._hopeless.set()
        self._say(f"{said}\n  It is tried again in {wait:.0f} s.")


def bound(log: Path) -> None:
    """Set a log aside (one old file is kept) when it is too large; whoever appends to it goes on."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LARGEST_LOG:
            shutil.copyfile(log, log.with_suffix(f"{log.suffix}.1"))
            os.truncate(log, 0)


def last_lines(log: Path) -> list[str]:
    """The end of a log, for people: of our own lines what happened, of others the line."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16 * 1024))
            lines = file.read().decode(errors="replace").splitlines()[-_LINES:]
    except OSError:
        return ["(there is no log)"]
    return [_readable(line) for line in lines if line.strip()]


def _readable(line: str) -> str:
    try:
        document = json.loads(line)
        known = {"time", "level", "message", "service", "version"}
        facts = [f"{name}={value}" for name, value in document.items() if name not in known]
        text = " ".join([f"{document['level']}: {document['message']}", *facts])
    except (ValueError, KeyError, TypeError, AttributeError):
        text = line
    return "".join(c if c.isprintable() else " " for c in text)[:400]
