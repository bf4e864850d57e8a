"""The one source of time, so that tests can move it (time-machine patches what is called here)."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

from pydantic_core import SchemaSerializer, core_schema

# Writes three times as fast as isoformat(), and leaves out microseconds that are zero.
_WRITER: Final = SchemaSerializer(core_schema.datetime_schema())


def now() -> datetime:
    """The present moment, in UTC, with microseconds."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Seconds on a clock that never goes back; for measuring and deadlines inside one process."""
    return time.monotonic()


def rfc3339(moment: datetime) -> str:
    """RFC 3339 in UTC with six digits and ``Z``, as every answer writes times."""
    at = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    text: str = _WRITER.to_python(at, mode="json")
    return text if at.microsecond else f"{text[:-1]}.000000Z"
