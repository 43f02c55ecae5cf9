"""Rows of `kubectl get`, kind by kind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from steersman.api.printers import TABLES, default_table
from steersman.apiserver.tables import of_objs
from steersman.machinery.meta import Obj, format_time

NOW = datetime(2026, 1, 10, tzinfo=UTC)


def _ago(**parts: float) -> str:
    return format_time(NOW - timedelta(**parts))


def _row(group: str, kind: str, obj: Obj) -> dict[str, Any]:
    """Cells by column name."""
    spec = TABLES[group, kind]
    cells = spec.cells({"metadata": {"name": "x", "creationTimestamp": _ago(minutes=5)}, **obj}, NOW)
    assert len(cells) == len(spec.columns)
    return {column.name: cell for column, cell in zip(spec.columns, cells)}


def _container(name: str = "c", *, ready: bool = False, restarts: int = 0, **state: Obj) -> Obj:
    found: Obj = {"name": name, "ready": ready, "restartCount": restarts, "state": state}
    if restarts:
        found["lastState"] = {"terminated": {"finishedAt": _ago(minutes=5)}}
    return found


RUNNING: Obj = {"startedAt": "2026-01-01T00:00:00Z"}
READY = {"type": "Ready", "status": "True"}
_TWO = {"containers": [{"name": "a"}, {"name": "b"}]}
_INIT = {"containers": [{"name": "c"}], "initContainers": [{"name": "i"}, {"name": "j"}]}
_SIDECAR = {"containers": [{"name": "c"}], "initContainers": [{"name": "i", "restartPolicy": "Always"}]}


@pytest.mark.parametrize(
    ("spec", "status", "ready", "shown", "restarts"),
    [
        (_TWO, {"phase": "Pending"}, "0/2", "Pending", "0"),
        (_TWO, {"phase": "Running", "containerStatuses": [
            _container("a", ready=True, running=RUNNING),
            _container("b", restarts=3, waiting={"reason": "CrashLoopBackOff"})]}, "1/2", "CrashLoopBackOff", "3 (5m ago)"),
        (_TWO, {"phase": "Running", "conditions": [READY], "containerStatuses": [
            _container("a", ready=True, running=RUNNING),
            _container("b", terminated={"reason": "Completed", "exitCode": 0})]}, "1/2", "Running", "0"),
        (_TWO, {"phase": "Running", "containerStatuses": [
            _container("a", ready=True, running=RUNNING),
            _container("b", terminated={"reason": "Completed", "exitCode": 0})]}, "1/2", "NotReady", "0"),
        (_TWO, {"phase": "Failed", "containerStatuses": [
            _container("a", terminated={"reason": "Completed", "exitCode": 0}),
            _container("b", terminated={"reason": "Error", "exitCode": 1})]}, "0/2", "Error", "0"),
        (_TWO, {"phase": "Failed", "containerStatuses": [_container("a", terminated={"signal": 9, "exitCode": 137})]},
         "0/2", "Signal:9", "0"),
        (_TWO, {"phase": "Failed", "reason": "Evicted"}, "0/2", "Evicted", "0"),
        (_TWO, {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]},
         "0/2", "SchedulingGated", "0"),
        (_INIT, {"phase": "Pending", "initContainerStatuses": [
            _container("i", terminated={"exitCode": 0, "reason": "Completed"}), _container("j", running=RUNNING)]},
         "0/1", "Init:1/2", "0"),
        (_INIT, {"phase": "Pending", "initContainerStatuses": [
            _container("i", restarts=2, waiting={"reason": "CrashLoopBackOff"}), _container("j", restarts=7, waiting={})]},
         "0/1", "Init:CrashLoopBackOff", "2 (5m ago)"),
        (_INIT, {"phase": "Pending", "initContainerStatuses": [_container("i", terminated={"exitCode": 2})]},
         "0/1", "Init:ExitCode:2", "0"),
        (_INIT, {"phase": "Pending", "initContainerStatuses": [_container("i", waiting={"reason": "PodInitializing"})]},
         "0/1", "Init:0/2", "0"),
        (_SIDECAR, {"phase": "Running", "initContainerStatuses": [
            {**_container("i", ready=True, restarts=1, running=RUNNING), "started": True}],
            "containerStatuses": [_container("c", ready=True, running=RUNNING)]}, "2/2", "Running", "1 (5m ago)"),
    ],
)  # fmt: skip
def test_a_pod_says_how_its_containers_do(spec: Obj, status: Obj, ready: str, shown: str, restarts: str) -> None:
    row = _row("", "Pod", {"spec": spec, "status": status})
    assert (row["Ready"], row["Status"], row["Restarts"]) == (ready, shown, restarts)


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ({"phase": "Running"}, "Terminating"),
        ({"phase": "Running", "reason": "NodeLost"}, "Unknown"),
        (
            {"phase": "Succeeded", "containerStatuses": [_container(terminated={"reason": "Completed", "exitCode": 0})]},
            "Completed",
        ),
    ],
)
def test_a_pod_that_is_being_deleted(status: Obj, shown: str) -> None:
    pod = {"metadata": {"name": "x", "deletionTimestamp": _ago(seconds=1)}, "spec": _TWO, "status": status}
    assert _row("", "Pod", pod)["Status"] == shown


def test_the_rest_of_a_pods_row() -> None:
    pod = {
        "spec": {**_TWO, "nodeName": "n1", "readinessGates": [{"conditionType": "a"}, {"conditionType": "b"}]},
        "status": {"podIPs": [{"ip": "10.0.0.1"}], "conditions": [{"type": "a", "status": "True"}]},
    }
    row = _row("", "Pod", pod)
    assert [row[name] for name in ("Age", "IP", "Node", "Nominated Node", "Readiness Gates")] == [
        "5m", "10.0.0.1", "n1", "<none>", "1/2",
    ]  # fmt: skip
    conditions = TABLES["", "Pod"].conditions
    assert conditions is not None
    assert conditions({"status": {"phase": "Failed"}})[0]["message"] == "The pod failed."
    assert conditions({"status": {"phase": "Running"}}) == []


_LB = {"type": "LoadBalancer", "clusterIPs": ["10.96.0.5"], "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}]}
_CPU: Obj = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
_CPU_NOW = {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 50, "averageValue": "100m"}}}
_PODS = {"type": "Pods", "pods": {"metric": {"name": "qps"}, "target": {"averageValue": "1000m"}}}
_EXTERNAL = {"type": "External", "external": {"metric": {"name": "q"}, "target": {"averageValue": "5"}}}


@pytest.mark.parametrize(
    ("group", "kind", "obj", "cells"),
    [
        ("", "Service", {"spec": _LB}, {"Type": "LoadBalancer", "Cluster-IP": "10.96.0.5", "External-IP": "<pending>",
                                        "Port(s)": "80:30080/TCP", "Selector": "<none>"}),
        ("", "Service", {"spec": {**_LB, "externalIPs": ["1.1.1.1"]}, "status": {"loadBalancer": {"ingress": [
            {"ip": "2.2.2.2"}, {"hostname": "lb"}, {"ip": "2.2.2.2"}]}}}, {"External-IP": "2.2.2.2,lb,1.1.1.1"}),
        ("", "Service", {"spec": {"type": "ClusterIP", "clusterIPs": ["None"], "selector": {"b": "2", "a": "1"}}},
         {"Cluster-IP": "None", "External-IP": "<none>", "Port(s)": "<none>", "Selector": "a=1,b=2"}),
        ("", "Service", {"spec": {"type": "ExternalName", "externalName": "x.y"}},
         {"External-IP": "x.y", "Cluster-IP": "<none>"}),
        ("", "Node", {"metadata": {"name": "n", "labels": {"node-role.kubernetes.io/control-plane": "",
                                                           "kubernetes.io/role": "db", "node-role.kubernetes.io/": ""}},
                      "spec": {"unschedulable": True},
                      "status": {"conditions": [READY], "nodeInfo": {"kubeletVersion": "v1", "kernelVersion": "6.1",
                                 "architecture": "amd64"}, "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}},
         {"Status": "Ready,SchedulingDisabled", "Roles": "control-plane,db", "Age": "<unknown>", "Version": "v1",
          "Internal-IP": "10.0.0.1", "External-IP": "<none>", "OS-Image": "<unknown>", "Kernel-Version": "6.1 (amd64)"}),
        ("", "Node", {}, {"Status": "Unknown", "Roles": "<none>"}),
        ("", "ConfigMap", {"data": {"a": "1"}, "binaryData": {"b": ""}}, {"Data": 2}),
        ("", "Secret", {"type": "Opaque", "data": {"a": ""}}, {"Type": "Opaque", "Data": 1}),
        ("", "Endpoints", {"subsets": [{"addresses": [{"ip": "1.1.1.1"}, {"ip": "::2"}],
                                        "ports": [{"port": 80}, {"port": 81}]}]},
         {"Endpoints": "1.1.1.1:80,[::2]:80,1.1.1.1:81 + 1 more..."}),
        ("", "Endpoints", {"subsets": [{"notReadyAddresses": [{"ip": "1.1.1.1"}]}]}, {"Endpoints": ""}),
        ("", "PersistentVolume", {"spec": {"capacity": {"storage": "1024Mi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
                                           "claimRef": {"namespace": "ns", "name": "c"}}, "status": {"phase": "Bound"}},
         {"Capacity": "1Gi", "Access Modes": "RWO,RWX", "Claim": "ns/c", "Status": "Bound", "VolumeMode": "<unset>"}),
        ("", "PersistentVolumeClaim", {"spec": {}, "status": {"phase": "Pending", "capacity": {"storage": "1Gi"}}},
         {"Status": "Pending", "Capacity": "", "Access Modes": ""}),
        ("", "ResourceQuota", {"status": {"hard": {"pods": "10", "limits.cpu": "2"}, "used": {"pods": "3"}}},
         {"Request": "pods: 3/10", "Limit": "limits.cpu: 0/2"}),
        ("apps", "Deployment", {"spec": {"replicas": 3, "selector": {"matchLabels": {"a": "b"}}, "template": {"spec": {
            "containers": [{"name": "c", "image": "i"}, {"name": "d", "image": "j"}]}}}},
         {"Ready": "0/3", "Available": 0, "Containers": "c,d", "Images": "i,j", "Selector": "a=b"}),
        ("apps", "Deployment", {"spec": {"selector": {"matchExpressions": [{"key": "a", "operator": "?"}]}}},
         {"Selector": "<invalid>"}),
        ("apps", "ControllerRevision", {"metadata": {"name": "x", "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "controller": True}]}, "revision": 2},
         {"Controller": "statefulset.apps/web", "Revision": 2}),
        ("batch", "Job", {"spec": {"parallelism": 3}, "status": {"succeeded": 1, "startTime": _ago(seconds=90)}},
         {"Completions": "1/1 of 3", "Status": "Running", "Duration": "90s"}),
        ("batch", "Job", {"spec": {"completions": 2}, "status": {"conditions": [{"type": "Complete", "status": "True"}],
                          "startTime": _ago(hours=1), "completionTime": _ago(minutes=50)}},
         {"Completions": "0/2", "Status": "Complete", "Duration": "10m"}),
        ("batch", "CronJob", {"spec": {"schedule": "* * * * *", "suspend": False}},
         {"Suspend": "False", "Timezone": "<none>", "Last Schedule": "<none>", "Active": 0, "Selector": "<none>"}),
        ("autoscaling", "HorizontalPodAutoscaler", {"spec": {"metrics": [_CPU], "maxReplicas": 5}},
         {"Targets": "cpu: <unknown>/80%", "MinPods": "<unset>", "MaxPods": 5}),
        ("autoscaling", "HorizontalPodAutoscaler",
         {"spec": {"metrics": [_CPU, _PODS, _EXTERNAL]}, "status": {"currentMetrics": [_CPU_NOW]}},
         {"Targets": "cpu: 50%/80%, <unknown>/1 + 1 more..."}),
        ("autoscaling", "HorizontalPodAutoscaler", {"spec": {"metrics": [_EXTERNAL]}}, {"Targets": "<unknown>/5 (avg)"}),
        ("policy", "PodDisruptionBudget", {"spec": {"minAvailable": "50%"}}, {"Min Available": "50%", "Max Unavailable": "N/A"}),
        ("networking.k8s.io", "Ingress", {"spec": {"rules": [{"host": "a"}, {}, {"host": "b"}, {"host": "c"}, {"host": "d"}],
                                                   "tls": [{}]}}, {"Hosts": "a,b,c + 2 more...", "Ports": "80, 443"}),
        ("networking.k8s.io", "Ingress", {"spec": {"rules": [{}]}}, {"Hosts": "*", "Class": "<none>", "Address": ""}),
        ("discovery.k8s.io", "EndpointSlice", {"addressType": "IPv4", "ports": [{"port": 80}, {"name": "x"}, {}],
                                               "endpoints": [{"addresses": ["1"]}, {"addresses": ["2", "3", "4"]}]},
         {"Ports": "80,x,*", "Endpoints": "1,2,3 + 1 more..."}),
        ("rbac.authorization.k8s.io", "RoleBinding", {"roleRef": {"kind": "Role", "name": "r"}, "subjects": [
            {"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "namespace": "ns", "name": "s"}]},
         {"Role": "Role/r", "Users": "u", "Groups": "", "ServiceAccounts": "ns/s"}),
        ("scheduling.k8s.io", "PriorityClass", {"value": 10}, {"Value": 10, "Global-Default": False}),
        ("storage.k8s.io", "StorageClass", {"metadata": {"name": "s", "annotations": {
            "storageclass.kubernetes.io/is-default-class": "true"}}, "provisioner": "p"},
         {"Name": "s (default)", "ReclaimPolicy": "Delete", "VolumeBindingMode": "Immediate", "AllowVolumeExpansion": False}),
        ("certificates.k8s.io", "CertificateSigningRequest", {"spec": {"signerName": "s", "expirationSeconds": 3600}, "status": {
            "conditions": [{"type": "Approved"}], "certificate": "x"}},
         {"RequestedDuration": "60m", "Condition": "Approved,Issued"}),
        ("coordination.k8s.io", "Lease", {"spec": {"holderIdentity": "me"}}, {"Holder": "me"}),
        ("", "Event", {"involvedObject": {"kind": "Pod", "name": "p", "fieldPath": "f"}, "firstTimestamp": _ago(hours=1),
                       "lastTimestamp": _ago(seconds=10), "count": 4, "source": {"component": "kubelet", "host": "n"},
                       "message": " m\n"},
         {"Last Seen": "10s", "First Seen": "60m", "Object": "pod/p", "Count": 4, "Source": "kubelet, n", "Message": "m"}),
        ("events.k8s.io", "Event", {"regarding": {"kind": "Node"}, "eventTime": _ago(seconds=30), "note": "n",
                                    "reportingController": "c", "reportingInstance": "i"},
         {"Last Seen": "30s", "First Seen": "30s", "Object": "node", "Count": 1, "Source": "c, i", "Message": "n"}),
    ],
)  # fmt: skip
def test_cells(group: str, kind: str, obj: Obj, cells: dict[str, Any]) -> None:
    row = _row(group, kind, obj)
    assert {name: row[name] for name in cells} == cells


@pytest.mark.parametrize(
    ("created", "shown"),
    [(_ago(seconds=-5), "<invalid>"), (_ago(seconds=-1), "0s"), ("", "<unknown>"), (_ago(days=3, hours=2), "3d2h")],
)
def test_ages(created: str, shown: str) -> None:
    assert _row("", "ServiceAccount", {"metadata": {"name": "x", "creationTimestamp": created}})["Age"] == shown


def test_every_printer_copes_with_an_object_that_has_only_a_name() -> None:
    for (group, kind), spec in TABLES.items():
        cells = spec.cells({"metadata": {"name": "x"}}, NOW)
        extra = 1 if (group, kind) == ("networking.k8s.io", "IPAddress") else 0
        assert len(cells) == len(spec.columns) + extra, (group, kind)


def test_other_kinds_print_their_name_and_time_of_creation() -> None:
    spec = default_table()
    assert spec.cells({"metadata": {"name": "x", "creationTimestamp": "2026-01-01T00:00:00Z"}}, NOW) == [
        "x",
        "2026-01-01T00:00:00Z",
    ]
    assert [(column.name, column.type, column.format) for column in spec.columns] == [
        ("Name", "string", "name"),
        ("Created At", "date", ""),
    ]


def test_flow_schemas_are_listed_in_the_order_in_which_they_match() -> None:
    spec = TABLES["flowcontrol.apiserver.k8s.io", "FlowSchema"]
    assert spec.order is not None
    given = [("catch-all", 10000), ("exempt", 1), ("b", 800), ("a", 800), ("probes", 2)]
    objs = [{"metadata": {"name": name}, "spec": {"matchingPrecedence": number}} for name, number in given]
    table = of_objs(spec, objs, {}, "v1", "None", NOW)
    assert [row["cells"][0] for row in table["rows"]] == ["exempt", "probes", "a", "b", "catch-all"]


@pytest.mark.parametrize(
    ("spec", "cells"),
    [
        ({"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0}}, ["Exempt", "<none>", "<none>", "<none>", "<none>"]),
        ({"type": "Limited", "limited": {"nominalConcurrencyShares": 5, "limitResponse": {"type": "Reject"}}},
         ["Limited", 5, "<none>", "<none>", "<none>"]),
        ({"type": "Limited", "limited": {"nominalConcurrencyShares": 40, "limitResponse": {
            "type": "Queue", "queuing": {"queues": 64, "handSize": 6, "queueLengthLimit": 50}}}},
         ["Limited", 40, 64, 6, 50]),
    ],
)  # fmt: skip
def test_a_priority_level_shows_what_limits_it(spec: Obj, cells: list[Any]) -> None:
    row = _row("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration", {"spec": spec})
    assert list(row.values())[1:6] == cells
