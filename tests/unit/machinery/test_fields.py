"""Field selectors."""

from __future__ import annotations

import pytest

from steersman.machinery import fields


def test_terms_are_split_unescaped_and_sorted() -> None:
    selector = fields.parse("b!=x\\,y,,a==1")
    assert selector.requirements == (("a", "=", "1"), ("b", "!=", "x,y"))
    assert str(selector) == "a=1,b!=x\\,y"
    assert selector.matches({"a": "1"})
    assert not selector.matches({"a": "1", "b": "x,y"})
    assert selector.exact("a") == "1"


def test_a_missing_field_equals_the_empty_string() -> None:
    assert fields.parse("spec.nodeName=").matches({})
    assert fields.parse("").empty


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a=b,name", "invalid selector: 'a=b,name'; can't understand 'name'"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
        ("a=\\x", "invalid field selector: invalid escape sequence: \\x"),
    ],
)
def test_a_bad_selector_fails_in_upstreams_words(text: str, error: str) -> None:
    with pytest.raises(ValueError) as caught:
        fields.parse(text)
    assert str(caught.value) == error
