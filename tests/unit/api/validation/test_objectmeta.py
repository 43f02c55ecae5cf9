"""Metadata is checked the same way for every kind."""

from __future__ import annotations

from typing import Any

import pytest

from steersman.api.groups import core_v1, rbac_v1
from steersman.api.kinds import KindSpec
from steersman.api.validation.objectmeta import validate, validate_update

SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with "
    "an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
OWNER = {"apiVersion": "v1", "kind": "A", "name": "a", "uid": "u", "controller": True}


@pytest.mark.parametrize(
    ("spec", "meta", "expected"),
    [
        (core_v1.PODS, {}, ["metadata.name: Required value: name or generateName is required"]),
        (core_v1.PODS, {"name": "A"}, [f'metadata.name: Invalid value: "A": {SUBDOMAIN}']),
        (core_v1.PODS, {"name": "a", "generateName": "a-"}, []),
        (core_v1.PODS, {"name": "a", "namespace": ""}, ["metadata.namespace: Required value"]),
        (core_v1.NODES, {"name": "a"}, ["metadata.namespace: Forbidden: not allowed on this type"]),
        (core_v1.SERVICES, {"name": "a.b"}, ['metadata.name: Invalid value: "a.b": must not contain dots']),
        (rbac_v1.ROLES, {"name": "system:a"}, []),
        (rbac_v1.ROLES, {"name": "a/b"}, ["metadata.name: Invalid value: \"a/b\": may not contain '/'"]),
        (core_v1.PODS, {"name": "a", "labels": {"a/": "b"}, "annotations": {"A_b/c": "x"}}, [
            'metadata.labels: Invalid value: "a/": name part must be non-empty',
            "metadata.labels: Invalid value: \"a/\": name part must consist of alphanumeric characters, '-', '_' or '.', and "
            "must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
            "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            f'metadata.annotations: Invalid value: "A_b/c": prefix part {SUBDOMAIN}',
        ]),
        (core_v1.PODS, {"name": "a", "annotations": {"a": "x" * 262144}}, [
            "metadata.annotations: Too long: may not be more than 262144 bytes"
        ]),
        (core_v1.PODS, {"name": "a", "ownerReferences": [OWNER | {"uid": ""}, OWNER | {"name": "b"}]}, [
            'metadata.ownerReferences.uid: Invalid value: "": must not be empty',
            'metadata.ownerReferences: Invalid value: [{"apiVersion":"v1","kind":"A","name":"a","uid":"","controller":true},'
            '{"apiVersion":"v1","kind":"A","name":"b","uid":"u","controller":true}]: Only one reference can have Controller set '
            'to true. Found "true" in references for A/a and A/b',
        ]),
        (core_v1.PODS, {"name": "a", "finalizers": ["mine", "acme.com/mine", "orphan", "foregroundDeletion"]}, [
            'metadata.finalizers: Invalid value: "mine": name is neither a standard finalizer name nor is it fully qualified',
            'metadata.finalizers: Invalid value: ["mine","acme.com/mine","orphan","foregroundDeletion"]: '
            "finalizer orphan and foregroundDeletion cannot be both set",
        ]),
    ],
)  # fmt: skip
def test_new_objects(spec: KindSpec, meta: dict[str, Any], expected: list[str]) -> None:
    obj = {"metadata": {"namespace": "default", **meta}}
    assert [str(error) for error in validate(obj, spec)] == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {}, []),
        ({}, {"labels": {"a": "b"}, "finalizers": ["a.com/b"]}, []),
        ({}, {"labels": {"a": "-"}}, [
            "metadata.labels: Invalid value: \"-\": a valid label must be an empty string or consist of alphanumeric characters, "
            "'-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "
            "'12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        ]),
        ({"uid": "a"}, {"uid": "b"}, ['metadata.uid: Invalid value: "b": field is immutable']),
        ({"deletionTimestamp": "t"}, {"deletionTimestamp": "t", "finalizers": ["x.y/b", "x.y/a"]}, [
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers "
            '[]string{"x.y/a", "x.y/b"}'
        ]),
    ],
)  # fmt: skip
def test_updates(old: dict[str, Any], new: dict[str, Any], expected: list[str]) -> None:
    assert [str(error) for error in validate_update({"metadata": new}, {"metadata": old})] == expected
