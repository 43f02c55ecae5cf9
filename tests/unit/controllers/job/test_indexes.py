"""Index lists as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersman.controllers.job import indexes


@pytest.mark.parametrize(
    ("found", "text"), [(set(), ""), ({4}, "4"), ({1, 2}, "1,2"), ({1, 3, 4, 5, 7}, "1,3-5,7"), ({0, 1, 2, 9, 10}, "0-2,9,10")]
)
def test_runs_are_drawn_together(found: set[int], text: str) -> None:
    assert indexes.render(found) == text


@given(st.sets(st.integers(0, 60)))
def test_what_is_rendered_is_parsed_again(found: set[int]) -> None:
    assert indexes.parse(indexes.render(found), 61) == found


def test_indexes_beyond_completions_are_left_out() -> None:
    assert indexes.parse("1,3-5,7", 5) == {1, 3, 4}
