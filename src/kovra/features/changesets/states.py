"""States of a change set, and its bounds."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from kovra.foundation import clock


class State(StrEnum):
    """Where a change set stands; ``applied`` and ``failed`` are final."""

    planning = "planning"
    ready = "ready"
    failed = "failed"
    applied = "applied"


LASTS: Final = timedelta(days=1)
"""After so long it is applied no more: whoever reviewed it looked at another day."""
MOST_APPS: Final = 100
"""Apps that one change set may name, and that the project of an export may hold: one transaction touches them all."""
KEPT: Final = 50
"""Change sets kept of an environment: the newest."""


def shown(state: str, expires_at: datetime) -> str:
    """A state as it is shown: a ready one that was not applied in time is expired."""
    return "expired" if state == State.ready and expires_at <= clock.now() else state
