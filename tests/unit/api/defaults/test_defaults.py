"""What is filled in where clients leave something out."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from steersman.api.defaults.podspec import pull_policy
from steersman.api.groups import BUILTIN
from steersman.api.kinds import KindSpec
from steersman.machinery.meta import Obj, dig


def spec_of(kind: str, group: str = "") -> KindSpec:
    return next(spec for spec in BUILTIN if spec.kind == kind and spec.resource.group == group)


def defaulted(kind: str, fields: Obj, group: str = "") -> Obj:
    obj = copy.deepcopy(fields)
    spec_of(kind, group).default(obj)
    return obj


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.2", "IfNotPresent"),
        ("localhost:5000/nginx", "Always"),
        ("localhost:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:abc", "IfNotPresent"),
        ("", "IfNotPresent"),
    ],
)
def test_images_without_a_fixed_version_are_always_pulled(image: str, policy: str) -> None:
    assert pull_policy(image) == policy


def test_a_least_pod_gets_all_it_needs() -> None:
    assert defaulted("Pod", {"spec": {"containers": [{"name": "a", "image": "b:1"}]}})["spec"] == {
        "containers": [
            {
                "name": "a",
                "image": "b:1",
                "imagePullPolicy": "IfNotPresent",
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            }
        ],
        "dnsPolicy": "ClusterFirst",
        "enableServiceLinks": True,
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
    }


CONTAINER = ("spec", "containers", 0)


@pytest.mark.parametrize(
    ("container", "path", "value"),
    [
        ({"resources": {"limits": {"cpu": "1"}}}, ("resources", "requests"), {"cpu": "1"}),
        ({"resources": {"limits": {"cpu": "2"}, "requests": {"cpu": "1"}}}, ("resources", "requests"), {"cpu": "1"}),
        ({"ports": [{"containerPort": 80}]}, ("ports", 0), {"containerPort": 80, "protocol": "TCP"}),
        (
            {"livenessProbe": {"httpGet": {"port": 80}, "timeoutSeconds": 0}},
            ("livenessProbe",),
            {
                "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
                "timeoutSeconds": 1,
                "periodSeconds": 10,
                "successThreshold": 1,
                "failureThreshold": 3,
            },
        ),
        ({"startupProbe": {"grpc": {"port": 1}}}, ("startupProbe", "grpc", "service"), ""),
        ({"env": [{"name": "A", "valueFrom": {"fieldRef": {}}}]}, ("env", 0, "valueFrom", "fieldRef", "apiVersion"), "v1"),
    ],
)
def test_containers_of_pods(container: Obj, path: tuple[str | int, ...], value: Any) -> None:
    pod = defaulted("Pod", {"spec": {"containers": [container]}})
    assert dig(pod, *CONTAINER, *path) == value


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        ({}, {"emptyDir": {}}),
        ({"secret": {}}, {"secret": {"defaultMode": 420}}),
        ({"hostPath": {"path": "/a"}}, {"hostPath": {"path": "/a", "type": ""}}),
        (
            {"projected": {"sources": [{"serviceAccountToken": {}}]}},
            {"projected": {"defaultMode": 420, "sources": [{"serviceAccountToken": {"expirationSeconds": 3600}}]}},
        ),
        (
            {"ephemeral": {"volumeClaimTemplate": {}}},
            {"ephemeral": {"volumeClaimTemplate": {"spec": {"volumeMode": "Filesystem"}}}},
        ),
    ],
)
def test_volumes(volume: Obj, expected: Obj) -> None:
    pod = defaulted("Pod", {"spec": {"volumes": [{"name": "v", **volume}]}})
    assert pod["spec"]["volumes"] == [{"name": "v", **expected}]


def test_the_host_network_needs_host_ports_and_accounts_have_two_names() -> None:
    fields = {"hostNetwork": True, "serviceAccount": "old", "containers": [{"ports": [{"containerPort": 80}]}]}
    spec = defaulted("Pod", {"spec": fields})["spec"]
    assert spec["containers"][0]["ports"][0]["hostPort"] == 80
    assert (spec["serviceAccount"], spec["serviceAccountName"]) == ("old", "old")


def test_pod_level_requests_come_from_the_containers_and_their_init_steps() -> None:
    containers = [{"name": "a", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}]
    inits = [
        {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "500m"}}},
        {"name": "i", "resources": {"requests": {"cpu": "2"}}},
    ]
    pod = {"spec": {"containers": containers, "initContainers": inits, "resources": {"limits": {"cpu": "4", "memory": "2Gi"}}}}
    assert defaulted("Pod", pod)["spec"]["resources"]["requests"] == {"cpu": "2500m", "memory": "1Gi"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"sessionAffinity": "None", "type": "ClusterIP", "internalTrafficPolicy": "Cluster"}),
        ({"type": "ExternalName"}, {"sessionAffinity": "None", "type": "ExternalName"}),
        (
            {"type": "LoadBalancer", "ports": [{"port": 80}]},
            {
                "sessionAffinity": "None",
                "type": "LoadBalancer",
                "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
                "externalTrafficPolicy": "Cluster",
                "internalTrafficPolicy": "Cluster",
                "allocateLoadBalancerNodePorts": True,
            },
        ),
        (
            {"sessionAffinity": "ClientIP"},
            {
                "sessionAffinity": "ClientIP",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
                "type": "ClusterIP",
                "internalTrafficPolicy": "Cluster",
            },
        ),
    ],
)
def test_services(fields: Obj, expected: Obj) -> None:
    assert defaulted("Service", {"spec": fields})["spec"] == expected


@pytest.mark.parametrize(
    ("kind", "fields", "path", "value"),
    [
        ("Deployment", {}, ("spec", "strategy"),
            {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}),
        ("Deployment", {"spec": {"strategy": {"type": "Recreate"}}}, ("spec", "strategy"), {"type": "Recreate"}),
        ("Deployment", {"spec": {"replicas": 0}}, ("spec", "replicas"), 0),
        ("Deployment", {}, ("spec", "progressDeadlineSeconds"), 600),
        ("DaemonSet", {}, ("spec", "updateStrategy", "rollingUpdate"), {"maxUnavailable": 1, "maxSurge": 0}),
        ("StatefulSet", {}, ("spec", "updateStrategy"), {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}),
        ("StatefulSet", {"spec": {"updateStrategy": {"type": "RollingUpdate"}}}, ("spec", "updateStrategy"),
            {"type": "RollingUpdate"}),
        ("StatefulSet", {}, ("spec", "persistentVolumeClaimRetentionPolicy"), {"whenDeleted": "Retain", "whenScaled": "Retain"}),
        ("ReplicaSet", {}, ("spec", "template", "spec", "restartPolicy"), "Always"),
    ],
)  # fmt: skip
def test_workloads(kind: str, fields: Obj, path: tuple[str, ...], value: Any) -> None:
    assert dig(defaulted(kind, fields, "apps"), *path) == value


def test_a_replication_controller_takes_selector_and_labels_from_its_template() -> None:
    obj = defaulted("ReplicationController", {"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}})
    assert (obj["spec"]["replicas"], obj["spec"]["selector"], obj["metadata"]["labels"]) == (1, {"a": "b"}, {"a": "b"})


def test_plain_secret_data_is_stored_encoded() -> None:
    obj = defaulted("Secret", {"data": {"a": "eA==", "b": "eA=="}, "stringData": {"a": "y"}})
    assert obj == {"type": "Opaque", "data": {"a": "eQ==", "b": "eA=="}}


@pytest.mark.parametrize(
    ("kind", "group", "fields", "expected"),
    [
        ("ServiceAccount", "", {"secrets": [{"name": "s", "kind": "x"}]}, {"secrets": [{"name": "s"}]}),
        ("Node", "", {"spec": {"podCIDR": "10.0.0.0/24"}}, {"spec": {"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24"]}}),
        ("EndpointSlice", "discovery.k8s.io", {"ports": [{}]}, {"ports": [{"name": "", "protocol": "TCP"}]}),
        ("PriorityClass", "scheduling.k8s.io", {}, {"preemptionPolicy": "PreemptLowerPriority"}),
        (
            "RoleBinding",
            "rbac.authorization.k8s.io",
            {"roleRef": {}, "subjects": [{"kind": "User"}, {"kind": "ServiceAccount"}]},
            {
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io"},
                "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io"}, {"kind": "ServiceAccount"}],
            },
        ),
    ],
)
def test_smaller_kinds(kind: str, group: str, fields: Obj, expected: Obj) -> None:
    assert defaulted(kind, fields, group) == expected


def test_limit_ranges_fill_defaults_from_max_and_min() -> None:
    limits = [{"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"}}]
    obj = defaulted("LimitRange", {"metadata": {"name": "l"}, "spec": {"limits": limits}})
    assert obj["spec"]["limits"][0]["default"] == {"cpu": "2"}
    assert obj["spec"]["limits"][0]["defaultRequest"] == {"cpu": "2", "memory": "1Mi"}


@pytest.mark.parametrize("spec", BUILTIN, ids=lambda spec: f"{spec.resource.group}/{spec.kind}")
def test_defaulting_twice_changes_nothing_more(spec: KindSpec) -> None:
    once: Obj = {"metadata": {"name": "x"}}
    spec.default(once)
    twice = copy.deepcopy(once)
    spec.default(twice)
    assert twice == once
