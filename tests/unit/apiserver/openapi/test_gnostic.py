"""The protobuf forms of the OpenAPI documents, read back with a reader of their own and compared with JSON."""

from __future__ import annotations

import struct
from typing import Any, TypeAlias

import orjson
import pytest

from steersman.api.groups import BUILTIN
from steersman.apiserver import openapi

Message: TypeAlias = "dict[int, list[Any]]"

# Field number -> JSON key.
_SCHEMA_2 = {
    1: "$ref", 2: "format", 4: "description", 5: "default", 7: "maximum", 11: "maxLength", 19: "required", 20: "enum",
    21: "additionalProperties", 22: "type", 23: "items", 25: "properties",
}  # fmt: skip
_SCHEMA_3 = {
    1: "nullable", 23: "required", 24: "enum", 25: "type", 26: "allOf", 27: "oneOf", 30: "items", 31: "properties",
    32: "additionalProperties", 33: "default", 34: "description", 35: "format",
}  # fmt: skip


def _read(data: bytes) -> Message:
    """Field number -> values: numbers, or bytes."""
    found: Message = {}
    place = 0

    def varint() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = data[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while place < len(data):
        tag = varint()
        value: Any
        if tag & 7 == 0:
            value = varint()
        elif tag & 7 == 1:
            (value,) = struct.unpack_from("<d", data, place)
            place += 8
        else:
            assert tag & 7 == 2
            size = varint()
            assert place + size <= len(data)
            value = data[place : place + size]
            place += size
        found.setdefault(tag >> 3, []).append(value)
    return found


def _inner(data: bytes, *numbers: int) -> bytes:
    """The bytes at the end of a path of messages that have one field each."""
    for number in numbers:
        ((key, (data,)),) = _read(data).items()
        assert key == number
    return data


def _pairs(data: bytes, number: int = 1) -> dict[str, bytes]:
    pairs = [_read(pair) for pair in _read(data).get(number, [])]
    return {pair[1][0].decode(): pair[2][0] for pair in pairs}


def _schema_2(data: bytes) -> Any:
    made: dict[str, Any] = {}
    for number, values in _read(data).items():
        if number == 31:
            made |= {pair[1][0].decode(): orjson.loads(_inner(pair[2][0], 2)) for pair in map(_read, values)}
            continue
        key, value = _SCHEMA_2[number], values[0]
        if key == "properties":
            made[key] = {name: _schema_2(item) for name, item in _pairs(value).items()}
        elif key == "items":
            made[key] = _schema_2(_inner(value, 1))
        elif key == "additionalProperties":
            ((kind, (inner,)),) = _read(value).items()
            made[key] = _schema_2(inner) if kind == 1 else bool(inner)
        elif key == "type":
            made[key] = _inner(value, 1).decode()
        elif key in ("default", "enum"):
            texts = [orjson.loads(_inner(item, 2)) for item in values]
            made[key] = texts if key == "enum" else texts[0]
        else:
            made[key] = [text.decode() for text in values] if key == "required" else _scalar(value)
    return made


def _schema_3(data: bytes) -> Any:
    ((kind, (data,)),) = _read(data).items()
    if kind == 2:
        return {"$ref": _inner(data, 1).decode()}
    made: dict[str, Any] = {}
    for number, values in _read(data).items():
        if number == 36:
            made |= {pair[1][0].decode(): orjson.loads(_inner(pair[2][0], 2)) for pair in map(_read, values)}
            continue
        key, value = _SCHEMA_3[number], values[0]
        if key == "properties":
            made[key] = {name: _schema_3(item) for name, item in _pairs(value).items()}
        elif key in ("allOf", "oneOf"):
            made[key] = [_schema_3(item) for item in values]
        elif key in ("items", "additionalProperties"):
            made[key] = _schema_3(_inner(value, 1))
        elif key == "default":
            ((_, (held,)),) = _read(value).items()
            made[key] = _scalar(held)
        else:
            made[key] = [text.decode() for text in values] if key == "required" else _scalar(value)
    return made


def _scalar(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def test_every_definition_of_v2_reads_back_as_json_has_it() -> None:
    document = openapi.v2(BUILTIN, "v1.36.0")
    message = _read(openapi.gnostic_v2.encode(document))
    assert message[1] == [b"2.0"]
    assert _read(message[2][0]) == {1: [b"Kubernetes"], 2: [b"v1.36.0"]}
    assert {name: _schema_2(data) for name, data in _pairs(message[9][0]).items()} == document["definitions"]


def test_paths_of_v2_read_back() -> None:
    document = openapi.v2(BUILTIN, "v1.36.0")
    paths = _pairs(_read(openapi.gnostic_v2.encode(document))[8][0], 2)
    assert list(paths) == list(document["paths"])
    pods = document["paths"]["/api/v1/namespaces/{namespace}/pods"]
    message = _read(paths["/api/v1/namespaces/{namespace}/pods"])
    assert set(message) == {2, 4, 5, 9}  # get, post, delete, parameters
    post = _read(message[4][0])
    assert post[5] == [pods["post"]["operationId"].encode()]
    assert [text.decode() for text in post[7]] == pods["post"]["consumes"]
    body = _read(_inner(post[8][0], 1, 1))
    assert (body[3], body[4], _schema_2(body[5][0])) == ([b"body"], [1], pods["post"]["parameters"][0]["schema"])
    query = _read(_inner(post[8][1], 1, 2, 3))
    assert (query[2], query[4], query[6], query[20]) == ([b"query"], [b"dryRun"], [b"string"], [1])
    in_path = _read(_inner(message[9][0], 1, 2, 4))
    assert (in_path[1], in_path[2], in_path[4]) == ([1], [b"path"], [b"namespace"])
    responses = _pairs(post[9][0])
    assert set(responses) == set(pods["post"]["responses"])
    created = _read(_inner(responses["201"], 1))
    assert _schema_2(_inner(created[2][0], 1)) == pods["post"]["responses"]["201"]["schema"]
    extensions = _pairs(message[4][0], 13)
    assert orjson.loads(_inner(extensions["x-kubernetes-action"], 2)) == "post"


def test_v3_reads_back() -> None:
    document = openapi.v3(BUILTIN, "apps", "v1", "v1.36.0")
    assert document is not None
    message = _read(openapi.gnostic_v3.encode(document))
    schemas = _pairs(_read(message[5][0])[1][0])
    assert {name: _schema_3(data) for name, data in schemas.items()} == document["components"]["schemas"]
    patch = _read(_read(_pairs(message[4][0])["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"])[10][0])
    contents = _pairs(_read(_inner(patch[7][0], 1))[2][0])
    assert "application/strategic-merge-patch+json" in contents
    ok = _pairs(_read(_inner(_pairs(patch[8][0], 2)["200"], 1))[3][0])["application/json"]
    assert _schema_3(_inner(ok, 1)) == {"$ref": "#/components/schemas/io.k8s.api.apps.v1.Deployment"}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"additionalProperties": False}, {"additionalProperties": False}),
        ({"additionalProperties": {}}, {"additionalProperties": {}}),
        ({"enum": ["a", 1, None], "default": {}, "x-kubernetes-int-or-string": True}, None),
        ({"maximum": 2.5, "maxLength": 300}, None),
        # As proto3 has it, a zero can't be told from nothing.
        ({"maximum": 0, "maxLength": 0, "description": ""}, {}),
    ],
)
def test_what_custom_resources_may_say(schema: Any, expected: Any) -> None:
    encoded = openapi.gnostic_v2.encode({"definitions": {"Foo": schema}})
    assert _schema_2(_pairs(_read(encoded)[9][0])["Foo"]) == (schema if expected is None else expected)
