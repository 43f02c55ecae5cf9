"""Booleans as Go reads them."""

from __future__ import annotations

import pytest

from steersman.machinery.gobooleans import parse_bool, query_bool


@pytest.mark.parametrize(
    ("text", "expected"),
    [(None, False), ("0", False), ("false", False), ("False", False), ("FALSE", False), ("", True), ("1", True), ("True", True),
     ("00", True), ("no", True)],
)  # fmt: skip
def test_an_option_in_a_url_is_false_only_in_so_many_words(text: str | None, expected: bool) -> None:
    assert query_bool(text) is expected


@pytest.mark.parametrize(("text", "expected"), [("t", True), ("True", True), ("F", False), ("0", False)])
def test_what_go_parses(text: str, expected: bool) -> None:
    assert parse_bool(text) is expected


@pytest.mark.parametrize("text", ["", "tRUE", "yes"])
def test_what_go_does_not_parse(text: str) -> None:
    with pytest.raises(ValueError, match=f'strconv.ParseBool: parsing "{text}": invalid syntax'):
        parse_bool(text)
