"""Values against structural schemas, in upstream's words."""

from __future__ import annotations

from typing import Any

import pytest

from steersman.api.structural import lists, values
from steersman.api.structural.formats import FORMATS
from steersman.api.structural.model import MISSING, build
from steersman.machinery.meta import Obj


def complaints(schema: Obj, value: Any, old: Any = MISSING) -> list[str]:
    root = build({"type": "object", "properties": {"x": schema}})
    before = MISSING if old is MISSING else {"x": old, "y": 1}
    return [str(error) for error in values.validate({"x": value}, root, before)]


TYPE = 'x: Invalid value: "{0}": x in body must be of type {1}: "{0}"'


@pytest.mark.parametrize(
    ("schema", "value", "errors"),
    [
        ({"type": "integer"}, 1, []),
        ({"type": "integer"}, 1.0, []),
        ({"type": "integer"}, 1.5, [TYPE.format("number", "integer")]),
        ({"type": "integer"}, True, [TYPE.format("boolean", "integer")]),
        ({"type": "integer"}, "1", [TYPE.format("string", "integer")]),
        ({"type": "integer"}, None, [TYPE.format("null", "integer")]),
        ({"type": "integer", "nullable": True}, None, []),
        ({"type": "number"}, 1, []),
        ({"type": "string"}, [], [TYPE.format("array", "string")]),
        ({"type": "array", "items": {"type": "string"}}, {}, [TYPE.format("object", "array")]),
        ({"type": "boolean"}, False, []),
        ({"x-kubernetes-int-or-string": True}, 1, []),
        ({"x-kubernetes-int-or-string": True}, "1", []),
        ({"x-kubernetes-int-or-string": True}, 1.5, [TYPE.format("number", "integer,string")]),
        ({"type": "string", "enum": ["a", "b"]}, "a", []),
        ({"type": "string", "enum": ["a", "b"]}, "c", ['x: Unsupported value: "c": supported values: "a", "b"']),
        ({"type": "integer", "enum": [1, 2]}, 3, ['x: Unsupported value: 3: supported values: "1", "2"']),
        ({"type": "string", "maxLength": 2}, "abc", ["x: Too long: may not be more than 2 bytes"]),
        ({"type": "string", "minLength": 1}, "", ['x: Invalid value: "": x in body should be at least 1 chars long']),
        ({"type": "string", "pattern": "^a"}, "b", ["x: Invalid value: \"b\": x in body should match '^a'"]),
        ({"type": "string", "pattern": "b"}, "abc", []),
        ({"type": "integer", "minimum": 1}, 0, ["x: Invalid value: 0: x in body should be greater than or equal to 1"]),
        (
            {"type": "integer", "minimum": 1, "exclusiveMinimum": True},
            1,
            ["x: Invalid value: 1: x in body should be greater than 1"],
        ),
        ({"type": "number", "maximum": 1.5}, 2, ["x: Invalid value: 2: x in body should be less than or equal to 1.5"]),
        ({"type": "number", "maximum": 1, "exclusiveMaximum": True}, 1, ["x: Invalid value: 1: x in body should be less than 1"]),
        ({"type": "integer", "multipleOf": 5}, 7, ["x: Invalid value: 7: x in body should be a multiple of 5"]),
        ({"type": "number", "multipleOf": 0.1}, 0.3, []),
        ({"type": "array", "items": {"type": "integer"}}, [1, "a"], [TYPE.format("string", "integer").replace("x", "x[1]")]),
        ({"type": "array", "items": {}, "minItems": 1}, [], ["x: Invalid value: 0: x in body should have at least 1 items"]),
        ({"type": "array", "items": {}, "maxItems": 1}, [1, 2], ["x: Too many: 2: must have at most 1 items"]),
        ({"type": "object", "maxProperties": 1}, {"a": 1, "b": 2}, ["x: Too many: 2: must have at most 1 items"]),
        ({"type": "object", "minProperties": 1}, {}, ["x: Invalid value: 0: x in body should have at least 1 properties"]),
        ({"type": "object", "required": ["a", "b"]}, {"a": 1}, ["x.b: Required value"]),
        (
            {"type": "object", "additionalProperties": {"type": "string"}},
            {"k": 1},
            ['x.k: Invalid value: "integer": x.k in body must be of type string: "integer"'],
        ),
        ({"type": "string", "format": "ipv4"}, "x", ['x: Invalid value: "x": x in body must be of type ipv4: "x"']),
        ({"type": "string", "format": "unheard-of"}, "x", []),
        (
            {"type": "integer", "oneOf": [{"minimum": 5}, {"maximum": 1}]},
            3,
            [
                '<nil>: Invalid value: "": "x" must validate one and only one schema (oneOf). Found none valid',
                "x: Invalid value: 3: x in body should be greater than or equal to 5",
            ],
        ),
        (
            {"type": "integer", "oneOf": [{"minimum": 1}, {"minimum": 2}]},
            3,
            ['<nil>: Invalid value: "": "x" must validate one and only one schema (oneOf). Found 2 valid alternatives'],
        ),
        ({"type": "integer", "oneOf": [{"minimum": 5}, {"maximum": 1}]}, 7, []),
        ({"type": "integer", "anyOf": [{"minimum": 5}, {"maximum": 1}]}, 0, []),
        (
            {"type": "integer", "anyOf": [{"minimum": 5}]},
            0,
            [
                '<nil>: Invalid value: "": "x" must validate at least one schema (anyOf)',
                "x: Invalid value: 0: x in body should be greater than or equal to 5",
            ],
        ),
        (
            {"type": "integer", "allOf": [{"minimum": 5}]},
            0,
            [
                "x: Invalid value: 0: x in body should be greater than or equal to 5",
                '<nil>: Invalid value: "": "x" must validate all the schemas (allOf). None validated',
            ],
        ),
        ({"type": "integer", "not": {"minimum": 5}}, 7, ['<nil>: Invalid value: "": "x" must not validate the schema (not)']),
        ({"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"b": 1}, []),
    ],
)
def test_a_value_is_checked_in_upstreams_words(schema: Obj, value: Any, errors: list[str]) -> None:
    assert complaints(schema, value) == errors


@pytest.mark.parametrize(
    ("schema", "old", "new", "errors"),
    [
        ({"type": "integer", "minimum": 5}, 1, 1, 0),
        ({"type": "integer", "minimum": 5}, 1, 2, 1),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, {"a": "s", "b": 1}, {"a": "s", "b": 2}, 0),
        ({"type": "object", "required": ["a"]}, {"b": 1}, {"b": 2}, 1),
        ({"type": "array", "items": {"type": "integer"}}, ["s"], ["s", 1], 1),
        (
            {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}}},
            },
            [{"k": "a", "v": "bad"}],
            [{"k": "b", "v": 1}, {"k": "a", "v": "bad"}],
            0,
        ),
    ],
)
def test_what_was_wrong_before_and_is_unchanged_is_not_complained_of(schema: Obj, old: Any, new: Any, errors: int) -> None:
    assert len(complaints(schema, new, old)) == errors


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("bsonobjectid", ["507f1f77bcf86cd799439011"], ["x", "507f"]),
        ("uri", ["https://a.b/c", "/a/b"], ["a b", "nothing"]),
        ("email", ["a@b.c"], ["a", "a@b@c"]),
        ("hostname", ["a.b-c.d", "x"], ["", "-a", "a..b"]),
        ("ipv4", ["1.2.3.4"], ["1.2.3", "::1", "01.2.3.4"]),
        ("ipv6", ["::1"], ["1.2.3.4", "x"]),
        ("cidr", ["10.0.0.0/8", "10.1.2.3/8", "::/0"], ["10.0.0.0", "10.0.0.0/33"]),
        ("mac", ["01:23:45:67:89:ab"], ["01:23"]),
        ("uuid", ["123e4567-e89b-12d3-a456-426614174000"], ["x"]),
        ("uuid3", ["123e4567-e89b-32d3-a456-426614174000"], ["123e4567-e89b-42d3-a456-426614174000"]),
        ("uuid4", ["123e4567-e89b-42d3-a456-426614174000"], ["123e4567-e89b-32d3-a456-426614174000"]),
        ("uuid5", ["123e4567-e89b-52d3-a456-426614174000"], ["123e4567-e89b-52d3-c456-426614174000"]),
        ("isbn", ["0-306-40615-2", "978-0-306-40615-7"], ["1"]),
        ("isbn10", ["0306406152", "080442957X"], ["0306406153"]),
        ("isbn13", ["9780306406157"], ["9780306406158"]),
        ("creditcard", ["4111-1111-1111-1111"], ["4111-1111-1111-1112", "1"]),
        ("ssn", ["111-22-3333"], ["11-22-3333"]),
        ("hexcolor", ["#fff", "#FFFFFF"], ["#ffff"]),
        ("rgbcolor", ["rgb(100, 2, 255)"], ["rgb(100,2)", "rgb(256,0,0)"]),
        ("byte", ["aGk="], ["a", "!"]),
        ("password", ["", "x"], []),
        ("date", ["2024-02-29"], ["2023-02-29", "20240229", "x"]),
        ("duration", ["1s", "1h30m", "2 days", "-1.5h", "0"], ["1", "x", "1x"]),
        ("date-time", ["2024-01-01T00:00:00Z", "2024-01-01t00:00:00.5+01:00", ""], ["2024-01-01", "2024-13-01T00:00:00Z"]),
        ("k8s-short-name", ["a-b"], ["a.b", "A"]),
        ("k8s-long-name", ["a.b"], ["a_b"]),
    ],
)
def test_formats_take_what_is_of_the_format_and_nothing_else(name: str, good: list[str], bad: list[str]) -> None:
    assert [value for value in good if not FORMATS[name](value)] == []
    assert [value for value in bad if FORMATS[name](value)] == []


def test_every_format_is_tried_above() -> None:
    assert len(FORMATS) == 26


MAP: Obj = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["k", "p"],
    "items": {"type": "object"},
}


@pytest.mark.parametrize(
    ("schema", "value", "errors"),
    [
        ({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}, ["a", "b"], []),
        ({"type": "array", "x-kubernetes-list-type": "set", "items": {}}, ["a", "b", "a"], ['x[2]: Duplicate value: "a"']),
        ({"type": "array", "x-kubernetes-list-type": "atomic", "items": {}}, ["a", "a"], []),
        (MAP, [{"k": "a", "p": 1}, {"k": "a", "p": 2}], []),
        (MAP, [{"k": "a", "p": 1, "v": 1}, {"k": "a", "p": 1, "v": 2}], ['x[1]: Duplicate value: {"k":"a","p":1}']),
    ],
)
def test_sets_and_maps_have_nothing_twice(schema: Obj, value: Any, errors: list[str]) -> None:
    root = build({"type": "object", "properties": {"x": schema}})
    assert [str(error) for error in lists.validate({"x": value}, root)] == errors


WIDE: Obj = {"allOf": [{"minimum": number} for number in range(3000)]}
DEAR: Obj = {"pattern": "|".join(f"a.{{{count}}}z" for count in range(1, 200))}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "array", "items": {"type": "integer", **WIDE}}, [5000] * 3000),
        ({"type": "array", "items": {"type": "integer", "enum": list(range(16000))}}, [15999] * 1000),
        ({"type": "array", "items": {"required": [f"a{number}" for number in range(16000)]}}, [{}] * 1000),
        ({"type": "string", **DEAR}, "ab" * 150_000),
        ({"type": "array", "items": {"type": "string", **DEAR}}, ["ab" * 500] * 100),
    ],
)
def test_a_large_schema_over_a_large_value_is_given_up_before_it_holds_up_the_server(schema: Obj, value: Any) -> None:
    assert complaints(schema, value) == ["<nil>: Forbidden: validating it against the schema takes too long"]


@pytest.mark.parametrize("pattern", ["(a+)+$", "^(a|a)*$", "^(([a-z])+.)+[A-Z]$"])
def test_a_pattern_that_backtracks_elsewhere_is_answered_at_once(pattern: str) -> None:
    found = complaints({"type": "array", "items": {"type": "string", "pattern": pattern}}, ["a" * 1000 + "!"] * 100)
    assert found[0].endswith(f"[0] in body should match '{pattern}'")


@pytest.mark.parametrize(
    ("factor", "value", "good"),
    [
        (2, 4, True),
        (2, 5, False),
        (-2, 4, True),
        (0.1, 0.3, True),
        (0.1, 0.35, False),
        (0.01, 4.35, True),
        (1.5, 3, True),
        (2.0, 2**53, True),
        (5e-324, 1, False),
        (1e-300, 1e300, False),
        (1e308, 5e-324, True),
        (0, 5, True),
        (3, 10**18, False),
    ],
)
def test_multiples_are_told_of_all_numbers(factor: float, value: float, good: bool) -> None:
    assert (not complaints({"type": "number", "multipleOf": factor}, value)) is good
