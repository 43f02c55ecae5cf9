"""The resource quota controller, and what objects use."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.controllers.world import START, World

from steersman.api import quota
from steersman.api.resources import (
    CONFIG_MAPS,
    JOBS,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    RESOURCE_CLAIMS,
    RESOURCE_QUOTAS,
    SERVICES,
)
from steersman.controllers import resourcequota
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

DEPLOYMENT_QUOTA = {"pods": "10", "requests.cpu": "2", "limits.memory": "4Gi", "count/jobs.batch": "5", "configmaps": "3"}


def container(cpu: str = "", memory: str = "", **more: Any) -> Obj:
    requests = {"cpu": cpu} if cpu else {}
    limits = {"memory": memory} if memory else {}
    return {"name": "c", "resources": {"requests": requests, "limits": limits}, **more}


def pod(*containers: Obj, phase: str = "Running", **spec: Any) -> Obj:
    return {
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": list(containers), **spec},
        "status": {"phase": phase},
    }


SIDECAR = container("2", restartPolicy="Always")
CLAIM = {"spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "3Gi"}}}}
BALANCED = {"spec": {"type": "LoadBalancer", "ports": [{}]}}
DEVICES = {"spec": {"devices": {"requests": [
    {"name": "a", "exactly": {"deviceClassName": "gold", "allocationMode": "ExactCount", "count": 3}},
    {"name": "b", "firstAvailable": [
        {"deviceClassName": "gold", "allocationMode": "ExactCount", "count": 4},
        {"deviceClassName": "gold", "allocationMode": "ExactCount", "count": 2},
        {"deviceClassName": "silver", "allocationMode": "All"},
    ]},
]}}}  # fmt: skip
USES: list[tuple[str, Resource, Obj, dict[str, str]]] = [
    ("two containers", PODS, pod(container("1", "1Gi"), container("500m")),
     {"requests.cpu": "1500m", "cpu": "1500m", "limits.memory": "1Gi"}),
    ("an init step that is larger", PODS, pod(container("1"), initContainers=[container("3"), container("2")]),
     {"requests.cpu": "3"}),
    ("a sidecar beside", PODS, pod(container("1"), initContainers=[SIDECAR, container("2")]), {"requests.cpu": "4"}),
    ("overhead", PODS, pod(container("1"), overhead={"cpu": "250m"}), {"requests.cpu": "1250m"}),
    ("pod level", PODS, pod(container("1"), resources={"requests": {"cpu": "5"}}), {"requests.cpu": "5"}),
    ("a finished pod", PODS, pod(container("1"), phase="Succeeded"), {"count/pods": "1"}),
    ("a node port", SERVICES, {"spec": {"type": "NodePort", "ports": [{}, {}]}}, {"services": "1", "services.nodeports": "2"}),
    ("a load balancer", SERVICES, BALANCED, {"services.loadbalancers": "1", "services.nodeports": "1"}),
    ("a claim", PERSISTENT_VOLUME_CLAIMS, CLAIM,
     {"requests.storage": "3Gi", "fast.storageclass.storage.k8s.io/requests.storage": "3Gi"}),
    ("devices", RESOURCE_CLAIMS, DEVICES,
     {"count/resourceclaims.resource.k8s.io": "1", "gold.deviceclass.resource.k8s.io/devices": "7",
      "silver.deviceclass.resource.k8s.io/devices": "32"}),
]  # fmt: skip


@pytest.mark.parametrize(("why", "resource", "obj", "expected"), USES, ids=[case[0] for case in USES])
def test_what_is_used(why: str, resource: Resource, obj: Obj, expected: dict[str, str]) -> None:
    found = {name: str(amount) for name, amount in quota.usage(resource, obj, START).items()}
    assert expected.items() <= found.items()
    assert why != "a finished pod" or found == expected


SCOPES: list[tuple[Obj, Obj, bool]] = [
    ({"scopes": ["BestEffort"]}, pod(container()), True),
    ({"scopes": ["BestEffort"]}, pod(container("1")), False),
    ({"scopes": ["NotBestEffort", "Terminating"]}, pod(container("1"), activeDeadlineSeconds=5), True),
    ({"scopes": ["NotTerminating"]}, pod(container(), activeDeadlineSeconds=5), False),
    ({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}},
     pod(container(), priorityClassName="high"), True),
    ({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "DoesNotExist"}]}},
     pod(container(), priorityClassName="high"), False),
    ({"scopes": ["CrossNamespacePodAffinity"]}, pod(container(), affinity={"podAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [{"namespaces": ["x"]}]}}), True),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "obj", "expected"), SCOPES)
def test_scopes(spec: Obj, obj: Obj, expected: bool) -> None:
    assert quota.covers({"spec": spec}, PODS, obj) == expected
    assert not quota.covers({"spec": spec}, SERVICES, {"spec": {}})


@pytest.mark.parametrize(
    ("claim", "operator", "expected"),
    [
        ({"spec": {"volumeAttributesClassName": "gold"}}, "In", True),
        ({"spec": {"volumeAttributesClassName": "silver"}}, "In", False),
        ({"spec": {"volumeAttributesClassName": "silver"}, "status": {"currentVolumeAttributesClassName": "gold"}}, "In", True),
        ({"spec": {}, "status": {"modifyVolumeStatus": {"targetVolumeAttributesClassName": "gold"}}}, "In", True),
        ({"spec": {}}, "In", False),
        ({"spec": {}}, "NotIn", True),
        ({"spec": {}, "status": {"currentVolumeAttributesClassName": "gold"}}, "Exists", True),
        ({"spec": {}}, "Exists", False),
        ({"spec": {}}, "DoesNotExist", True),
    ],
)
def test_a_claim_counts_with_every_attributes_class_that_it_asks_for_or_has(claim: Obj, operator: str, expected: bool) -> None:
    rule = {"scopeName": "VolumeAttributesClass", "operator": operator, "values": ["gold"]}
    covering = {"spec": {"scopeSelector": {"matchExpressions": [rule]}}}
    assert quota.covers(covering, PERSISTENT_VOLUME_CLAIMS, claim) == expected


def test_the_status_follows_what_is_there() -> None:
    w = World(resourcequota.spec())
    w.put(RESOURCE_QUOTAS, {"metadata": {"name": "q"}, "spec": {"hard": DEPLOYMENT_QUOTA}})

    def used() -> Obj:
        w.settle()
        # Counts keep a pause between them.
        w.advance(1)
        w.settle()
        found = w.get(RESOURCE_QUOTAS, "default", "q")
        assert found is not None and found["status"]["hard"] == DEPLOYMENT_QUOTA
        return dict(found["status"]["used"])

    assert used() == dict.fromkeys(DEPLOYMENT_QUOTA, "0")
    w.put(PODS, pod(container("500m", "1Gi")))
    w.put(PODS, {**pod(container("1")), "metadata": {"name": "q"}})
    w.put(PODS, {**pod(container("1")), "metadata": {"name": "other", "namespace": "elsewhere"}})
    w.put(JOBS, {"metadata": {"name": "j"}})
    w.put(CONFIG_MAPS, {"metadata": {"name": "c"}})
    assert used() == {"pods": "2", "requests.cpu": "1500m", "limits.memory": "1Gi", "count/jobs.batch": "1", "configmaps": "1"}
    w.edit(PODS, "p", lambda found: found["status"].update(phase="Failed"))
    w.remove(JOBS, "j")
    assert used() == {"pods": "1", "requests.cpu": "1", "limits.memory": "0", "count/jobs.batch": "0", "configmaps": "1"}
    w.writes.clear()
    w.tick()
    w.settle()
    assert w.writes == []


INGRESSES = Resource("networking.k8s.io", "v1", "ingresses", kind="Ingress")
WIDGETS = Resource("example.com", "v1", "widgets", kind="Widget")


def test_whatever_is_served_is_counted() -> None:
    w = World(resourcequota.spec())
    w.served = (INGRESSES, WIDGETS, PODS, Resource("", "v1", "nodes", namespaced=False, kind="Node"))
    hard = {"count/ingresses.networking.k8s.io": "2", "count/widgets.example.com": "5", "count/gadgets.example.com": "1"}
    w.put(RESOURCE_QUOTAS, {"metadata": {"name": "q"}, "spec": {"hard": hard}})
    w.put(INGRESSES, {"metadata": {"name": "i"}})
    for number in range(3):
        w.put(WIDGETS, {"metadata": {"name": f"w{number}"}})
    w.put(PODS, pod(container()))
    w.settle()
    found = w.get(RESOURCE_QUOTAS, "default", "q")
    assert found is not None and list(found["status"]["used"].values()) == ["1", "3", "0"]
    chosen = resourcequota.spec().discovered
    assert chosen is not None
    assert {watch.resource for watch in chosen(w.served)} == {INGRESSES, WIDGETS}


def test_a_quota_that_was_just_charged_for_what_is_not_seen_yet_is_left_alone_for_a_moment() -> None:
    w = World(resourcequota.spec())
    w.put(RESOURCE_QUOTAS, {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "5"}}})
    w.put(PODS, pod(container()))
    w.settle()

    def charge() -> None:
        w.edit(RESOURCE_QUOTAS, "q", lambda found: found["status"]["used"].update(pods="2"))
        w.tick()
        w.settle()

    def used() -> str:
        found = w.get(RESOURCE_QUOTAS, "default", "q")
        assert found is not None
        return str(found["status"]["used"]["pods"])

    w.advance(10)
    charge()
    assert used() == "2"
    # The pod comes a moment later, and all is well.
    w.put(PODS, {**pod(container()), "metadata": {"name": "late"}})
    w.advance(1)
    w.settle()
    assert used() == "2"
    # It never comes: then nothing was bought.
    charge()
    w.remove(PODS, "late")
    charge()
    assert used() == "2"
    w.advance(resourcequota.SETTLE_S)
    w.settle()
    assert used() == "1"
    # What the controller itself wrote needs no waiting for.
    w.advance(resourcequota.PAUSE_S)
    w.remove(PODS, "p")
    w.tick()
    w.settle()
    assert used() == "0"
