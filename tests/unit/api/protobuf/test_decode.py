"""Decoding, against byte vectors written by hand: field numbers are upstream's, so these bytes are what its clients send."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersman.api.protobuf.decode import decode
from steersman.api.protobuf.envelope import Envelope, pack, unpack
from steersman.api.protobuf.wire import Malformed

CORE = "io.k8s.api.core.v1."
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
POD, SECRET = CORE + "Pod", CORE + "Secret"
SCHEMA = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"


def field(number: int, payload: bytes | str | int) -> bytes:
    """One field with a one-byte tag or two, and a value shorter than 128."""
    tag = number << 3 | (0 if isinstance(payload, int) else 2)
    head = bytes([tag]) if tag < 128 else bytes([tag & 127 | 128, tag >> 7])
    if isinstance(payload, int):
        return head + bytes([payload])
    data = payload.encode() if isinstance(payload, str) else payload
    return head + bytes([len(data)]) + data


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        pytest.param(
            META + "ObjectMeta", field(1, "web") + field(3, "default"), {"name": "web", "namespace": "default"}, id="texts"
        ),
        pytest.param(META + "ObjectMeta", field(1, "web") + field(2, "") + field(7, 0), {"name": "web"}, id="plain zeros go"),
        pytest.param(META + "ObjectMeta", field(8, b""), {}, id="the zero time is nothing"),
        pytest.param(
            META + "ObjectMeta",
            b"\x42\x08\x08\x80\x94\xeb\xdc\x03\x10\x00",
            {"creationTimestamp": "2001-09-09T01:46:40Z"},
            id="time",
        ),
        pytest.param(META + "ObjectMeta", field(11, field(1, "a") + field(2, "b")), {"labels": {"a": "b"}}, id="map"),
        pytest.param(META + "ObjectMeta", field(11, field(2, "b")), {"labels": {"": "b"}}, id="map without a key"),
        pytest.param(META + "ObjectMeta", field(14, "x") + field(14, "y"), {"finalizers": ["x", "y"]}, id="list"),
        pytest.param(
            META + "OwnerReference",
            field(6, 0) + field(7, 1),
            {"controller": False, "blockOwnerDeletion": True},
            id="pointers keep false",
        ),
        pytest.param(
            META + "ManagedFieldsEntry", field(7, field(1, '{"f:a":{}}')), {"fieldsV1": {"f:a": {}}}, id="managed fields"
        ),
        pytest.param("io.k8s.api.apps.v1.DeploymentSpec", field(1, 0), {"replicas": 0}, id="no replicas"),
        pytest.param("io.k8s.api.apps.v1.DeploymentSpec", field(5, 0) + field(7, 0), {}, id="plain numbers and booleans go"),
        pytest.param(
            CORE + "PodSpec",
            field(4, 0) + field(16, "") + field(30, 0) + field(11, 0),
            {"terminationGracePeriodSeconds": 0, "enableServiceLinks": False},
            id="pod's zeros",
        ),
        pytest.param(
            CORE + "PodSpec", b"\xc8\x01" + b"\xff" * 9 + b"\x01", {"priority": -1}, id="negative numbers have ten bytes"
        ),
        pytest.param(
            CORE + "EmptyDirVolumeSource", field(1, "") + field(2, field(1, "1Gi")), {"sizeLimit": "1Gi"}, id="quantity"
        ),
        pytest.param(CORE + "ServicePort", field(4, field(1, 0) + field(2, 80) + field(3, "")), {"targetPort": 80}, id="number"),
        pytest.param(
            CORE + "ServicePort", field(4, field(1, 1) + field(2, 0) + field(3, "http")), {"targetPort": "http"}, id="or string"
        ),
        pytest.param(SECRET, field(2, field(1, "k") + field(2, b"\x00\xff")), {"data": {"k": "AP8="}}, id="bytes are base64"),
        pytest.param(
            CORE + "Volume", field(1, "v") + field(2, field(2, b"")), {"name": "v", "emptyDir": {}}, id="flattened messages"
        ),
        pytest.param(
            "io.k8s.api.authentication.v1.UserInfo",
            field(4, field(1, "scopes") + field(2, field(1, "a") + field(1, "b"))),
            {"extra": {"scopes": ["a", "b"]}},
            id="lists in maps",
        ),
        pytest.param(
            "io.k8s.api.coordination.v1.LeaseSpec",
            field(4, b"\x08\x80\x94\xeb\xdc\x03\x10\x80\x94\xef\x3a"),
            {"renewTime": "2001-09-09T01:46:40.123456Z"},
            id="micro time",
        ),
        pytest.param("io.k8s.api.apps.v1.ControllerRevision", field(2, field(1, '{"a":1}')), {"data": {"a": 1}}, id="raw"),
        pytest.param(
            CORE + "PodSecurityContext", field(4, 1) + field(4, 2), {"supplementalGroups": [1, 2]}, id="numbers one by one"
        ),
        pytest.param(CORE + "PodSecurityContext", field(4, b"\x01\x02"), {"supplementalGroups": [1, 2]}, id="numbers packed"),
        pytest.param(
            POD, field(1, field(1, "a")) + field(1, field(3, "b")), {"metadata": {"name": "a", "namespace": "b"}}, id="merge"
        ),
        pytest.param(POD, b"\xfa\x07\x02hi" + b"\xf8\x07\x05" + b"\xfb\x07\x08\x01\xfc\x07", {}, id="unknown fields"),
        pytest.param(
            SCHEMA,
            b"\x59" + struct.pack("<d", 0) + b"\x49" + struct.pack("<d", 1.5),
            {"minimum": 0, "maximum": 1.5},
            id="doubles",
        ),
        pytest.param(META + "ObjectMeta", field(1, b"\xff"), {"name": "\N{REPLACEMENT CHARACTER}"}, id="not UTF-8"),
    ],
)
def test_decode(name: str, data: bytes, expected: object) -> None:
    decoded = decode(name, data)
    assert decoded == expected
    assert repr(decoded) == repr(expected), "1 is no 1.0"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x0a\x05\x0a", "unexpected EOF"),
        (b"\x0a", "unexpected EOF"),
        (b"\x0a\x03\x0a\x7f\x00", "unexpected EOF"),
        (b"\xfa\x07\x7fx", "unexpected EOF"),
        (b"\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", "proto: integer overflow"),
        (b"\x08\x01", "proto: wrong wireType = 0 for field Metadata"),
        (b"\x02\x00", "proto: illegal tag 0 (wire type 2)"),
        (b"\xfc\x07", "proto: unexpected end of group"),
        (b"\xff\x07", "proto: illegal wireType 7"),
        (b"\x1a\x0c\x3a\x0a\x08" + b"\xff" * 8 + b"\x7f", "Time.MarshalJSON: year outside of range [0,9999]"),
    ],
    ids=lambda value: value.hex() if isinstance(value, bytes) else "",
)
def test_malformed_messages_are_told(data: bytes, text: str) -> None:
    with pytest.raises(Malformed) as caught:
        decode(POD, data)
    assert str(caught.value) == text


def test_the_envelope() -> None:
    body = b"k8s\x00\x0a\x09" + field(1, "v1") + field(2, "Pod") + field(2, b"\x0a\x00") + b"\x1a\x00\x22\x00"
    assert unpack(body) == Envelope("v1", "Pod", b"\x0a\x00")
    assert pack("v1", "Pod", b"\x0a\x00") == body


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "empty data"),
        (b"{}", "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"),
        (b"k8s\x00", "empty body"),
        (b"k8s\x00\x0a\x7f", "unexpected EOF"),
    ],
)
def test_what_is_no_envelope(body: bytes, text: str) -> None:
    with pytest.raises(Malformed) as caught:
        unpack(body)
    assert str(caught.value) == text


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_malformed(data: bytes) -> None:
    for name in (POD, SECRET, META + "Status", "io.k8s.api.coordination.v1.Lease"):
        try:
            decode(name, data)
        except Malformed:
            continue


@given(st.binary(max_size=60), st.integers(min_value=1, max_value=43))
def test_damaged_specs_are_an_object_or_malformed(data: bytes, number: int) -> None:
    try:
        decode(POD, field(2, field(number, data)))
        unpack(b"k8s\x00" + data)
    except Malformed:
        return
