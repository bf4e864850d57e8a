"""Schedules: when a cron job is due, in its own time zone. Pure; the arithmetic is cronsim's, which follows Debian's cron.

Of times at which clocks are moved: a fixed time that does not exist on that day is due at the next minute that does, one
that comes twice is due the first time. What runs every hour or every minute (``*`` in these fields) goes by real time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from kovra.foundation.errors import Invalid

FIELDS: Final = (
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day of month", "1-31, or L for the last"),
    ("month", "1-12 or JAN-DEC"),
    ("day of week", "0-7 or SUN-SAT; 0 and 7 are Sunday"),
)
MOST_COUNTED: Final = 1000
"""Missed ticks are counted so far, and no further."""
_ZONE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+_-]*(/[A-Za-z0-9+_-]+){0,2}")
_ANY: Final = datetime(2026, 1, 1, tzinfo=UTC)


def check_zone(name: str) -> str:
    """The name as given, when the time zone database has it; raises Invalid."""
    try:
        _zone(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid.field(
            "/time_zone", "time_zone_unknown", "The name of a time zone as IANA has it, such as Europe/Berlin."
        ) from None
    return name


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    if _ZONE.fullmatch(name) is None:
        raise ValueError
    return ZoneInfo(name)


def check_schedule(text: str) -> str:
    """The schedule with single spaces, when it is one that is due some day; raises Invalid naming the field in it."""
    parts = [(found.group(), found.start() + 1) for found in re.finditer(r"\S+", text)]
    if len(parts) != len(FIELDS):
        raise _wrong(
            f"Five fields, please: minute, hour, day of month, month, day of week; these are {len(parts)}.",
        )
    for number, (part, at) in enumerate(parts):
        alone = ["*"] * len(FIELDS)
        alone[number] = part
        if not _is_fine(" ".join(alone)):
            name, range_ = FIELDS[number]
            raise _wrong(f"The {name} (field {number + 1} of 5, at character {at}) is not valid: {range_}.")
    schedule = " ".join(part for part, _ in parts)
    if next_after(schedule, "UTC", _ANY) is None:
        raise _wrong("There is no such day in any year: see day of month (field 3) and month (field 4).")
    return schedule


def _wrong(message: str) -> Invalid:
    return Invalid.field("/schedule", "schedule_invalid", message)


def _is_fine(schedule: str) -> bool:
    try:
        CronSim(schedule, _ANY)
    except (CronSimError, ValueError, AssertionError, TypeError):
        return False
    return True


def ticks_after(schedule: str, zone: str, after: datetime) -> Iterator[datetime]:
    """The moments at which a checked schedule is due, later than ``after``, each once, in UTC."""
    last = after
    try:
        for local in CronSim(schedule, after.astimezone(_zone(zone))):
            tick = local.astimezone(UTC)
            # Two times that do not exist on a day may fall on the same minute; and a search that begins within an hour
            # that comes twice also finds what was due the first time.
            if tick > last:
                yield tick
                last = tick
    except (CronSimError, ValueError, OverflowError):
        return


def next_after(schedule: str, zone: str, after: datetime) -> datetime | None:
    """The next moment at which it is due; None where there is none."""
    return next(ticks_after(schedule, zone, after), None)


def next_ones(schedule: str, zone: str, after: datetime, count: int) -> list[datetime]:
    """The next few."""
    return list(islice(ticks_after(schedule, zone, after), count))


def due_ticks(
    schedule: str, zone: str, first: datetime, now: datetime, deadline: timedelta
) -> tuple[datetime | None, int]:
    """Of the ticks from ``first``, itself one, until now: (the one to run, how many were missed).

    Only the latest is run, and only when it is no older than the deadline. Beyond ``MOST_COUNTED`` none is counted.
    """
    counted = 1
    for tick in ticks_after(schedule, zone, first):
        if tick > now or counted > MOST_COUNTED:
            break
        counted += 1
    begin = max(first, now - deadline)
    latest = first if first >= now - deadline else None
    for tick in ticks_after(schedule, zone, begin - timedelta(seconds=1)):
        if tick > now:
            break
        latest = max(latest, tick) if latest else tick
    return latest, counted - (1 if latest else 0)
