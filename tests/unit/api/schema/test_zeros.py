"""Zero values: what is left out, what stays, what is always there."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest

from steersman.api.decode import decode
from steersman.api.groups import BUILTIN
from steersman.api.schema import zeros
from steersman.api.schema.checker import checker
from steersman.api.schema.loader import PREFIX
from steersman.machinery.meta import Obj

POD, DEPLOYMENT, NODE = f"{PREFIX}api.core.v1.Pod", f"{PREFIX}api.apps.v1.Deployment", f"{PREFIX}api.core.v1.Node"
SPECS = {spec.kind: spec for spec in BUILTIN}


def dropped(obj: Any, name: str) -> Any:
    left = copy.deepcopy(obj)
    zeros.drop(left, name)
    return left


@pytest.mark.parametrize(
    ("spec", "left"),
    [
        ({"hostNetwork": False, "nodeName": "", "nodeSelector": {}, "tolerations": []}, {}),
        ({"hostNetwork": True, "nodeSelector": {"a": ""}}, {"hostNetwork": True, "nodeSelector": {"a": ""}}),
        # Pointers: what is said is kept, and means something else than nothing.
        ({"enableServiceLinks": False, "hostUsers": False, "priority": 0}, ...),
        ({"securityContext": {}, "affinity": {"nodeAffinity": {}}, "volumes": [{"name": "v", "emptyDir": {}}]}, ...),
        (
            {"containers": [{"name": "", "env": [{"name": "A", "value": ""}]}]},
            {"containers": [{"name": "", "env": [{"name": "A"}]}]},
        ),
        ({"containers": []}, ...),
        (
            {
                "containers": [
                    {"name": "c", "resources": {"limits": {}}, "securityContext": {"privileged": False, "runAsUser": 0}}
                ]
            },
            {"containers": [{"name": "c", "resources": {}, "securityContext": {"privileged": False, "runAsUser": 0}}]},
        ),
        (
            {"containers": [{"name": "c", "readinessProbe": {"initialDelaySeconds": 0, "httpGet": {"port": 0, "path": ""}}}]},
            {"containers": [{"name": "c", "readinessProbe": {"httpGet": {"port": 0}}}]},
        ),
    ],
)
def test_plain_fields_that_are_zero_go_and_pointers_stay(spec: Any, left: Any) -> None:
    pod = {"kind": "Pod", "apiVersion": "v1", "spec": spec}
    assert dropped(pod, POD)["spec"] == (spec if left is ... else left)


def test_a_field_that_is_always_written_stays_empty() -> None:
    role = {"metadata": {"name": "r", "labels": {}}, "rules": []}
    assert dropped(role, f"{PREFIX}api.rbac.v1.Role") == {"metadata": {"name": "r"}, "rules": []}


@pytest.mark.parametrize(
    ("spec", "tight"),
    [
        ({"containers": [{"name": "c", "resources": {}}], "volumes": [{"name": "v", "emptyDir": {}}], "priority": 0}, True),
        ({"hostNetwork": True, "tolerations": [{"operator": "Exists", "tolerationSeconds": 0}]}, True),
        ({"hostNetwork": False}, False),
        ({"nodeName": ""}, False),
        ({"nodeSelector": {}}, False),
        ({"tolerations": []}, False),
        ({"containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 0}]}]}, False),
    ],
)
def test_the_tight_check_takes_only_what_needs_no_dropping(spec: Any, tight: bool) -> None:
    obj = {"kind": "Pod", "apiVersion": "v1", "spec": spec}
    check, body = checker(POD), orjson.dumps(obj)
    assert check.accepts_json(body)
    assert check.accepts_tight_json(body) is tight
    assert (dropped(obj, POD) == obj) is tight


def test_a_condition_always_has_a_type_and_a_status() -> None:
    """Else whoever looks for one by its type, in any component, would stumble over another."""
    node: Obj = {"kind": "Node", "apiVersion": "v1", "status": {"conditions": [{"message": "x"}, {}, {"type": "Ready"}]}}
    check, body = checker(NODE), orjson.dumps(node)
    assert check.accepts_json(body) and not check.accepts_tight_json(body)
    decoded, _ = decode(body, "application/json", SPECS["Node"])
    whole = [
        {"type": "", "status": "", "message": "x"},
        {"type": "", "status": ""},
        {"type": "Ready", "status": ""},
    ]
    assert decoded["status"]["conditions"] == whole
    node["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    assert check.accepts_tight_json(orjson.dumps(node)) and dropped(node, NODE) == node


def test_what_is_sent_as_zero_or_not_at_all_is_the_same_object() -> None:
    bare: Obj = {
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    }
    wordy = copy.deepcopy(bare)
    wordy["metadata"] |= {"annotations": {}, "creationTimestamp": None}
    wordy["spec"] |= {"paused": False, "minReadySeconds": 0, "strategy": {}}
    wordy["spec"]["template"]["spec"] |= {"hostPID": False, "nodeSelector": {}, "serviceAccountName": ""}
    wordy["status"] = None
    spec = SPECS["Deployment"]
    first, _ = decode(orjson.dumps(bare), "application/json", spec)
    assert decode(orjson.dumps(wordy), "application/json", spec)[0] == first
    assert decode(orjson.dumps(wordy), "application/yaml", spec)[0] == first


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("Deployment", {}),
        ("ReplicaSet", {"replicas": 0}),
        ("StatefulSet", {"replicas": 0, "availableReplicas": 0}),
        ("Service", {"loadBalancer": {}}),
    ],
)
def test_a_status_is_always_there(kind: str, status: Any) -> None:
    obj: Obj = {"spec": {"x": 1}}
    zeros.fill(obj, SPECS[kind].schema)
    assert obj == {"metadata": {}, "spec": {"x": 1}, "status": status}
    obj = {"metadata": {}, "spec": {}, "status": {"replicas": 3}}
    zeros.fill(obj, SPECS[kind].schema)
    assert obj["status"] == {**status, "replicas": 3}


def test_filled_parts_are_nobody_elses() -> None:
    one: Obj = {}
    zeros.fill(one, SPECS["Service"].schema)
    one["status"]["loadBalancer"]["ingress"] = []
    other: Obj = {}
    zeros.fill(other, SPECS["Service"].schema)
    assert other["status"] == {"loadBalancer": {}}


def test_every_kind_has_its_fields_sorted_out() -> None:
    for spec in BUILTIN:
        zeros.fill({}, spec.schema)
        zeros.drop({"metadata": {"labels": {}}}, spec.schema)


def test_times_that_are_no_pointers_are_null() -> None:
    event: Obj = {"metadata": {}, "involvedObject": {"name": "x"}, "firstTimestamp": "2026-01-01T00:00:00Z"}
    zeros.fill(event, f"{PREFIX}api.core.v1.Event")
    assert (event["eventTime"], event["firstTimestamp"], event["source"]) == (None, "2026-01-01T00:00:00Z", {})
    pod: Obj = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    zeros.fill(pod, POD)
    assert pod["status"]["conditions"] == [{"type": "Ready", "status": "True", "lastProbeTime": None}]
