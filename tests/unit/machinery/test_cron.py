"""When schedules come due, in their time zone, and what is wrong with those that never do."""

from __future__ import annotations

from datetime import datetime

import pytest

from steersman.machinery.cron import parse


def nexts(schedule: str, after: str, zone: str = "", count: int = 1) -> list[str]:
    """The next activations, shown in the schedule's zone."""
    parsed, moment, found = parse(schedule, zone), datetime.fromisoformat(after), list[str]()
    for _ in range(count):
        following = parsed.next(moment)
        assert following is not None
        moment = following
        found.append(moment.astimezone(parsed.zone).isoformat())
    return found


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        ("* * * * *", "2024-01-01T00:00:00Z", "2024-01-01T00:01:00"),
        ("* * * * *", "2024-01-01T00:00:59.999Z", "2024-01-01T00:01:00"),
        ("0 * * * *", "2024-01-01T00:00:00Z", "2024-01-01T01:00:00"),
        ("*/15 * * * *", "2024-01-01T00:14:59Z", "2024-01-01T00:15:00"),
        ("20-35/15 9 * * *", "2024-01-01T09:20:00Z", "2024-01-01T09:35:00"),
        ("5/20 * * * *", "2024-01-01T00:26:00Z", "2024-01-01T00:45:00"),
        ("0 0 1,15 * *", "2024-01-02T00:00:00Z", "2024-01-15T00:00:00"),
        ("0 0 31 * *", "2024-03-31T00:00:00Z", "2024-05-31T00:00:00"),
        ("0 0 29 feb *", "2025-01-01T00:00:00Z", "2028-02-29T00:00:00"),
        ("0 0 * * MON-fri", "2024-06-07T12:00:00Z", "2024-06-10T00:00:00"),
        ("0 0 13 * fri", "2024-06-10T00:00:00Z", "2024-06-13T00:00:00"),
        ("0 0 13 * fri", "2024-06-13T00:00:00Z", "2024-06-14T00:00:00"),
        ("0 0 */2 * 5", "2024-06-03T00:00:00Z", "2024-06-05T00:00:00"),
        ("0 0 ? 12 *", "2024-12-31T00:00:00Z", "2025-12-01T00:00:00"),
        ("@yearly", "2024-01-01T00:00:00Z", "2025-01-01T00:00:00"),
        ("@weekly", "2024-06-05T00:00:00Z", "2024-06-09T00:00:00"),
        ("@daily", "2024-06-05T10:00:00Z", "2024-06-06T00:00:00"),
        ("@every 1h30m", "2024-01-01T00:00:10.5Z", "2024-01-01T01:30:10"),
        ("@every 10ms", "2024-01-01T00:00:00Z", "2024-01-01T00:00:01"),
    ],
)
def test_the_next_activation_is_later_than_now(schedule: str, after: str, expected: str) -> None:
    assert nexts(schedule, after) == [f"{expected}+00:00"]


@pytest.mark.parametrize(
    ("schedule", "zone", "after", "expected"),
    [
        ("0 9 * * *", "Asia/Tokyo", "2024-01-01T00:00:00Z", ["2024-01-02T09:00:00+09:00"]),
        ("TZ=Asia/Tokyo 0 9 * * *", "", "2024-01-01T00:00:00Z", ["2024-01-02T09:00:00+09:00"]),
        ("30 2 * * *", "Europe/Berlin", "2024-03-30T12:00:00Z", ["2024-04-01T02:30:00+02:00"]),
        ("30 2 * * *", "Europe/Berlin", "2024-10-26T12:00:00Z", ["2024-10-27T02:30:00+02:00", "2024-10-27T02:30:00+01:00"]),
        ("0 * * * *", "Europe/Berlin", "2024-03-31T00:00:00Z", ["2024-03-31T03:00:00+02:00"]),
        ("0 12 * * *", "America/Sao_Paulo", "2018-11-03T20:00:00Z", ["2018-11-04T12:00:00-02:00"]),
        ("0 0 * * *", "Asia/Kathmandu", "2024-01-01T00:00:00Z", ["2024-01-02T00:00:00+05:45"]),
    ],
)
def test_schedules_follow_the_clocks_of_their_zone(schedule: str, zone: str, after: str, expected: list[str]) -> None:
    assert nexts(schedule, after, zone, len(expected)) == expected


def test_a_day_that_never_comes_is_given_up() -> None:
    assert parse("0 0 30 2 *").next(datetime.fromisoformat("2024-01-01T00:00:00Z")) is None


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        ("", "empty spec string"),
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("* * * * 7", "end of range (7) above maximum (6): 7"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("*/2/3 * * * *", "too many slashes: */2/3"),
        ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
        ("@never", "unrecognized descriptor: @never"),
        ("@every day", 'failed to parse duration @every day: time: invalid duration "day"'),
        ("TZ=Mars/Base 0 0 * * *", "provided bad location Mars/Base: unknown time zone Mars/Base"),
    ],
)
def test_what_is_no_schedule_is_told_in_upstreams_words(schedule: str, text: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(schedule)
    assert str(caught.value) == text


@pytest.mark.parametrize("zone", ["../../etc/passwd", "-x", "Mars/Base", "a" * 15, "Europe//Berlin", "/etc/localtime", "Europe"])
def test_only_names_of_the_database_are_time_zones(zone: str) -> None:
    with pytest.raises(ValueError, match="unknown time zone"):
        parse("* * * * *", zone)
