from __future__ import annotations

from typing import Any

import pytest

from steersman.cli.kubectl.describe.generic import label_for
from steersman.cli.kubectl.describe.golang import message, quoted, rfc1123, time_string, verb_v
from steersman.cli.kubectl.describe.jobs import capped_indexes


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "<nil>"),
        (True, "true"),
        (3, "3"),
        (2.0, "2"),
        (1.5, "1.5"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (0.00001, "1e-05"),
        ("text", "text"),
        ([], "[]"),
        (["a", [1, None]], "[a [1 <nil>]]"),
        ({}, "map[]"),
        ({"b": 1, "a": ["x"]}, "map[a:[x] b:1]"),
    ],
)
def test_values_print_as_with_percent_v(value: Any, expected: str) -> None:
    assert verb_v(value) == expected


def test_quoted_text_is_escaped_as_go_escapes_it() -> None:
    assert quoted('a"b\\\n\x01é\u200b') == '"a\\"b\\\\\\n\\x01é\\u200b"'


def test_api_types_print_as_their_generated_methods_do() -> None:
    assert message("LocalObjectReference", {"name": "a"}, ("Name", "name")) == "&LocalObjectReference{Name:a,}"
    assert message("LocalObjectReference", None, ("Name", "name")) == "nil"


def test_no_time_is_gos_zero_time() -> None:
    assert rfc1123(None) == "Mon, 01 Jan 0001 00:00:00 +0000"
    assert time_string("") == "0001-01-01 00:00:00 +0000 UTC"


def test_times_are_shown_in_the_local_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Etc/GMT-2")
    time.tzset()
    try:
        assert rfc1123("2026-03-05T23:04:05Z") == "Fri, 06 Mar 2026 01:04:05 +0200"
        assert time_string("2026-03-05T23:04:05Z") == "2026-03-06 01:04:05 +0200 +02"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("field", "label"),
    [
        ("apiVersion", "API Version"),
        ("uid", "UID"),
        ("podCIDRs", "Pod CID Rs"),
        ("URLPath", "URL Path"),
        ("my-field", "My - Field"),
        ("größe", "Größe"),
        ("x_y", "x_y"),
        ("numb3r", "numb3r"),
    ],
)
def test_field_names_become_words(field: str, label: str) -> None:
    assert label_for(field) == label


def test_completed_indexes_are_cut_at_a_comma() -> None:
    long = ",".join(str(number) for number in range(1, 60, 2))
    assert capped_indexes("") == "<none>"
    assert capped_indexes("0-3,7") == "0-3,7"
    assert capped_indexes(long) == "1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31,33,35,37,..."
