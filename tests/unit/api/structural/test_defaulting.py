"""Defaults that multiply: in the items of lists, and within each other."""

from __future__ import annotations

from typing import Any

import pytest

from steersman.api.customresources.reading import Defaulting
from steersman.api.structural import check_defaults
from steersman.api.structural.defaulting import default
from steersman.api.structural.model import build
from steersman.machinery.errors import RequestEntityTooLarge
from steersman.machinery.meta import Obj


def listed(item: Obj, default: Any = None) -> Obj:
    return {"type": "array", "items": item} | ({} if default is None else {"default": default})


LARGE: Obj = {"type": "object", "properties": {"text": {"type": "string", "default": "x" * 100_000}}}


def nested(levels: int) -> Obj:
    """A list of a thousand, each with a list of a thousand, …: a few hundred bytes of schema."""
    schema: Obj = {"type": "object"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"list": listed(schema, [{}] * 1000)}}
    return schema


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"properties": {"spec": listed(LARGE)}}, {"spec": [{} for _ in range(1000)]}),
        (nested(3), {}),
        ({"properties": {"list": listed({"type": "object", "default": {"a": "x" * 1000}})}}, {"list": [None] * 10_000}),
    ],
    ids=["large in items", "lists in lists", "in place of nulls"],
)
def test_an_object_does_not_grow_without_bounds_by_defaults(schema: Obj, value: Any) -> None:
    root = build(schema)
    assert not default(value, root)
    with pytest.raises(RequestEntityTooLarge):
        Defaulting(root)(value or {})


def test_a_schema_whose_default_does_so_is_refused() -> None:
    schema = {"type": "object", "properties": {"spec": nested(3)["properties"]["list"]}}
    found = check_defaults.check(build(schema), "s")
    assert [str(error) for error in found] == [
        f"s.properties[spec]{inner}.default: Too long: may not be more than 3145728 bytes"
        for inner in ("", ".items.properties[list]")
    ]


def test_every_object_has_defaults_of_its_own() -> None:
    root = build({"properties": {"a": {"type": "object", "default": {"b": [1]}}}})
    first: Obj = {}
    second: Obj = {}
    assert default(first, root) and default(second, root)
    first["a"]["b"].append(2)
    assert second == {"a": {"b": [1]}}
