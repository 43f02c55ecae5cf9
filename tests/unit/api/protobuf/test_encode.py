"""Encoding: every definition of the facts goes there and back; the bytes themselves are tested in test_decode."""

from __future__ import annotations

from typing import Any

import pytest

from steersman.api.protobuf import facts
from steersman.api.protobuf.decode import decode
from steersman.api.protobuf.encode import encode
from steersman.api.protobuf.objects import pack, watch_frame
from steersman.api.schema.loader import Type, schema

_VALUES: dict[str, Any] = {
    "string": "text",
    "boolean": True,
    "int32": -7,
    "int64": 1 << 40,
    "integer": 3,
    "double": 0.5,
    "bytes": "AP8=",
    "time": "2024-01-02T03:04:05Z",
    "micro-time": "2024-01-02T03:04:05.000006Z",
    "quantity": "100m",
    "int-or-string": "50%",
    "raw": {"a": [1, None]},
    "any": [1, {"a": "b"}],
    "either": {"type": "string"},
}


def filled(kind: Type, depth: int) -> Any:
    """A value of a type with everything in it that has a number."""
    if kind.item is not None:
        return [filled(kind.item, depth)] * 2 if kind.kind == "list" else {"key": filled(kind.item, depth)}
    if kind.kind != "ref":
        return _VALUES[kind.kind]
    return {found.field.name: filled(found.field.type, depth - 1) for found in facts.numbered(kind.ref)} if depth else {}


@pytest.mark.parametrize("name", [name for name in schema().names() if facts.known(name)])
def test_there_and_back(name: str) -> None:
    obj = filled(Type("ref", ref=name), 3)
    assert decode(name, encode(name, obj)) == obj


PROPS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"


@pytest.mark.parametrize(
    ("schema", "data"),
    [
        ({"additionalProperties": True}, b"\xf2\x01\x02\x08\x01"),
        ({"additionalProperties": False}, b"\xf2\x01\x02\x08\x00"),
        ({"additionalProperties": {"type": "a"}}, b"\xf2\x01\x07\x12\x03\x2a\x01a\x08\x01"),
        ({"items": {"type": "a"}}, b"\xc2\x01\x05\x0a\x03\x2a\x01a"),
        ({"items": [{"type": "a"}, {}]}, b"\xc2\x01\x07\x12\x03\x2a\x01a\x12\x00"),
        ({"dependencies": {"x": ["y"]}}, b"\x82\x02\x08\x0a\x01x\x12\x03\x12\x01y"),
        ({"default": {"a": 1.5}}, b'\x42\x0b\x0a\x09{"a":1.5}'),
        ({"enum": ["a", None, 1]}, b'\xa2\x01\x05\x0a\x03"a"\xa2\x01\x06\x0a\x04null\xa2\x01\x03\x0a\x011'),
        (
            {"minimum": 0.0, "minLength": 0, "x-kubernetes-preserve-unknown-fields": False},
            b"\x59" + b"\0" * 8 + b"\x70\0\xb0\x02\0",
        ),
    ],
)
def test_what_is_one_of_two_things_in_a_schema(schema: Any, data: bytes) -> None:
    assert encode(PROPS, schema) == data and decode(PROPS, data) == schema


def test_every_number_is_used_once() -> None:
    for name in filter(facts.known, schema().names()):
        places = [(*found.embedded, found.number) for found in facts.numbered(name)]
        assert len(places) == len(set(places)), name


def test_kinds_without_numbers_have_no_wire_form() -> None:
    assert pack({"apiVersion": "example.com/v1", "kind": "Widget"}) is None


def test_a_watch_event_has_its_length_in_front_and_an_enveloped_object_in_it() -> None:
    frame = watch_frame("ADDED", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}})
    envelope = b"k8s\x00\x0a\x09\x0a\x02v1\x12\x03Pod\x12\x05\x0a\x03\x0a\x01a\x1a\x00\x22\x00"
    assert frame == b"\x00\x00\x00\x25\x0a\x05ADDED\x12\x1c\x0a\x1a" + envelope
