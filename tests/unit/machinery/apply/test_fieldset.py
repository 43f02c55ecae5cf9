"""Sets of fields: what is in them, what is left of them, how they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersman.machinery.apply import elements, fieldset
from steersman.machinery.apply.fieldset import FieldSet, Path

A, AB, ABC, B = ("f:a",), ("f:a", "f:b"), ("f:a", "f:b", "f:c"), ("f:b",)

ELEMENT = st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'v:"y"'])
PATHS = st.frozensets(st.lists(ELEMENT, min_size=1, max_size=4).map(tuple), max_size=8)


def of(paths: frozenset[Path]) -> FieldSet:
    return fieldset.of(*paths)


def members(fields: FieldSet) -> set[Path]:
    return set(fieldset.paths(fields))


@given(PATHS, PATHS)
def test_sets_of_fields_are_sets_of_paths(left: frozenset[Path], right: frozenset[Path]) -> None:
    assert members(of(left)) == left
    assert members(fieldset.union(of(left), of(right))) == left | right
    assert members(fieldset.difference(of(left), of(right))) == left - right
    assert members(fieldset.intersection(of(left), of(right))) == left & right
    below = {path for path in left if not any(path[: len(other)] == other for other in right)}
    assert members(fieldset.recursive_difference(of(left), of(right))) == below


@given(PATHS, PATHS)
def test_equal_sets_are_written_the_same_way_however_they_came_about(left: frozenset[Path], right: frozenset[Path]) -> None:
    made = fieldset.difference(fieldset.union(of(left), of(right)), of(right - left))
    assert fieldset.ordered(made) == of(left)
    assert list(fieldset.ordered(made)) == list(fieldset.ordered(of(left)))
    assert fieldset.decode(fieldset.ordered(made)) == fieldset.ordered(made)


@pytest.mark.parametrize(
    ("raw", "decoded"),
    [
        ({"f:a": {".": {}}}, fieldset.of(A)),
        ({"f:a": {".": {}, "f:b": {}}}, fieldset.of(A, AB)),
        ({'k:{"b":1,"a":"x"}': {}}, {'k:{"a":"x","b":1}': {}}),
        ({"x:new": {}, "f:a": {}}, fieldset.of(A)),
        ({"f:a": {"x:new": {}}}, {}),
        ({".": {}}, {}),
    ],
)
def test_fields_from_outside_are_brought_into_one_form(raw: FieldSet, decoded: FieldSet) -> None:
    assert fieldset.decode(raw) == decoded


@pytest.mark.parametrize("raw", [[], {"nothing": {}}, {"f:a": 1}, {'k:["a"]': {}}, {"v:{": {}}, {"i:x": {}}])
def test_malformed_fields_are_refused(raw: FieldSet) -> None:
    with pytest.raises(ValueError, match=r"."):
        fieldset.decode(raw)


def test_children_are_written_as_fields_keys_values_and_indexes_each_sorted() -> None:
    found = ['i:2', 'v:"b"', 'v:"a"', 'k:{"p":80}', 'k:{"p":9}', 'k:{"p":"x"}', "f:b", "f:a", "."]  # fmt: skip
    written = [".", "f:a", "f:b", 'k:{"p":9}', 'k:{"p":80}', 'k:{"p":"x"}', 'v:"a"', 'v:"b"', "i:2"]
    assert sorted(found, key=elements.order) == written


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("f:spec", "f:containers", 'k:{"name":"a"}', "f:image"), '.spec.containers[name="a"].image'),
        (("f:spec", "f:ports", 'k:{"port":80,"protocol":"TCP"}'), '.spec.ports[port=80,protocol="TCP"]'),
        (("f:metadata", "f:finalizers", 'v:"x"'), '.metadata.finalizers[="x"]'),
        (("f:a", "i:2"), ".a[2]"),
    ],
)
def test_paths_read_as_upstream_prints_them(path: Path, text: str) -> None:
    assert elements.text(path) == text
