"""Real worker processes, forked from one that has imported everything already: they start fast and die for real."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

from kovra.entrypoints import worker as process
from kovra.foundation.observability import configure
from kovra.settings import Settings


def _work(settings: Settings, log: Path) -> None:
    with log.open("a", buffering=1) as stream:
        configure("worker", level="info", terminal=False, stream=stream)
        asyncio.run(process.run(settings))


@contextmanager
def worker(settings: Settings, log: Path) -> Iterator[BaseProcess]:
    """A worker process of one's own; killed when the block is left."""
    context = multiprocessing.get_context("forkserver")
    # Of the program: the server of forks has not the tests' path, and leaves out silently what it cannot import.
    context.set_forkserver_preload(["kovra.entrypoints.worker"])
    running = context.Process(target=_work, args=(settings, log), daemon=True)
    running.start()
    try:
        yield running
    finally:
        if running.is_alive() and running.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(running.pid, signal.SIGKILL)
        running.join(20)
        running.close()
