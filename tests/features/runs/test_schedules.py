"""When a schedule is due: fields, time zones, and the days on which clocks are moved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kovra.features.runs.rules.schedules import check_schedule, check_zone, due_ticks, next_after, next_ones
from kovra.foundation.errors import Invalid

BERLIN = "Europe/Berlin"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def next_two(schedule: str, zone: str, after: str) -> list[str]:
    return [f"{tick:%m-%d %H:%M}" for tick in next_ones(schedule, zone, at(after), 2)]


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ("60 * * * *", "The minute (field 1 of 5, at character 1)"),
        ("*  24 * * *", "The hour (field 2 of 5, at character 4)"),
        ("0 0 0 * *", "The day of month (field 3 of 5, at character 5)"),
        ("0 0 1 FEBRUARY *", "The month (field 4 of 5, at character 7)"),
        ("0 0 * * 1-8", "The day of week (field 5 of 5, at character 9)"),
        ("*/0 * * * *", "The minute (field 1 of 5, at character 1)"),
        ("5-1 * * * *", "The minute (field 1 of 5, at character 1)"),
        ("0 1# * * *", "The hour (field 2 of 5, at character 3)"),
        ("1,,2 * * * *", "The minute (field 1 of 5, at character 1)"),
        ("٣ * * * *", "The minute (field 1 of 5, at character 1)"),
        ("0 0 0 * * *", "these are 6"),
        ("@daily", "these are 1"),
        (" ", "these are 0"),
        ("0 0 31 2 *", "no such day in any year"),
    ],
)
def test_a_wrong_schedule_says_which_field_and_where(schedule: str, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_schedule(schedule)
    assert said in refused.value.message
    assert [(f.pointer, f.code) for f in refused.value.fields] == [("/schedule", "schedule_invalid")]


def test_a_schedule_is_kept_with_single_spaces() -> None:
    assert check_schedule("  */15   9-17 * *  MON-FRI ") == "*/15 9-17 * * MON-FRI"


@pytest.mark.parametrize(
    "zone", ["", "Nowhere/City", "../../etc/passwd", "/etc/localtime", "Europe/Berlin\x00", "Europe"]
)
def test_a_wrong_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_zone(zone)
    assert refused.value.error_code == "time_zone_unknown"


def test_times_are_of_the_time_zone() -> None:
    assert next_two("30 2 * * *", "UTC", "2026-06-01T00:00") == ["06-01 02:30", "06-02 02:30"]
    assert next_two("30 2 * * *", BERLIN, "2026-06-01T00:00") == ["06-01 00:30", "06-02 00:30"]
    assert next_two("30 2 * * *", BERLIN, "2026-12-01T00:00") == ["12-01 01:30", "12-02 01:30"]


def test_a_time_that_does_not_exist_is_due_at_the_next_minute_that_does() -> None:
    """On 29 March 2026 clocks in Berlin go from 02:00 to 03:00, which is 01:00 UTC; once, also where two times are gone."""
    assert next_two("30 2 * * *", BERLIN, "2026-03-28T12:00") == ["03-29 01:00", "03-30 00:30"]
    assert next_two("0,30 2 * * *", BERLIN, "2026-03-28T12:00") == ["03-29 01:00", "03-30 00:00"]
    assert next_two("0 2,3 * * *", BERLIN, "2026-03-28T12:00") == ["03-29 01:00", "03-30 00:00"]


def test_a_time_that_comes_twice_is_due_once() -> None:
    """On 25 October 2026 02:30 comes at 00:30 and again at 01:30 UTC; also for who asks in between."""
    assert next_two("30 2 * * *", BERLIN, "2026-10-24T12:00") == ["10-25 00:30", "10-26 01:30"]
    assert next_two("30 2 * * *", BERLIN, "2026-10-25T00:30") == ["10-26 01:30", "10-27 01:30"]
    assert next_two("30 2 * * *", BERLIN, "2026-10-25T01:15") == ["10-26 01:30", "10-27 01:30"]


def test_what_is_due_every_hour_goes_by_real_time_when_clocks_are_moved() -> None:
    assert next_ones("0 * * * *", BERLIN, at("2026-10-24T23:30"), 3) == [
        at("2026-10-25T00:00"), at("2026-10-25T01:00"), at("2026-10-25T02:00"),
    ]  # fmt: skip


def test_rare_days_are_found_and_impossible_ones_are_not_searched_for_long() -> None:
    assert next_after("0 0 29 2 *", "UTC", at("2026-03-01T00:00")) == at("2028-02-29T00:00")
    assert next_after("0 0 30 2 *", "UTC", at("2026-03-01T00:00")) is None


MINUTES = timedelta(minutes=1)
DEADLINE = timedelta(minutes=10)


@pytest.mark.parametrize(
    ("schedule", "late", "due", "missed"),
    [
        ("0 * * * *", timedelta(0), timedelta(0), 0),
        ("0 * * * *", 9 * MINUTES, timedelta(0), 0),
        ("0 * * * *", 11 * MINUTES, None, 1),
        ("0 * * * *", 65 * MINUTES, 60 * MINUTES, 1),
        ("0 * * * *", 130 * MINUTES, 120 * MINUTES, 2),
        ("0 * * * *", 140 * MINUTES, None, 3),
        ("* * * * *", 3 * MINUTES, 3 * MINUTES, 3),
        ("* * * * *", timedelta(days=365, seconds=30), timedelta(days=365), 1000),
    ],
)
def test_of_ticks_that_were_not_decided_about_at_most_the_latest_is_run(
    schedule: str, late: timedelta, due: timedelta | None, missed: int
) -> None:
    first = at("2026-05-04T12:00")
    found = due_ticks(schedule, "UTC", first, first + late, DEADLINE)
    assert found == (None if due is None else first + due, missed)
