"""What is wrong with device classes, resource claims and slices, in upstream's words."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from steersman.api.groups.resource_v1 import DEVICE_CLASSES, RESOURCE_CLAIM_TEMPLATES, RESOURCE_CLAIMS, RESOURCE_SLICES
from steersman.api.kinds import KindSpec
from steersman.machinery.meta import Obj

POOL = {"name": "node", "generation": 1, "resourceSliceCount": 1}
SLICE: Obj = {"driver": "gpu.example.com", "nodeName": "node", "pool": POOL}
ONE = {"name": "gpu", "exactly": {"deviceClassName": "gpu"}}
DEVICE = {"driver": "gpu.example.com", "pool": "node", "device": "gpu-0"}
CONSUMER = {"resource": "pods", "name": "p", "uid": "1"}
REQUEST = "spec.devices.requests[0]"
PLACE = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"


def made(kind: KindSpec, spec: Obj) -> Obj:
    obj: Obj = {"kind": kind.kind, "metadata": {"name": "x"}, "spec": copy.deepcopy(spec)}
    kind.default(obj)
    kind.strategy.prepare_create(obj)
    return obj


def found(kind: KindSpec, spec: Obj) -> list[str]:
    return [str(error) for error in kind.strategy.validate_create(made(kind, spec))]


def claim(*requests: Obj, **more: Any) -> Obj:
    return {"devices": {"requests": list(requests), **more}}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (claim(ONE), []),
        (claim({"name": "a"}), [f"{REQUEST}: Required value: exactly one of `exactly` or `firstAvailable` is required"]),
        (claim({"name": "a", "exactly": {}}), [f"{REQUEST}.exactly.deviceClassName: Required value"]),
        (claim(ONE, ONE), ['spec.devices.requests[1].name: Duplicate value: "gpu"']),
        (claim({"name": "a", "exactly": {"deviceClassName": "b", "allocationMode": "All", "count": 2}}), [
            f"{REQUEST}.exactly.count: Invalid value: 2: must not be specified when allocationMode is 'All'"
        ]),
        (claim({"name": "a", "exactly": {"deviceClassName": "b", "count": -1}}), [
            f"{REQUEST}.exactly.count: Invalid value: -1: must be greater than zero"
        ]),
        (claim({"name": "a", "exactly": {"deviceClassName": "b", "selectors": [{}]}}), [
            f"{REQUEST}.exactly.selectors[0].cel: Required value"
        ]),
        (claim({"name": "a", "firstAvailable": [{"name": "b", "deviceClassName": "c"}]}, config=[
            {"requests": ["a", "a/b", "b"], "opaque": {"driver": "d", "parameters": {}}}
        ]), [
            'spec.devices.config[0].requests[2]: Invalid value: "b": must be the name of a request in the claim or the name of a '
            "request and a subrequest separated by '/'"
        ]),
        (claim(ONE, constraints=[{"requests": ["gpu"]}, {"matchAttribute": "gpu.example.com/model"}]), [
            "spec.devices.constraints[0]: Required value: one of `matchAttribute` or `distinctAttribute` must be set"
        ]),
    ],
)  # fmt: skip
def test_a_claim_says_what_it_wants(spec: Obj, expected: list[str]) -> None:
    assert found(RESOURCE_CLAIMS, spec) == expected
    inner = [text.replace("spec.", "spec.spec.", 1) for text in expected]
    assert found(RESOURCE_CLAIM_TEMPLATES, {"spec": spec}) == inner


def test_one_device_is_meant_unless_another_number_is_said() -> None:
    alternatives = {"name": "a", "firstAvailable": [{"name": "b", "deviceClassName": "c", "tolerations": [{"key": "t"}]}]}
    obj = made(RESOURCE_CLAIMS, claim(ONE, alternatives))
    first, second = obj["spec"]["devices"]["requests"]
    assert first["exactly"] == {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 1}
    assert second["firstAvailable"][0]["count"] == 1
    assert second["firstAvailable"][0]["tolerations"] == [{"key": "t", "operator": "Equal"}]


@pytest.mark.parametrize("kind", [RESOURCE_CLAIMS, RESOURCE_CLAIM_TEMPLATES], ids=lambda kind: kind.kind)
def test_what_is_wanted_stays(kind: KindSpec) -> None:
    wrap = (lambda spec: {"spec": spec}) if kind is RESOURCE_CLAIM_TEMPLATES else (lambda spec: spec)
    old, new = made(kind, wrap(claim(ONE))), made(kind, wrap(claim({**ONE, "name": "b"})))
    errors = kind.strategy.validate_update(new, old)
    assert [(error.path, error.detail) for error in errors] == [("spec", "field is immutable")]
    assert kind.strategy.validate_update(copy.deepcopy(old), old) == []


def test_a_class_may_stand_for_an_extended_resource() -> None:
    assert found(DEVICE_CLASSES, {"extendedResourceName": "example.com/gpu"}) == []
    assert found(DEVICE_CLASSES, {"extendedResourceName": "cpu"}) == [
        'spec.extendedResourceName: Invalid value: "cpu": must be a valid extended resource name'
    ]
    assert found(DEVICE_CLASSES, {"config": [{}]}) == ["spec.config[0].opaque: Required value"]


@pytest.mark.parametrize(
    ("status", "stored", "expected"),
    [
        ({"allocation": {"devices": {"results": [{"request": "gpu", **DEVICE}]}}, "reservedFor": [CONSUMER]}, {}, []),
        ({"reservedFor": [CONSUMER]}, {}, ["status.reservedFor: Forbidden: may not be specified when `allocated` is not set"]),
        ({"allocation": {}, "devices": [DEVICE]}, {"allocation": {}}, [
            'status.devices[0]: Invalid value: "gpu.example.com/node/gpu-0": must be an allocated device in the claim'
        ]),
        ({"allocation": {"devices": {"results": [{"request": "other", **DEVICE}]}}}, {}, [
            'status.allocation.devices.results[0].request[0]: Invalid value: "other": must be the name of a request in the claim '
            "or the name of a request and a subrequest separated by '/'"
        ]),
    ],
)  # fmt: skip
def test_the_status_of_a_claim_follows_its_allocation(status: Obj, stored: Obj, expected: list[str]) -> None:
    old = {**made(RESOURCE_CLAIMS, claim(ONE)), "status": stored}
    new = {**copy.deepcopy(old), "status": copy.deepcopy(status)}
    assert [str(error) for error in RESOURCE_CLAIMS.strategy.validate_status_update(new, old)] == expected


def test_an_allocation_goes_as_a_whole_and_takes_what_drivers_said_with_it() -> None:
    given = {"allocation": {"devices": {"results": [{"request": "gpu", **DEVICE}]}}, "devices": [DEVICE]}
    old = {**made(RESOURCE_CLAIMS, claim(ONE)), "status": given}
    changed = {**copy.deepcopy(old), "status": {"allocation": {}}}
    errors = RESOURCE_CLAIMS.strategy.validate_status_update(changed, old)
    assert [(error.path, error.detail) for error in errors] == [("status.allocation", "field is immutable")]
    freed = {**copy.deepcopy(old), "status": {"devices": [DEVICE]}}
    RESOURCE_CLAIMS.strategy.prepare_status_update(freed, old)
    assert freed["status"] == {}
    assert RESOURCE_CLAIMS.strategy.validate_status_update(freed, old) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"nodeName": None}, [f"spec: Required value: {PLACE}"]),
        ({"allNodes": True}, [
            f'spec: Invalid value: "{{`nodeName`, `allNodes`}}": {PLACE}, but multiple fields are set'
        ]),
        ({"pool": {**POOL, "resourceSliceCount": 0}}, [
            "spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero"
        ]),
        ({"devices": [{"name": "a"}, {"name": "a"}]}, ['spec.devices[1].name: Duplicate value: "a"']),
        ({"devices": [{"name": "a", "attributes": {"m": {}, "v": {"version": "1.2.3-rc.1"}}}]}, [
            "spec.devices[0].attributes[m]: Required value: exactly one value must be specified"
        ]),
        ({"devices": [{"name": "a", "attributes": {"v": {"version": "01.2"}}}]}, [
            'spec.devices[0].attributes[v].version: Invalid value: "01.2": must be a string compatible with semver.org spec 2.0.0'
        ]),
        ({"devices": [{"name": "a", "taints": [{"key": "k", "effect": "Never"}]}]}, [
            'spec.devices[0].taints[0].effect: Unsupported value: "Never": supported values: "NoExecute", "NoSchedule", "None"'
        ]),
    ],
)  # fmt: skip
def test_a_slice_says_where_its_devices_are_and_what_they_are(change: Obj, expected: list[str]) -> None:
    assert found(RESOURCE_SLICES, {**SLICE, **change}) == expected


def test_a_slice_belongs_to_its_driver_pool_and_node() -> None:
    old = made(RESOURCE_SLICES, SLICE)
    new = made(RESOURCE_SLICES, {**SLICE, "driver": "b", "nodeName": "other", "pool": {**POOL, "name": "other", "generation": 2}})
    fields = [error.path for error in RESOURCE_SLICES.strategy.validate_update(new, old)]
    assert fields == ["spec.driver", "spec.nodeName", "spec.pool.name"]


def test_fields_behind_gates_that_are_off_are_dropped() -> None:
    device = {"name": "a", "attributes": {"m": {"string": "one", "strings": ["two"]}}, "nodeAllocatableResourceMappings": {}}
    assert made(RESOURCE_SLICES, {**SLICE, "devices": [device]})["spec"]["devices"] == [
        {"name": "a", "attributes": {"m": {"string": "one"}}}
    ]
