"""Whole descriptions, against tests/golden/kubectl_describe.

`pytest --update-goldens` writes them anew: then look at the difference.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fakes.client import FakeClient

from steersman.api.resources import ENDPOINT_SLICES, EVENTS, LEASES, PODS, REPLICA_SETS
from steersman.cli.kubectl.describe import describe
from steersman.cli.kubectl.describe.services import endpoints_text
from steersman.machinery.clock import VirtualClock
from steersman.machinery.errors import Forbidden
from steersman.machinery.meta import Obj

GOLDEN = Path(__file__).parents[4] / "golden" / "kubectl_describe"
THEN, LATER = "2026-01-02T03:04:05Z", "2026-01-02T03:34:05Z"
NOW = datetime(2026, 1, 2, 4, 4, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def meta(name: str, **more: object) -> Obj:
    return {"name": name, "namespace": "shop", "uid": f"uid-{name}", "creationTimestamp": THEN, **more}


CONTAINER: Obj = {
    "name": "web",
    "image": "shop/web:1",
    "command": ["/bin/web", "-v\n-x"],
    "ports": [{"containerPort": 80, "protocol": "TCP"}],
    "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "1"}},
    "env": [
        {"name": "NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
        {"name": "CPUS", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "0"}}},
    ],
    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    "livenessProbe": {"httpGet": {"path": "/ok?a b", "port": 80, "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10},
}
POD: Obj = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": meta("web-1", labels={"app": "web"}, ownerReferences=[{"kind": "ReplicaSet", "name": "web", "controller": True}]),
    "spec": {
        "nodeName": "node-1",
        "serviceAccountName": "default",
        "containers": [CONTAINER],
        "volumes": [{"name": "data", "emptyDir": {"sizeLimit": "1024Mi"}}],
        "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
    },
    "status": {
        "phase": "Running",
        "hostIP": "10.0.0.1",
        "podIP": "10.1.0.1",
        "podIPs": [{"ip": "10.1.0.1"}],
        "qosClass": "Burstable",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": "web", "ready": True, "restartCount": 1, "state": {"running": {"startedAt": THEN}}}],
    },
}
NODE: Obj = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "node-1", "uid": "uid-node-1", "creationTimestamp": THEN, "labels": {"node-role.kubernetes.io/db": ""}},
    "spec": {"taints": [{"key": "b", "effect": "NoSchedule"}, {"key": "a", "value": "v", "effect": "NoExecute"}]},
    "status": {
        "capacity": {"cpu": "4", "memory": "8Gi", "pods": "110", "hugepages-2Mi": "0", "example.com/gpu": "2"},
        "allocatable": {"cpu": "3900m", "memory": "7Gi", "pods": "110", "hugepages-2Mi": "0", "example.com/gpu": "2"},
        "conditions": [
            {"type": "Ready", "status": "True", "lastHeartbeatTime": LATER, "lastTransitionTime": THEN, "reason": "R"}
        ],
        "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
        "nodeInfo": {"kubeletVersion": "v1.36.2", "architecture": "amd64"},
    },
}
DEPLOYMENT: Obj = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": meta("web"),
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [CONTAINER]}},
    },
    "status": {"replicas": 2, "conditions": [{"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}]},
}
SERVICE: Obj = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": meta("web"),
    "spec": {
        "type": "NodePort",
        "clusterIP": "10.96.0.9",
        "ports": [{"port": 80, "targetPort": "http", "nodePort": 30080, "protocol": "TCP"}],
    },
}
AUTOSCALER: Obj = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": meta("web"),
    "spec": {
        "scaleTargetRef": {"kind": "Deployment", "name": "web"},
        "maxReplicas": 5,
        "metrics": [
            {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}},
            {"type": "Pods", "pods": {"metric": {"name": "hits"}, "target": {"averageValue": "1500m"}}},
        ],
    },
    "status": {
        "currentReplicas": 2,
        "desiredReplicas": 3,
        "currentMetrics": [
            {"type": "Resource", "resource": {"current": {"averageUtilization": 71, "averageValue": "71m"}}},
            {"type": "Pods", "pods": {"current": {"averageValue": "2"}}},
        ],
    },
}
ROLE: Obj = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "mixed"},
    "rules": [
        {"apiGroups": ["", "apps"], "resources": ["pods", "deployments/scale"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["watch", "get"]},
        {"apiGroups": [""], "resources": ["pods"], "resourceNames": ["one"], "verbs": ["delete"]},
        {"nonResourceURLs": ["/healthz"], "verbs": ["get", "head"]},
    ],
}
CUSTOM: Obj = {
    "apiVersion": "example.com/v1",
    "kind": "Gadget",
    "metadata": meta("g", managedFields=[{"manager": "m"}], annotations={"note": "two\nlines\n"}),
    "spec": {"maxURLs": 3, "parts": [{"name": "a", "on": True}, {"name": "b", "sizes": [1, 2.5]}], "none": None, "x.y": {"z": 1}},
}


def _world() -> FakeClient:
    client = FakeClient()
    client.put(PODS, POD)
    client.put(LEASES, {"metadata": {"name": "node-1", "namespace": "kube-node-lease"}, "spec": {"holderIdentity": "node-1"}})
    about: Obj = {"name": "web-1", "namespace": "shop", "uid": "uid-web-1", "kind": "Pod"}
    event: Obj = {"involvedObject": about, "type": "Normal", "reason": "Pulled", "source": {"component": "kubelet"}}
    client.put(
        EVENTS, {**event, "metadata": meta("b"), "message": "again ", "firstTimestamp": THEN, "lastTimestamp": LATER, "count": 3}
    )
    client.put(
        EVENTS, {**event, "metadata": meta("a"), "message": "once", "firstTimestamp": THEN, "lastTimestamp": THEN, "count": 1}
    )
    series = {"count": 5, "lastObservedTime": LATER}
    newer: Obj = {"eventTime": THEN, "series": series, "reportingComponent": "scheduler", "source": {}, "message": "many"}
    client.put(EVENTS, {**event, **newer, "metadata": meta("c")})
    for name, image, hashed in (("web-old", "shop/web:0", "0"), ("web-new", "shop/web:1", "1")):
        template = {
            "metadata": {"labels": {"app": "web", "pod-template-hash": hashed}},
            "spec": {"containers": [{**CONTAINER, "image": image}]},
        }
        owner = [{"kind": "Deployment", "name": "web", "uid": "uid-web", "controller": True}]
        marks = meta(name, ownerReferences=owner, labels={"app": "web"})
        client.put(REPLICA_SETS, {"metadata": marks, "spec": {"replicas": 1, "template": template}, "status": {"replicas": 1}})
    addresses = [{"addresses": [f"10.1.0.{number}"], "conditions": {"ready": number != 2}} for number in range(1, 6)]
    marks = meta("web-x", labels={"kubernetes.io/service-name": "web"})
    client.put(ENDPOINT_SLICES, {"metadata": marks, "ports": [{"name": "", "port": 8080}], "endpoints": addresses})
    return client


@pytest.mark.parametrize(
    ("name", "obj"),
    [
        ("pod", POD),
        ("node", NODE),
        ("deployment", DEPLOYMENT),
        ("service", SERVICE),
        ("autoscaler", AUTOSCALER),
        ("clusterrole", ROLE),
        ("custom", CUSTOM),
    ],
)
def test_descriptions_are_as_agreed(name: str, obj: Obj, request: pytest.FixtureRequest) -> None:
    text = asyncio.run(describe(_world(), obj, clock=VirtualClock(NOW)))
    golden = GOLDEN / f"{name}.txt"
    if request.config.getoption("--update-goldens"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


def test_a_description_can_leave_events_out() -> None:
    text = asyncio.run(describe(_world(), POD, show_events=False, clock=VirtualClock(NOW)))
    assert "Events" not in text


@pytest.mark.parametrize("kind", ["ConfigMap", "Service"])
def test_unreadable_events_are_left_out_except_that_a_config_map_is_refused(kind: str) -> None:
    client = FakeClient()
    # The first list of a Service is of its EndpointSlices.
    client.fail_next("list", *([None] if kind == "Service" else []), Forbidden("no"))
    described = describe(client, {"apiVersion": "v1", "kind": kind, "metadata": meta("a")}, clock=VirtualClock(NOW))
    if kind == "ConfigMap":
        with pytest.raises(Forbidden):
            asyncio.run(described)
    else:
        assert asyncio.run(described).endswith("<none>\n")


@pytest.mark.parametrize(
    ("ready", "expected"),
    [
        ([], ""),
        ([True, False, True], "a0:80,a2:80"),
        ([True, True, True], "a0:80,a1:80,a2:80"),
        ([True, True, True, True, True], "a0:80,a1:80,a2:80 + 2 more..."),
        ([True, True, True, False], "a0:80,a1:80,a2:80 + 0 more..."),
    ],
)
def test_three_endpoints_are_shown_and_the_others_counted(ready: list[bool], expected: str) -> None:
    endpoints = [{"addresses": [f"a{place}"], "conditions": {"ready": value}} for place, value in enumerate(ready)]
    assert endpoints_text([{"ports": [{"name": "", "port": 80}], "endpoints": endpoints}], "") == expected


def test_endpoints_of_other_ports_are_left_out_and_slices_without_ports_are_not() -> None:
    endpoint: Obj = {"addresses": ["fd00::1"]}
    slices = [{"ports": [{"name": "http", "port": 80}], "endpoints": [endpoint]}, {"endpoints": [endpoint]}]
    assert endpoints_text(slices, "http") == "[fd00::1]:80,fd00::1"
    assert endpoints_text(slices, "dns") == "fd00::1"
    assert endpoints_text([], "http") == "<none>"
