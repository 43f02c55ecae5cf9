"""Selectors between a request's text and a review's requirements."""

from __future__ import annotations

import pytest

from steersman.apiserver.authz import selectors
from steersman.machinery.meta import Obj


def requirement(key: str, operator: str, *values: str) -> Obj:
    return {"key": key, "operator": operator} | ({"values": list(values)} if values else {})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("a=b,c!=d", [requirement("a", "In", "b"), requirement("c", "NotIn", "d")]),
        ("a==x\\,y", [requirement("a", "In", "x,y")]),
        ("a", []),
    ],
)
def test_fields(text: str, found: list[Obj]) -> None:
    assert selectors.field_requirements(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a,!b", [requirement("a", "Exists"), requirement("b", "DoesNotExist")]),
        ("a in (x,y),b notin (z)", [requirement("a", "In", "x", "y"), requirement("b", "NotIn", "z")]),
        ("a=x,b!=y", [requirement("a", "In", "x"), requirement("b", "NotIn", "y")]),
        ("a=(", []),
    ],
)
def test_labels(text: str, found: list[Obj]) -> None:
    assert selectors.label_requirements(text) == found


@pytest.mark.parametrize(
    ("attributes", "text", "understood"),
    [
        (None, "", True),
        ({"rawSelector": "a=b"}, "a=b", True),
        ({"rawSelector": "a"}, "", False),
        ({"requirements": [requirement("a", "In", "b"), requirement("c", "NotIn", "d,e")]}, "a=b,c!=d\\,e", True),
        ({"requirements": [requirement("a", "In", "b"), requirement("c", "In", "d", "e")]}, "a=b", False),
        ({"requirements": [requirement("a", "Exists")]}, "", False),
    ],
)
def test_a_reviews_fields_as_text(attributes: Obj | None, text: str, understood: bool) -> None:
    assert selectors.field_text(attributes) == (text, understood)


@pytest.mark.parametrize(
    ("attributes", "text", "understood"),
    [
        ({"rawSelector": "a in (b"}, "", False),
        ({"requirements": [requirement("a", "In", "b", "c"), requirement("d", "DoesNotExist")]}, "a in (b,c),!d", True),
        ({"requirements": [requirement("a", "Near", "b"), requirement("d", "Exists")]}, "d", False),
    ],
)
def test_a_reviews_labels_as_text(attributes: Obj | None, text: str, understood: bool) -> None:
    assert selectors.label_text(attributes) == (text, understood)
