"""JSON merge patch."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersman.machinery.errors import BadRequest
from steersman.machinery.patch import merge


@pytest.mark.parametrize(
    ("doc", "patch", "result"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": None, "d": [None]}}, {"a": {"c": 2, "d": [None]}}),
        ({"a": 1}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": 1}}),
        ({}, {"a": {}}, {"a": {}}),
    ],
)
def test_vectors(doc: Any, patch: Any, result: Any) -> None:
    before = copy.deepcopy(doc)
    assert merge.apply(doc, patch) == result
    assert doc == before


def test_a_body_that_is_no_object_is_refused() -> None:
    with pytest.raises(BadRequest, match="Invalid JSON Patch"):
        merge.decode(b"[1]")


def test_three_way_deletes_only_what_the_manifest_once_had() -> None:
    original = {"spec": {"a": 1, "b": {"x": 1}}}
    modified = {"spec": {"b": {"y": 2}}}
    current = {"spec": {"a": 1, "b": {"x": 1}, "server": True}}
    assert merge.three_way(original, modified, current) == {"spec": {"a": None, "b": {"x": None, "y": 2}}}
    assert merge.three_way(modified, modified, {"spec": {"b": {"y": 2}, "server": 1}}) == {}


_values = st.recursive(
    st.booleans() | st.integers(0, 3) | st.text("xy", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)
_docs = st.dictionaries(st.sampled_from("abc"), _values, max_size=3)


@given(_docs, _docs)
def test_a_difference_applied_gives_the_other_document(a: Any, b: Any) -> None:
    patch = merge.diff(a, b)
    made = merge.apply(a, patch)
    assert merge.same(made, b)
    assert merge.same(merge.apply(made, patch), made)
    assert merge.diff(a, a) == {}
