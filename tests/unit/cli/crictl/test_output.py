"""Ages, sizes, ids and tables as crictl writes them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from steersman.cli.crictl import output


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.4, "Less than a second"),
        (1.9, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (46 * 60, "46 minutes"),
        (3600, "About an hour"),
        (90 * 60, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (14 * 86400, "2 weeks"),
        (60 * 86400, "2 months"),
        (730 * 86400, "2 years"),
    ],
)
def test_an_age_is_told_in_one_unit(seconds: float, told: str) -> None:
    assert output.duration(seconds) == told


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "0B"), (999, "999B"), (1000, "1kB"), (685_123, "685kB"), (5_581_000, "5.58MB"), (1_234_567_890, "1.23GB")],
)
def test_a_size_has_three_digits_and_counts_in_thousands(count: int, told: str) -> None:
    assert output.size(count) == told


def test_columns_are_twenty_wide_or_three_apart_and_the_last_is_not_filled_up() -> None:
    rows = [["A", "B", "C"], ["x" * 18, "y", "z"]]
    assert output.table(rows) == f"A{' ' * 20}B{' ' * 19}C\n{'x' * 18}   y{' ' * 19}z\n"


def test_ids_are_shown_by_their_first_thirteen_characters() -> None:
    assert output.short("sha256:0123456789abcdef") == "0123456789abc"
    assert output.image_name("docker.io/library/busybox:latest") == "docker.io/library/busybox:latest"
    assert output.image_name("sha256:0123456789abcdef", whole=True) == "sha256:0123456789abcdef"


def test_a_moment_keeps_its_nanoseconds() -> None:
    assert output.moment(1_000_000_123, datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)) == "1970-01-01T00:00:01.000000123Z"
