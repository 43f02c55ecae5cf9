"""What a structural schema does to an object: pruning, defaults, nulls, metadata of embedded resources."""

from __future__ import annotations

from typing import Any

import pytest

from steersman.api.structural import embedded
from steersman.api.structural.defaulting import default
from steersman.api.structural.model import build
from steersman.api.structural.pruning import prune
from steersman.machinery.meta import Obj

ANY = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
A: Obj = {"type": "object", "properties": {"a": {"type": "string"}}}


def schema(**properties: Any) -> Obj:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("raw", "before", "after", "dropped"),
    [
        (schema(spec=A), {"spec": {"a": "x", "b": 1}}, {"spec": {"a": "x"}}, ["spec.b"]),
        (schema(), {"apiVersion": "v1", "kind": "K", "metadata": {"x": 1}, "y": 1}, None, ["y"]),
        (schema(spec={"type": "array", "items": A}), {"spec": [{"b": 1}, {"a": "x"}]}, {"spec": [{}, {"a": "x"}]}, ["spec[0].b"]),
        (
            schema(spec={"type": "object", "additionalProperties": A}),
            {"spec": {"k": {"b": 1}}},
            {"spec": {"k": {}}},
            ["spec.k.b"],
        ),
        (schema(spec={"type": "object", "additionalProperties": True}), {"spec": {"k": 1, "o": {"p": 1}}}, None, ["spec.o.p"]),
        (schema(spec=ANY), {"spec": {"deep": {"er": [{"x": 1}]}}}, {"spec": {"deep": {"er": [{"x": 1}]}}}, []),
        (schema(spec={**ANY, "properties": {"p": A}}), {"spec": {"q": {"r": 1}, "p": {"b": 1}}}, None, ["spec.p.b"]),
        (schema(spec={**A, "x-kubernetes-embedded-resource": True}), {"spec": {"kind": "K", "b": 1}}, None, ["spec.b"]),
        ({**ANY}, {"anything": {"goes": 1}}, {"anything": {"goes": 1}}, []),
        (schema(spec={"type": "string"}), {"spec": {"a": 1}}, {"spec": {}}, ["spec.a"]),
    ],
)
def test_fields_that_the_schema_does_not_know_are_dropped_and_named(
    raw: Obj, before: Obj, after: Obj | None, dropped: list[str]
) -> None:
    assert prune(before, build(raw)) == dropped
    if after is not None:
        assert before == after


def test_pruning_keeps_what_every_resource_has_and_what_is_preserved() -> None:
    root = build(schema(spec={**ANY, "properties": {"p": A}}))
    obj: Obj = {"apiVersion": "v1", "kind": "K", "metadata": {"x": 1}, "spec": {"q": {"r": 1}, "p": {"a": "x", "b": 1}}, "y": 1}
    prune(obj, root)
    assert obj == {"apiVersion": "v1", "kind": "K", "metadata": {"x": 1}, "spec": {"q": {"r": 1}, "p": {"a": "x"}}}


D = {"type": "string", "default": "d"}


@pytest.mark.parametrize(
    ("raw", "before", "after"),
    [
        (schema(s=D), {}, {"s": "d"}),
        (schema(s=D), {"s": ""}, {"s": ""}),
        (schema(s=D), {"s": None}, {"s": "d"}),
        (schema(s={**D, "nullable": True}), {"s": None}, {"s": None}),
        (schema(s={**D, "nullable": True}), {}, {"s": "d"}),
        (schema(s={"type": "string"}), {"s": None}, {}),
        (schema(s={"type": "string", "nullable": True}), {"s": None}, {"s": None}),
        (schema(o=schema(s=D)), {}, {}),
        (schema(o=schema(s=D)), {"o": {}}, {"o": {"s": "d"}}),
        (schema(o={**schema(s=D), "default": {}}), {}, {"o": {"s": "d"}}),
        (schema(l={"type": "array", "items": schema(s=D)}), {"l": [{}, {"s": "x"}]}, {"l": [{"s": "d"}, {"s": "x"}]}),
        (schema(l={"type": "array", "items": D}), {"l": [None]}, {"l": ["d"]}),
        (schema(m={"type": "object", "additionalProperties": schema(s=D)}), {"m": {"k": {}}}, {"m": {"k": {"s": "d"}}}),
        (schema(m={"type": "object", "additionalProperties": D}), {"m": {"k": None}}, {"m": {"k": "d"}}),
        (schema(b={"type": "boolean", "default": False}), {}, {"b": False}),
    ],
)
def test_defaults_fill_what_is_missing_and_nulls_go_where_they_are_not_allowed(raw: Obj, before: Obj, after: Obj) -> None:
    default(before, build(raw))
    assert before == after


def test_a_default_is_a_copy_for_every_object() -> None:
    root = build(schema(o={"type": "object", "default": {"l": []}, "properties": {"l": {"type": "array", "items": D}}}))
    one: Obj = {}
    default(one, root)
    one["o"]["l"].append("x")
    other: Obj = {}
    default(other, root)
    assert other == {"o": {"l": []}}


EMBEDDING = build(schema(pod={**ANY, "x-kubernetes-embedded-resource": True}))


def test_metadata_is_read_as_go_reads_it_in_embedded_resources_too() -> None:
    obj: Obj = {"metadata": {"name": "a", "labels": {}, "x": 1}, "pod": {"metadata": {"name": "b", "finalizers": None, "y": 1}}}
    assert embedded.settle(obj, EMBEDDING) == ([], ["metadata.x", "pod.metadata.y"])
    assert obj == {"metadata": {"name": "a"}, "pod": {"metadata": {"name": "b"}}}


@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        ({"labels": {"a": 1}}, "json: cannot unmarshal number into Go struct field ObjectMeta.labels of type string"),
        ({"generation": "x"}, "json: cannot unmarshal string into Go struct field ObjectMeta.generation of type int64"),
        ("x", "json: cannot unmarshal string into Go struct field .metadata of type v1.ObjectMeta"),
    ],
)
def test_metadata_of_the_wrong_type_is_an_error(metadata: Any, error: str) -> None:
    assert embedded.settle({"metadata": metadata}, EMBEDDING)[0] == [error]


@pytest.mark.parametrize(
    ("pod", "errors"),
    [
        ({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}, []),
        ({}, ["pod.apiVersion: Required value: must not be empty", "pod.kind: Required value: must not be empty"]),
        (
            {"apiVersion": "a/b/c", "kind": "Pod"},
            ['pod.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c'],
        ),
        (
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a/b"}},
            ["pod.metadata.name: Invalid value: \"a/b\": may not contain '/'"],
        ),
    ],
)
def test_embedded_resources_are_validated(pod: Obj, errors: list[str]) -> None:
    assert [str(error) for error in embedded.validate({"pod": pod}, EMBEDDING)] == errors
