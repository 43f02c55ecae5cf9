"""Durations."""

from __future__ import annotations

import pytest

from steersman.machinery import duration

_DAY = 86400.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"), (-1.9, "0s"), (0.4, "0s"), (119.9, "119s"), (120, "2m"), (599, "9m59s"), (600, "10m"),
        (179 * 60 + 59, "179m"), (3 * 3600, "3h"), (8 * 3600 - 1, "7h59m"), (47 * 3600 + 3599, "47h"), (2 * _DAY, "2d"),
        (5 * _DAY + 3 * 3600, "5d3h"), (8 * _DAY, "8d"), (729 * _DAY, "729d"), (730 * _DAY, "2y"), (1107 * _DAY, "3y12d"),
        (9.5 * 365 * _DAY, "9y"),
    ],
)  # fmt: skip
def test_ages(seconds: float, text: str) -> None:
    assert duration.human(seconds) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h30m", 5400), ("300ms", 0.3), ("-1.5h", -5400), ("0", 0), ("1h1m1.5s", 3661.5), (".5s", 0.5), ("2us", 2e-6)],
)
def test_gos_text_is_read(text: str, seconds: float) -> None:
    assert duration.parse_go(text) == seconds


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", 'time: invalid duration ""'),
        ("x", 'time: invalid duration "x"'),
        ("3", 'time: missing unit in duration "3"'),
        ("3d", 'time: unknown unit "d" in duration "3d"'),
    ],
)
def test_bad_text_fails_in_gos_words(text: str, error: str) -> None:
    with pytest.raises(ValueError) as caught:
        duration.parse_go(text)
    assert str(caught.value) == error


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (300, "5m0s"),
        (80, "1m20s"),
        (3600, "1h0m0s"),
        (1.5, "1.5s"),
        (0.25, "250ms"),
        (-90, "-1m30s"),
        (1.5e-6, "1.5µs"),
    ],
)
def test_gos_text_is_written(seconds: float, text: str) -> None:
    assert duration.format_go(seconds) == text
