"""What is remembered of texts from outside is bounded."""

from __future__ import annotations

import pytest

from steersman.machinery import fields, labeltext, quantity
from steersman.machinery.kept import LONGEST, kept


def test_short_texts_are_remembered_and_long_ones_are_not() -> None:
    made: list[str] = []

    @kept(2)
    def shout(text: str, times: int = 1) -> str:
        made.append(text)
        return text.upper() * times

    for text in ("a", "a", "b" * LONGEST, "b" * LONGEST, "c" * (LONGEST + 1), "c" * (LONGEST + 1)):
        assert shout(text) == text.upper()
    assert [text[0] for text in made] == ["a", "b", "c", "c"]
    assert shout("a", times=2) == "AA"


def test_what_fails_is_tried_again() -> None:
    @kept(2)
    def fail(text: str) -> str:
        raise ValueError(text)

    for _ in range(2):
        with pytest.raises(ValueError, match="^a$"):
            fail("a")


def test_a_selector_has_so_many_requirements_and_any_number_of_values() -> None:
    many = ",".join(f"k{number}" for number in range(1001))
    for parse in (labeltext.parse, fields.parse):
        with pytest.raises(ValueError, match="too many"):
            parse(",".join(f"{key}=v" for key in many.split(",")))
    assert len(labeltext.parse(f"a in ({many})").requirements[0].values) == 1001


def test_a_quantity_of_very_many_digits_is_none() -> None:
    for read in (quantity.milli, quantity.value, quantity.canonical, quantity.canonical_resource):
        assert read("0" * 200 + "1")
        with pytest.raises(ValueError):
            read("0" * 300 + "1")
