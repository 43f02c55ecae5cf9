"""Which JSONSchemaProps are structural schemas, and what is said of the others."""

from __future__ import annotations

import pytest

from steersman.api.structural import check, check_defaults
from steersman.api.structural.model import build
from steersman.machinery.meta import Obj

S: Obj = {"type": "string"}
TYPES = ", ".join(f'"{name}"' for name in check.TYPES)
INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]


def root(**properties: Obj) -> Obj:
    return {"type": "object", "properties": properties}


def complaints(raw: Obj, *, has_status: bool = False) -> list[str]:
    return [str(error) for error in check.check(raw, "s", has_status=has_status)]


def a_list(kind: str, items: Obj, *keys: str) -> Obj:
    return {"type": "array", "items": items, "x-kubernetes-list-type": kind, "x-kubernetes-list-map-keys": list(keys)}


@pytest.mark.parametrize(
    "raw",
    [
        {"type": "object"},
        {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        root(a=S, b={"type": "array", "items": S}, c={"type": "object", "additionalProperties": S}),
        root(a={"x-kubernetes-int-or-string": True}),
        root(a={"x-kubernetes-int-or-string": True, "anyOf": INT_OR_STRING}),
        root(a={"x-kubernetes-int-or-string": True, "allOf": [{"anyOf": INT_OR_STRING}, {"pattern": "x"}]}),
        root(a={"x-kubernetes-preserve-unknown-fields": True}),
        root(a={"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}),
        root(metadata={"type": "object", "properties": {"name": {"type": "string", "maxLength": 5}}}),
        root(
            a={"type": "object", "properties": {"b": S}, "anyOf": [{"properties": {"b": {"minLength": 1}}}, {"required": ["b"]}]}
        ),
        root(a=a_list("set", S)),
        root(a=a_list("map", {**root(k=S), "required": ["k"]}, "k")),
        root(a=a_list("map", root(k={**S, "default": "x"}), "k")),
    ],
)
def test_a_structural_schema_is_taken(raw: Obj) -> None:
    assert complaints(raw) == []


@pytest.mark.parametrize(
    ("raw", "errors"),
    [
        ({}, ["s.type: Required value: must not be empty at the root"]),
        (root(a={}), ["s.properties[a].type: Required value: must not be empty for specified object fields"]),
        (
            root(a={"type": "array", "items": {}}),
            ["s.properties[a].items.type: Required value: must not be empty for specified array items"],
        ),
        (root(a={"type": "array"}), ["s.properties[a].items: Required value: must be specified"]),
        (
            root(a={"type": "x"}),
            [f's.properties[a].type: Unsupported value: "x": supported values: {TYPES}'],
        ),
        ({"type": "array", "items": S}, ['s.type: Invalid value: "array": must be object at the root']),
        (
            {"type": "object", "additionalProperties": S},
            ["s.additionalProperties: Forbidden: must not be used at the root"],
        ),
        ({"type": "object", "nullable": True}, ["s.nullable: Forbidden: nullable cannot be true at the root"]),
        (
            root(a={**root(b=S), "additionalProperties": S}),
            ["s.properties[a].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"],
        ),
        (
            root(a={**S, "uniqueItems": True}),
            [
                "s.properties[a].uniqueItems: Forbidden: "
                "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
            ],
        ),
        (root(a={**S, "$ref": "#/x"}), ["s.properties[a].$ref: Forbidden: $ref is not supported"]),
        (
            root(a={**S, "pattern": "("}),
            [
                's.properties[a].pattern: Invalid value: "(": must be a valid regular expression, but isn\'t: '
                "error parsing regexp: missing closing ): `(`"
            ],
        ),
        (
            root(a={**S, "x-kubernetes-preserve-unknown-fields": False}),
            ["s.properties[a].x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined"],
        ),
        (
            root(a={**root(b=S), "anyOf": [{"type": "object", "default": {}, "nullable": True}]}),
            [
                "s.properties[a].anyOf[0].type: Forbidden: must be empty to be structural",
                "s.properties[a].anyOf[0].default: Forbidden: must be undefined to be structural",
                "s.properties[a].anyOf[0].nullable: Forbidden: must be false to be structural",
            ],
        ),
        (
            root(a={**root(b=S), "not": {"properties": {"c": {"minLength": 1}}}}),
            ["s.properties[a].properties[c]: Required value: because it is defined in s.properties[a].not.properties[c]"],
        ),
        (
            root(metadata={"type": "object", "properties": {"labels": {"type": "object"}}}),
            [
                "s.properties[metadata]: Forbidden: must not specify anything other than name and generateName, "
                "but metadata is implicitly specified"
            ],
        ),
        (root(kind={"type": "integer"}), ['s.properties[kind].type: Invalid value: "integer": must be string']),
        (
            root(a={"x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}),
            ["s.properties[a].type: Required value: must be object if x-kubernetes-embedded-resource is true"],
        ),
        (
            root(a={"type": "object", "x-kubernetes-embedded-resource": True}),
            [
                "s.properties[a].properties: Required value: must not be empty if x-kubernetes-embedded-resource is true "
                "without x-kubernetes-preserve-unknown-fields"
            ],
        ),
        (
            root(a=a_list("map", root(k=S))),
            ["s.properties[a].x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map"],
        ),
        (
            root(a=a_list("map", root(k=S), "k")),
            [
                "s.properties[a].items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, "
                "so it must have a default or be a required property"
            ],
        ),
        (
            root(a=a_list("map", {**root(k=S), "required": ["k"]}, "k", "k", "z")),
            [
                's.properties[a].x-kubernetes-list-map-keys[1]: Duplicate value: "k"',
                's.properties[a].x-kubernetes-list-map-keys[2]: Invalid value: "z": entries must all be names of item properties',
            ],
        ),
        (
            root(a=a_list("set", {**S, "nullable": True})),
            ["s.properties[a].items.nullable: Forbidden: cannot be nullable when x-kubernetes-list-type is set"],
        ),
        (
            root(a={**S, "x-kubernetes-list-type": "heap"}),
            [
                's.properties[a].x-kubernetes-list-type: Unsupported value: "heap": supported values: "atomic", "set", "map"',
                's.properties[a].type: Invalid value: "string": must be array if x-kubernetes-list-type is specified',
            ],
        ),
    ],
)
def test_violations_are_told_at_their_place(raw: Obj, errors: list[str]) -> None:
    assert complaints(raw) == errors


def test_beside_a_status_subresource_the_root_says_little() -> None:
    assert complaints({**root(a=S), "description": "d", "required": ["a"]}, has_status=True) == []
    (error,) = complaints({**root(a=S), "anyOf": [{"required": ["a"]}]}, has_status=True)
    assert "only [Description Type Format" in error
    assert error.endswith("XValidations] fields are allowed at the root of the schema if the status subresource is enabled")


@pytest.mark.parametrize(
    ("raw", "errors"),
    [
        (root(a={**S, "default": "x"}), []),
        (root(a={**root(b={**S, "default": "x"}), "default": {}}), []),
        (
            root(a={**S, "default": 5}),
            ['s.properties[a].default: Invalid value: "integer":  in body must be of type string: "integer"'],
        ),
        (
            root(a={**root(b=S), "default": {"c": 1}}),
            ['s.properties[a].default: Invalid value: {"c":1}: must not have unknown fields'],
        ),
        (
            root(a={**root(b=S), "required": ["b"], "default": {}}),
            ["s.properties[a].default.b: Required value"],
        ),
        (
            root(metadata={"type": "object", "properties": {"name": {**S, "default": "x"}}}),
            ["s.properties[metadata].default: Forbidden: must not be set in top-level metadata"],
        ),
    ],
)
def test_defaults_must_fit_where_they_stand(raw: Obj, errors: list[str]) -> None:
    assert [str(error) for error in check_defaults.check(build(raw), "s")] == errors


def test_unknown_formats_are_named() -> None:
    raw = root(a={**S, "format": "x"}, b={"type": "array", "items": {**S, "format": "y"}}, c={**S, "format": "ipv4"})
    assert list(check.unknown_formats(raw)) == ["x", "y"]
