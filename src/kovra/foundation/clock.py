"""The one source of time, so that tests can move it (time-machine patches what is called here)."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The present moment, in UTC, with microseconds."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Seconds on a clock that never goes back; for measuring and deadlines inside one process."""
    return time.monotonic()


def rfc3339(moment: datetime) -> str:
    """RFC 3339 in UTC with ``Z``, as every answer writes times."""
    at = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return at.isoformat(timespec="microseconds")[:-6] + "Z"
