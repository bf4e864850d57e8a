"""The states of a run; the database's trigger holds the same moves."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class RunPhase(StrEnum):
    """Where a run is."""

    queued = "queued"
    starting = "starting"
    running = "running"
    done = "done"


class RunOutcome(StrEnum):
    """How it ended; final."""

    succeeded = "succeeded"
    failed = "failed"
    canceled = "canceled"
    timed_out = "timed_out"
    skipped = "skipped"
    """A tick of a cron job that was not run."""


MOVES: Final[dict[RunPhase, frozenset[RunPhase]]] = {
    RunPhase.queued: frozenset({RunPhase.starting, RunPhase.done}),
    RunPhase.starting: frozenset({RunPhase.running, RunPhase.done}),
    RunPhase.running: frozenset({RunPhase.done}),
    RunPhase.done: frozenset(),
}
MOST_OPEN: Final = 50
"""Runs of one app environment that are under way or wait."""
MOST_CRON_JOBS: Final = 50
"""Cron jobs of one app environment."""
HISTORY: Final = 500
"""Ended runs kept of one cron job, and as many of one app environment that were started by hand."""
LONGEST_S: Final = 24 * 3600
"""The largest time limit."""
