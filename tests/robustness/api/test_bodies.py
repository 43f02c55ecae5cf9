"""Bodies that are no objects: cut off, nested, repeated, of other alphabets; of every media type; to every kind of endpoint."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.robustness.api.conftest import examples
from tests.robustness.api.hostile import PATCH_TYPES
from tests.robustness.api.objects import SAMPLES
from tests.robustness.api.target import Target

from steersman.api.protobuf import objects

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
MANY = 10_000
ENDPOINTS = [
    ("POST", CONFIG_MAPS),
    ("PUT", f"{CONFIG_MAPS}/a"),
    ("DELETE", f"{CONFIG_MAPS}/nobody"),
    ("DELETE", f"{CONFIG_MAPS}?labelSelector=nobody%3Dhas"),
    ("POST", "/api/v1/namespaces/default/pods"),
    ("PUT", "/api/v1/namespaces/default/pods/a/status"),
    ("POST", "/api/v1/namespaces/default/pods/a/eviction"),
    ("POST", "/api/v1/namespaces/default/pods/a/binding"),
    ("POST", "/api/v1/namespaces/default/serviceaccounts/default/token"),
    ("PUT", "/apis/apps/v1/namespaces/default/deployments/a/scale"),
    ("PUT", "/api/v1/namespaces/default/finalize"),
    ("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews"),
    ("POST", "/apis/authentication.k8s.io/v1/tokenreviews"),
    ("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"),
]
MEDIA_TYPES = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
JSON = {
    "nothing": b"",
    "cut off": b'{"metadata":{"name":"a"',
    "null": b"null",
    "list": b"[]",
    "number": b"1",
    "text": b'"x"',
    "NUL": b"\x00",
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "bad UTF-8": b'{"data":{"a":"\xff"}}',
    "surrogate": b'{"data":{"a":"\\ud800"}}',
    "raw surrogate": b'{"data":{"a":"\xed\xa0\x80"}}',
    "NUL in a text": b'{"metadata":{"name":"a\\u0000b"}}',
    "open lists": b"[" * MANY,
    "open maps": b'{"a":' * MANY,
    "nested lists": b"[" * MANY + b"]" * MANY,
    "nested maps": b'{"a":' * MANY + b"1" + b"}" * MANY,
    "infinite": b'{"metadata":{"generation":1e999999}}',
    "many digits": b'{"metadata":{"generation":' + b"9" * 400 + b"}}",
    "minus nothing": b'{"metadata":{"name":"z","generation":-0}}',
    "not a number": b'{"metadata":{"generation":NaN}}',
    "fraction": b'{"metadata":{"generation":1.5}}',
    "keys twice": b'{"metadata":{"name":"a"},"metadata":{"name":"b"}}',
    "a key many times": b'{"metadata":{"name":"a"},' + b",".join([b'"data":{}'] * MANY) + b"}",
    "metadata of null": b'{"metadata":null}',
    "metadata of a list": b'{"metadata":[]}',
    "name of a number": b'{"metadata":{"name":1}}',
    "another kind": b'{"kind":"Pod","apiVersion":"v1"}',
    "no kind at all": b'{"kind":"\\u0000","apiVersion":"a/b/c/d"}',
    "lists for options": b'{"dryRun":true,"preconditions":[],"gracePeriodSeconds":"x","propagationPolicy":{}}',
    "owners of nothing": b'{"metadata":{"name":"z","ownerReferences":[{}],"managedFields":[{"fieldsV1":"x"}]}}',
    "fields of nothing": b'{"metadata":{"name":"z","managedFields":[{"operation":"Apply","fieldsV1":{"f:":{"k:x":[]}}}]}}',
    "a long annotation": b'{"metadata":{"name":"z","annotations":{"a":"' + b"x" * 300_000 + b'"}}}',
    "gzip": b"\x1f\x8b\x08\x00" + b"\x00" * 100,
}
YAML = {
    "billion laughs": b"a: &a ['lol']\n"
    + b"".join(b"%c: &%c [%s]\n" % (98 + n, 98 + n, b",".join([b"*%c" % (97 + n)] * 9)) for n in range(12)),
    "quadratic": b"a: &a " + b"x" * 10_000 + b"\nb: [" + b"*a," * MANY + b"]",
    "itself": b"&a [*a]",
    "itself in a map": b"&a {b: *a}",
    "merge of nothing": b"<<: *x",
    "merge of a text": b"<<: text",
    "merges": b"a: &a {b: 1}\n" + b"".join(b"c%d: {<<: [*a, *a]}\n" % n for n in range(1000)),
    "nested dashes": b"- " * MANY,
    "nested questions": b"? " * MANY,
    "nested braces": b"{a: " * MANY,
    "tags": b"!!python/object:os.system {}",
    "a tag of its own": b"%TAG ! tag:x,2000:\n---\n!foo {}",
    "binary": b"data: {a: !!binary x}",
    "set": b"metadata: !!set {name}",
    "a map as a key": b"{? {a: b}: c}",
    "many digits": b"metadata: {generation: " + b"9" * 5000 + b"}",
    "hexadecimal": b"metadata: {generation: 0x" + b"f" * 5000 + b"}",
    "infinite": b"data: {a: .inf, b: -.inf, c: .nan, d: 1e999999}",
    "many documents": b"---\n" * MANY,
    "tab": b"\t",
    "colons": b"a: b: c",
    "quote": b"'",
    "control": b"a: \x01",
    "an anchor": b"&" + b"a" * 100_000 + b" x",
    "an undefined alias": b"a: *" + b"a" * 1000,
    "a comment": b"#" * 1_000_000,
    "no end of a text": b'a: "' + b"x" * 100_000,
}
PATCHES = {
    "no list": b"{}",
    "no operations": b"[]",
    "an operation of a number": b"[1]",
    "too many": b"[" + b",".join([b'{"op":"test","path":"/kind","value":"x"}'] * 10_001) + b"]",
    "many": b"[" + b",".join(b'{"op":"add","path":"/data/a%d","value":"x"}' % n for n in range(9999)) + b"]",
    "copies of copies": b"[" + b",".join([b'{"op":"copy","from":"/data","path":"/data/a"}'] * 100) + b"]",
    "a deep path": b'[{"op":"add","path":"' + b"/a" * 500_000 + b'","value":1}]',
    "into itself": b'[{"op":"move","from":"/metadata","path":"/metadata/labels"}]',
    "a value of depth": b'[{"op":"add","path":"/data","value":' + b"[" * 5000 + b"]" * 5000 + b"}]",
}
LARGE = {
    "containers": b'{"metadata":{"name":"p"},"spec":{"containers":[' + b",".join([b"{}"] * 70_000) + b"]}}",
    "a million lists": b'{"metadata":{"name":"p"},"x":[' + b",".join([b"[]"] * 1_000_000) + b"]}",
    "owners": b'{"metadata":{"name":"p","ownerReferences":[' + b",".join([b"{}"] * 70_000) + b"]}}",
    "labels": b'{"metadata":{"name":"p","labels":{' + b",".join(b'"k%d":"v"' % n for n in range(140_000)) + b"}}}",
}


@pytest.fixture(scope="module", autouse=True)
def there(target: Target) -> None:
    for sample in SAMPLES:
        if sample.kind in ("ConfigMap", "Pod", "Deployment"):
            assert target.send("POST", sample.url, sample.object()).status == 201


@pytest.mark.parametrize("body", [*JSON.values(), *YAML.values()], ids=[*JSON, *(f"YAML: {name}" for name in YAML)])
def test_a_body_that_is_no_object_is_refused(target: Target, body: bytes) -> None:
    for method, url in ENDPOINTS:
        for media_type in MEDIA_TYPES:
            target.send(method, url, body, media_type)


@pytest.mark.parametrize(
    "body", [*JSON.values(), *YAML.values(), *PATCHES.values()], ids=[*JSON, *(f"YAML: {n}" for n in YAML), *PATCHES]
)
def test_so_is_a_patch_that_is_none(target: Target, body: bytes) -> None:
    for url in (f"{CONFIG_MAPS}/a", "/api/v1/namespaces/default/pods/a", "/api/v1/namespaces/default/pods/a/status"):
        for media_type in (*PATCH_TYPES, "application/apply-patch+cbor", "x", ""):
            target.send("PATCH", f"{url}?fieldManager=m" if "apply" in media_type else url, body, media_type)


@pytest.mark.parametrize("body", LARGE.values(), ids=LARGE)
def test_a_body_of_very_many_parts_is_answered_in_time(target: Target, body: bytes) -> None:
    target.send("POST", "/api/v1/namespaces/default/pods", body)
    target.send("PATCH", f"{CONFIG_MAPS}/a?fieldManager=m", body, "application/apply-patch+yaml")


def test_a_json_patch_has_at_most_ten_thousand_operations(target: Target) -> None:
    answer = target.send("PATCH", f"{CONFIG_MAPS}/a", PATCHES["too many"], "application/json-patch+json")
    assert answer.status == 413
    assert b"The allowed maximum operations in a JSON patch is 10000, got 10001" in answer.body


@pytest.mark.parametrize(
    "media_type", ["", ";", "a/b", "*/*", "application/json;charset=x", "application/xml", "\x00", "application/cbor", None]
)
def test_a_media_type_that_nobody_knows_is_refused(target: Target, media_type: str | None) -> None:
    for method, url in ENDPOINTS:
        target.send(method, url, b"{}", media_type)


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """A good object in protobuf with a few bytes exchanged."""
    sample = draw(st.sampled_from([sample for sample in SAMPLES if sample.kind != "CustomResourceDefinition"]))
    packed = objects.pack(sample.object())
    assert packed is not None
    data = bytearray(packed)
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(data)))
        data[place : place + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(data)


@given(data=_damaged() | st.binary(max_size=60).map(lambda data: b"k8s\x00" + data))
@examples(150)
def test_damaged_protobuf_is_refused(target: Target, data: bytes) -> None:
    for url in (CONFIG_MAPS, "/api/v1/namespaces/default/pods"):
        target.send("POST", url, data, "application/vnd.kubernetes.protobuf")


@pytest.mark.parametrize(
    "data", [b"\x0a\xff\xff\xff\xff\x0f", b"\x12" + b"\x80" * 20, b"\x0a" * 100_000, b"\x13" * MANY, b"\x12\x02\x0a\x00" * MANY]
)
def test_so_is_protobuf_that_says_more_than_there_is(target: Target, data: bytes) -> None:
    target.send("POST", CONFIG_MAPS, b"k8s\x00" + data, "application/vnd.kubernetes.protobuf")
