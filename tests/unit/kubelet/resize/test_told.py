"""What a pod's status says of the resources of the pod as a whole."""

from __future__ import annotations

import pytest

from steersman.kubelet.resize.told import pod_resources
from steersman.machinery.meta import Obj


def limited(name: str, requests: Obj, limits: Obj | None = None) -> Obj:
    return {"name": name, "resources": {"requests": requests, **({"limits": limits} if limits else {})}}


WHOLE = {"requests": {"cpu": "50m", "memory": "50Mi"}, "limits": {"cpu": "100m", "memory": "100Mi"}}
SUM = [
    limited("a", {"cpu": "1", "memory": "16Mi"}, {"memory": "16Mi"}),
    limited("b", {"cpu": "500m", "memory": "16Mi"}, {"memory": "1Gi"}),
]
PART = [limited("a", {"cpu": "1"}, {"cpu": "2"}), limited("b", {"example.com/x": "1"})]


@pytest.mark.parametrize(
    ("spec", "phase", "allocated", "shown"),
    [
        ({"containers": [{"name": "a"}]}, "Running", None, {}),
        ({"containers": [{"name": "a"}], "resources": WHOLE}, "Running", WHOLE["requests"], WHOLE),
        ({"containers": SUM}, "Running", {"cpu": "1500m", "memory": "32Mi"},
         {"limits": {"memory": "1040Mi"}, "requests": {"cpu": "1500m", "memory": "32Mi"}}),
        ({"containers": PART}, "Running", {"cpu": "1", "example.com/x": "1"}, {"requests": {"cpu": "1"}}),
        ({"containers": PART}, "Pending", {"cpu": "1", "example.com/x": "1"},
         {"limits": {"cpu": "2"}, "requests": {"cpu": "1", "example.com/x": "1"}}),
        ({"containers": [limited("a", {"cpu": "1"})], "overhead": {"cpu": "250m"}}, "Running", {"cpu": "1250m"},
         {"requests": {"cpu": "1250m"}}),
    ],
)  # fmt: skip
def test_what_is_allocated_and_what_the_control_group_of_the_pod_enforces(
    spec: Obj, phase: str, allocated: Obj, shown: Obj
) -> None:
    made = pod_resources({"metadata": {}, "spec": spec}, {}, phase)
    assert (made.get("allocatedResources"), made["resources"]) == (allocated, shown)


def test_in_the_middle_of_a_resize_it_shows_what_is_in_force() -> None:
    given = {"metadata": {}, "spec": {"containers": [limited("a", {"cpu": "2"}, {"cpu": "2"})]}}
    made = pod_resources(given, {"a": {"requests": {"cpu": "1"}, "limits": {"cpu": "1"}}}, "Running")
    assert made == {"allocatedResources": {"cpu": "2"}, "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}}
