"""Definitions made to hurt: schemas, defaults, patterns, rules and columns that grow or never end; and objects of them."""

from __future__ import annotations

import itertools
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.robustness.api.conftest import examples
from tests.robustness.api.hostile import ANY_JSON, spoiled
from tests.robustness.api.objects import SAMPLES
from tests.robustness.api.target import Target

from steersman.machinery.meta import Obj

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ANYTHING: Obj = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
LONG = "y" * 100_000
_numbers = itertools.count()


class Defined:
    """A definition of its own for each test, gone afterwards."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._plural = f"w{next(_numbers)}s"
        self._kind = self._plural[:-1].title()
        self._url = f"/apis/example.com/v1/namespaces/default/{self._plural}"

    def make(self, schema: Any, **more: Any) -> int:
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, **more}
        names = {"plural": self._plural, "singular": self._plural[:-1], "kind": self._kind, "listKind": f"{self._kind}List"}
        spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]}
        body = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{self._plural}.example.com"},
            "spec": spec,
        }
        status = self._target.send("POST", DEFINITIONS, body).status
        while status == 201 and self._target.send("GET", self._url).status == 404:
            pass  # names are accepted a moment later
        return status

    def create(self, obj: Obj) -> int:
        """An object of it, and what is done with objects."""
        whole = {"apiVersion": "example.com/v1", "kind": self._kind, "metadata": {"name": "a"}, **obj}
        send = self._target.send
        status = send("POST", self._url, whole).status
        send("PATCH", f"{self._url}/a?fieldManager=m&force=true", whole, "application/apply-patch+yaml")
        send("PATCH", f"{self._url}/a", {"spec": None}, "application/merge-patch+json")
        send("GET", self._url, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
        send("GET", f"{self._url}/a/scale")
        send("DELETE", f"{self._url}/a")
        return status

    def remove(self) -> None:
        self._target.send("DELETE", f"{DEFINITIONS}/{self._plural}.example.com")


def spec_of(schema: Obj) -> Obj:
    return {"type": "object", "properties": {"spec": schema}}


def nested(levels: int, inner: Obj, key: str = "properties") -> Obj:
    for _ in range(levels):
        inner = {"type": "object", "properties": {"a": inner}} if key == "properties" else {key: [inner, inner]}
    return inner


def deep(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = {"a": value}
    return value


SCHEMAS: dict[str, tuple[Any, list[Obj]]] = {
    "none": (None, []),
    "a number": (1, []),
    "empty": ({}, []),
    "of no type": ({"type": "nope"}, []),
    "of two types": ({"type": ["object"]}, []),
    "properties of a list": ({"type": "object", "properties": []}, []),
    "a property of null": ({"type": "object", "properties": {"a": None}}, []),
    "required of a number": ({"type": "object", "required": [1]}, []),
    "a reference": (spec_of({"$ref": "#/"}), []),
    "a reference to itself": ({"type": "object", "definitions": {"a": {"$ref": "#/definitions/a"}}}, []),
    "deep": (spec_of(nested(60, {"type": "string"})), [{"spec": deep(60)}]),
    "deeper": (spec_of(nested(90, {"type": "string"})), [{"spec": deep(90)}]),
    "too deep": (spec_of(nested(240, {"type": "string"})), []),
    "a preserved depth": (ANYTHING, [{"spec": deep(190)}, {"spec": {str(number): number for number in range(30_000)}}]),
    "wide": (
        spec_of({"type": "object", "properties": {f"p{number}": {"type": "string", "default": "x"} for number in range(5000)}}),
        [{"spec": {}}],
    ),
    "doubling": (spec_of({"type": "object", **nested(12, {"properties": {"a": {"minimum": 1}}}, "allOf")}), [{"spec": {"a": 0}}]),
    "doubling choices": (spec_of({"type": "object", **nested(12, {"required": ["b"]}, "oneOf")}), [{"spec": {"a": 0}}]),
    "a large enumeration": (spec_of({"type": "string", "enum": [str(number) for number in range(50_000)]}), [{"spec": "x"}]),
    "enumerated nonsense": (spec_of({"type": "string", "enum": [{"a": 1}, None, [1], 1e300]}), [{"spec": "x"}]),
    "a large default": (
        spec_of({"type": "object", "properties": {"a": {**ANYTHING, "default": {str(number): "x" for number in range(20_000)}}}}),
        [{"spec": {}}],
    ),
    "defaults that multiply": (
        spec_of({"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string", "default": LONG}}}}),
        [{"spec": [{}] * 2000}],
    ),
    "defaults in defaults": (
        nested(0, {"type": "object", "properties": {"l": {"type": "array", "default": [{}] * 1000, "items": {
            "type": "object", "properties": {"l": {"type": "array", "default": [{}] * 1000, "items": {"type": "object"}}}}}}}),
        [{}],
    ),
    "numbers without end": (
        spec_of({"type": "number", "minimum": 1e308, "maximum": -1e308, "multipleOf": 5e-324}), [{"spec": 1}, {"spec": 1e308}]
    ),
    "multiples of nothing": (spec_of({"type": "integer", "multipleOf": 0}), [{"spec": 1}]),
    "a format out of range": (spec_of({"type": "integer", "format": "int32"}), [{"spec": 2**40}, {"spec": -(2**63)}]),
    "negative bounds": ({"type": "object", "maxProperties": -1, "minProperties": 2**63 - 1}, [{}]),
    "names that are none": ({"type": "object", "properties": {"": ANYTHING, "\x00": ANYTHING, "a" * 5000: ANYTHING}}, [{"": {}}]),
    "a map of unkeyed items": (
        spec_of({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": ANYTHING}),
        [{"spec": [{"k": {}}, {"k": []}, {}]}],
    ),
    "an embedded nothing": (spec_of({**ANYTHING, "x-kubernetes-embedded-resource": True}), [{"spec": {"metadata": {}}}]),
    "metadata of its own": (
        {"type": "object", "properties": {"metadata": {"type": "object", "properties": {"name": {"pattern": "["}}}}},
        [],
    ),
}  # fmt: skip
PATTERNS = [
    "(a+)+$",
    "(a|a)*$",
    "(x+x+)+y",
    ".*a.{900}",
    r"\pL{900}",
    "((a{100}){100}){100}",
    "a{99999}",
    "(" * 5000,
    "[",
    "\x00",
    "(?=a)",
    "",
]
RULES = (
    [
        "self.matches('(a+)+$')",
        "self.matches('.*a.{900}')",
        "self.findAll('a.*b|.').size() > 0",
        "self.replace('', self).size() > 0",
    ]
    + [
        "self.split('').all(a, self.split('').all(b, a == b))",
        "true && " * 3000 + "true",
        "(" * 300 + "true" + ")" * 300,
        "self.x",
        "",
    ]
    + [
        "1/0 == 1",
        "'" + "a" * 90_000 + "' == ''",
        "duration('" + "9" * 400 + "h') > duration('1s')",
        "int('" + "9" * 5000 + "') == 1",
    ]
    + [
        "'%.100000f'.format([1.0]) == ''",
        "lists.range(100000000).size() > 0",
        "0x" + "f" * 5000 + " == 1",
        "1e99999 > 1.0",
        "\x00",
    ]
    + [
        "timestamp('2020-01-01T00:00:00Z').getHours('../../etc/passwd') == 1",
        "quantity('1e999999999').sign() == 1",
        "x" * 100_001,
    ]
    + [
        "self == '\\ud800'",
        "b'\\xff' == b'a'",
        "[[[[[[[[self]]]]]]]].size() == 1",
        "url('http://[').getHost() == ''",
        "semver('1').major() == 1",
    ]
)
COLUMNS = [
    ".a",
    ".a[*]",
    "..",
    "$",
    "{.a}",
    ".a[?(@.b=='c')]",
    ".a[?(@.b=~/(a+)+$/)]",
    f".a[{'9' * 30}]",
    ".a[-1:]",
    ".a[::0]",
    ".a" * 2000,
]
COLUMNS += ["[", "'", "\x00", ".a[*].b[*].c[*]", "", "{", "{range .a[*]}{.b}", ".metadata.annotations.a\\.b"]


@pytest.fixture
def defined(target: Target) -> Any:
    made = Defined(target)
    yield made
    made.remove()


@pytest.mark.parametrize(("schema", "objs"), SCHEMAS.values(), ids=SCHEMAS)
def test_a_schema_of_any_shape_is_taken_or_refused_and_so_are_its_objects(defined: Defined, schema: Any, objs: list[Obj]) -> None:
    if defined.make(schema) == 201:
        for obj in objs:
            defined.create(obj)


@pytest.mark.parametrize("pattern", PATTERNS, ids=[pattern[:20] for pattern in PATTERNS])
def test_a_pattern_that_would_never_end_does(defined: Defined, pattern: str) -> None:
    items = {"type": "array", "items": {"type": "string", "pattern": pattern}}
    if defined.make(spec_of(items)) == 201:
        defined.create({"spec": ["a" * 200_000 + "!"]})
        defined.create({"spec": ["ab" * 500] * 500})


@pytest.mark.parametrize("rule", RULES, ids=[rule[:40] for rule in RULES])
def test_so_does_a_rule(defined: Defined, rule: str) -> None:
    schema = {
        "type": "string",
        "maxLength": 1000,
        "x-kubernetes-validations": [{"rule": rule, "messageExpression": "'no: ' + self"}],
    }
    if defined.make(spec_of(schema)) == 201:
        for text in ("", "a" * 1000, "\x00", "\U0001f600" * 1000):
            defined.create({"spec": text})


@pytest.mark.parametrize("path", COLUMNS, ids=[path[:20] for path in COLUMNS])
def test_a_column_shows_something_or_nothing(defined: Defined, path: str) -> None:
    kinds = ("string", "integer", "date", "number", "boolean")
    if defined.make(ANYTHING, additionalPrinterColumns=[{"name": kind, "type": kind, "jsonPath": path} for kind in kinds]) == 201:
        for value in ([{"b": [{"c": [1] * 9}] * 9}] * 9, {"b": "x"}, "2024-99-99", 1e300, None):
            defined.create({"a": value})


@pytest.mark.parametrize(
    "paths", [(".spec.x", ".status.y"), ("x", "["), (".spec" + ".x" * 2000, ".status.y"), (".spec.x[0]", ".status")]
)
def test_a_scale_of_what_is_no_number_is_answered(defined: Defined, paths: tuple[str, str]) -> None:
    scale = {"specReplicasPath": paths[0], "statusReplicasPath": paths[1]}
    if defined.make(ANYTHING, subresources={"scale": scale}) == 201:
        defined.create({"spec": {"x": "three"}, "status": {"y": []}})


@given(data=st.data())
@examples(40)
def test_a_spoiled_definition_is_taken_or_refused(target: Target, data: st.DataObject) -> None:
    good = next(sample for sample in SAMPLES if sample.kind == "CustomResourceDefinition")
    body, value = data.draw(spoiled(good.object(), most=3)), data.draw(ANY_JSON)
    if target.send("POST", DEFINITIONS, body).status == 201:
        custom = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": value}
        target.send("POST", "/apis/example.com/v1/namespaces/default/widgets", orjson.dumps(custom))
        target.send("GET", "/openapi/v2")
    target.send("DELETE", f"{DEFINITIONS}/widgets.example.com")
