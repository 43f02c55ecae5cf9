"""What is wrong with classes of storage, CSI objects and attachments, in upstream's words."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from steersman.api.groups import storage_v1 as group
from steersman.api.kinds import KindSpec
from steersman.machinery.meta import Obj

Change = Callable[[Obj], object]
PROVISIONED = {"provisioner": "example.com/disk"}
ATTACHMENT: Obj = {"attacher": "example.com", "nodeName": "n", "source": {"persistentVolumeName": "v"}}
ATTRIBUTES: Obj = {"driverName": "example.com", "parameters": {"a": "b"}}
KEY = "failure-domain.beta.kubernetes.io/zone"


def made(kind: KindSpec, fields: Obj) -> Obj:
    obj: Obj = {"kind": kind.kind, "metadata": {"name": "example.com"}, **copy.deepcopy(fields)}
    kind.default(obj)
    kind.strategy.prepare_create(obj)
    return obj


def driver(**fields: Any) -> Obj:
    return {"spec": {"drivers": [{"name": "a.b", "nodeID": "n", **fields}]}}


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        (group.STORAGE_CLASSES, PROVISIONED, []),
        (group.STORAGE_CLASSES, {}, ["provisioner: Required value"]),
        (group.STORAGE_CLASSES, PROVISIONED | {"parameters": {"": "x"}}, [
            'parameters: Invalid value: "": field can not be empty.'
        ]),
        (group.STORAGE_CLASSES, PROVISIONED | {"reclaimPolicy": "Keep", "volumeBindingMode": "Late"}, [
            'reclaimPolicy: Unsupported value: "Keep": supported values: "Delete", "Retain"',
            'volumeBindingMode: Unsupported value: "Late": supported values: "Immediate", "WaitForFirstConsumer"',
        ]),
        (group.STORAGE_CLASSES, PROVISIONED | {"allowedTopologies": [{"matchLabelExpressions": [{"key": "z", "values": v}]}
                                                                     for v in (["a", "b"], ["b", "a"])]}, [
            'allowedTopologies[1].matchLabelExpressions: Duplicate value: ""'
        ]),
        (group.VOLUME_ATTRIBUTES_CLASSES, ATTRIBUTES, []),
        (group.VOLUME_ATTRIBUTES_CLASSES, {"driverName": "a b"}, [
            "driverName: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must "
            "start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
            "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            "parameters: Required value: must contain at least one key/value pair",
        ]),
        (group.VOLUME_ATTACHMENTS, {"spec": ATTACHMENT}, []),
        (group.VOLUME_ATTACHMENTS, {"spec": {**ATTACHMENT, "attacher": "", "source": {}}}, [
            "spec.attacher: Required value",
            "spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName",
        ]),
        (group.VOLUME_ATTACHMENTS, {"spec": {**ATTACHMENT, "source": {"persistentVolumeName": "v", "inlineVolumeSpec": {}}}}, [
            "spec.source: Forbidden: must specify exactly one of inlineVolumeSpec and persistentVolumeName"
        ]),
        (group.CSI_DRIVERS, {"spec": {}}, []),
        (group.CSI_DRIVERS, {"spec": {"tokenRequests": [{"audience": "a", "expirationSeconds": 5}, {"audience": "a"}]}}, [
            "spec.tokenRequests[0].expirationSeconds: Invalid value: 5: may not specify a duration less than 10 minutes",
            'spec.tokenRequests[1].audience: Duplicate value: "a"',
        ]),
        (group.CSI_DRIVERS, {"spec": {"fsGroupPolicy": "Any", "nodeAllocatableUpdatePeriodSeconds": 9}}, [
            'spec.fsGroupPolicy: Unsupported value: "Any": supported values: "File", "None", "ReadWriteOnceWithFSType"',
            "spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 seconds",
        ]),
        (group.CSI_NODES, driver(allocatable={"count": 5}, topologyKeys=["a", "b"]), []),
        (group.CSI_NODES, driver(nodeID="", allocatable={"count": -1}, topologyKeys=["a", "a"]), [
            "spec.drivers[0].nodeID: Required value",
            "spec.drivers[0].allocatable.count: Invalid value: -1: must be greater than or equal to 0",
            'spec.drivers[0].topologyKeys: Duplicate value: "a"',
        ]),
        (group.CSI_STORAGE_CAPACITIES, {"storageClassName": "a", "capacity": "-1"}, [
            'capacity: Invalid value: "-1": must be greater than or equal to 0'
        ]),
    ],
)  # fmt: skip
def test_storage_that_cannot_be_is_refused(kind: KindSpec, fields: Obj, expected: list[str]) -> None:
    assert [str(error) for error in kind.strategy.validate_create(made(kind, fields))] == expected


@pytest.mark.parametrize(
    ("kind", "fields", "change", "expected"),
    [
        (group.STORAGE_CLASSES, PROVISIONED, lambda new: new.update(allowVolumeExpansion=True, mountOptions=["ro"]), []),
        (group.STORAGE_CLASSES, PROVISIONED, lambda new: new.update(
            parameters={"a": "b"}, provisioner="other", reclaimPolicy="Retain", volumeBindingMode="WaitForFirstConsumer"), [
            "parameters: Forbidden: updates to parameters are forbidden.",
            "provisioner: Forbidden: updates to provisioner are forbidden.",
            "reclaimPolicy: Forbidden: updates to reclaimPolicy are forbidden.",
            'volumeBindingMode: Invalid value: "WaitForFirstConsumer": field is immutable',
        ]),
        (group.VOLUME_ATTRIBUTES_CLASSES, ATTRIBUTES, lambda new: new.update(driverName="x", parameters={}), [
            "driverName: Forbidden: updates to driverName are forbidden.",
            "parameters: Forbidden: updates to parameters are forbidden.",
        ]),
        (group.VOLUME_ATTACHMENTS, {"spec": ATTACHMENT}, lambda new: new["spec"].update(nodeName="m"), [
            'spec: Invalid value: {"attacher":"example.com","nodeName":"m","source":{"persistentVolumeName":"v"}}: '
            "field is immutable"
        ]),
        (group.CSI_DRIVERS, {"spec": {}}, lambda new: new["spec"].update(podInfoOnMount=True), []),
        (group.CSI_DRIVERS, {"spec": {}}, lambda new: new["spec"].update(attachRequired=False), [
            "spec.attachedRequired: Invalid value: false: field is immutable"
        ]),
        (group.CSI_NODES, driver(), lambda new: new["spec"]["drivers"][0].update(allocatable={"count": 3}), []),
        (group.CSI_NODES, driver(), lambda new: new["spec"]["drivers"][0].update(nodeID="m"), [
            'spec.drivers: Invalid value: {"name":"a.b","nodeID":"m"}: field is immutable'
        ]),
        (group.CSI_STORAGE_CAPACITIES, {"storageClassName": "a"}, lambda new: new.update(storageClassName="b"), [
            'storageClassName: Invalid value: "b": field is immutable'
        ]),
    ],
)  # fmt: skip
def test_storage_in_use_keeps_its_promises(kind: KindSpec, fields: Obj, change: Change, expected: list[str]) -> None:
    old = made(kind, fields)
    new = copy.deepcopy(old)
    change(new)
    assert [str(error) for error in kind.strategy.validate_update(new, old)] == expected


def test_drivers_have_defaults_and_no_fields_that_are_switched_off() -> None:
    spec = made(group.CSI_DRIVERS, {"spec": {"preventPodSchedulingIfMissing": True}})["spec"]
    assert spec == {
        "attachRequired": True, "podInfoOnMount": False, "storageCapacity": False, "requiresRepublish": False,
        "seLinuxMount": False, "fsGroupPolicy": "ReadWriteOnceWithFSType", "volumeLifecycleModes": ["Persistent"],
    }  # fmt: skip


def test_old_names_of_zones_are_warned_of() -> None:
    topologies = [{"matchLabelExpressions": [{"key": KEY, "values": ["a"]}]}]
    warnings = group.STORAGE_CLASSES.strategy.warnings
    assert warnings is not None and warnings({"allowedTopologies": topologies}, None) == [
        'allowedTopologies[0].matchLabelExpressions[0].key: deprecated since v1.17; use "topology.kubernetes.io/zone" instead'
    ]
