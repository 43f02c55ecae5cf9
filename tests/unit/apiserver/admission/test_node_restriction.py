"""NodeRestriction: a kubelet writes its own, in upstream's words."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.fakes.listers import FakeListers

from steersman.api.resources import LEASES, NODES, PERSISTENT_VOLUME_CLAIMS, PODS
from steersman.apiserver.admission.node_restriction import NodeRestriction
from steersman.apiserver.authz import build
from steersman.apiserver.contracts import AdmissionRequest, UserInfo
from steersman.apiserver.lookup import Lookup
from steersman.machinery.errors import StatusError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

N1 = UserInfo("system:node:n1", groups=("system:nodes",))
OWNER = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u1", "controller": True}


def mirror(*, owners: list[Obj] | None = None, annotated: bool = True, **spec: Any) -> Obj:
    metadata: Obj = {"name": "m", "namespace": "default", "ownerReferences": [OWNER] if owners is None else owners}
    if annotated:
        metadata["annotations"] = {"kubernetes.io/config.mirror": "x"}
    return {"metadata": metadata, "spec": {"nodeName": "n1", "containers": [], **spec}}


def running(node: str, **metadata: Any) -> Obj:
    meta = {"name": "p", "namespace": "default", "uid": "up", **metadata}
    token = {"projected": {"sources": [{"serviceAccountToken": {"audience": "vault", "path": "t"}}]}}
    return {"metadata": meta, "spec": {"nodeName": node, "containers": [], "volumes": [{"name": "t", **token}]}}


def a_node(name: str = "n1", labels: Obj | None = None, taints: list[Obj] | None = None) -> Obj:
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": {"taints": taints or []}}


def run(
    operation: str,
    resource: Resource,
    obj: Obj | None,
    old: Obj | None = None,
    *,
    subresource: str = "",
    name: str = "",
    namespace: str = "default",
    user: UserInfo = N1,
) -> str:
    listers = FakeListers(
        (NODES, {"metadata": {"name": "n1", "uid": "u1"}}), (PODS, running("n1")), (PODS, running("n2", name="far"))
    )
    found = obj or old or {}
    name = name or (found.get("metadata") or {}).get("name", "")
    request = AdmissionRequest(operation, resource, subresource, namespace, name, obj, old, user)
    try:
        asyncio.run(NodeRestriction(Lookup(listers), build(listers)).admit(request))
    except StatusError as error:
        return error.message.partition(" is forbidden: ")[2] or error.message
    return ""


@pytest.mark.parametrize(
    ("pod", "text"),
    [
        (mirror(), ""),
        (
            mirror(annotated=False),
            'pod does not have "kubernetes.io/config.mirror" annotation, node "n1" can only create mirror pods',
        ),
        (mirror(nodeName="n2"), 'node "n1" can only create pods with spec.nodeName set to itself'),
        (mirror(owners=[]), 'node "n1" can only create pods with an owner reference set to itself'),
        (mirror(owners=[OWNER, OWNER]), 'node "n1" can only create pods with a single owner reference set to itself'),
        (mirror(owners=[{**OWNER, "uid": "x"}]), "node n1 UID mismatch: expected x got u1"),
        (
            mirror(owners=[{**OWNER, "controller": False}]),
            'node "n1" can only create pods with a controller owner reference set to itself',
        ),
        (mirror(serviceAccountName="a"), 'node "n1" can not create pods that reference serviceaccounts'),
        (mirror(imagePullSecrets=[{"name": "s"}]), 'node "n1" can not create pods that reference secrets'),
        (
            mirror(volumes=[{"name": "v", "configMap": {"name": "c"}}]),
            'node "n1" can not create pods that reference configmaps',
        ),
        (
            mirror(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]),
            'node "n1" can not create pods that reference persistentvolumeclaims',
        ),
        (
            mirror(volumes=[{"name": "v", "projected": {"sources": [{"clusterTrustBundle": {"name": "b"}}]}}]),
            'node "n1" can not create pods that reference clustertrustbundles',
        ),
        (
            mirror(volumes=[{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]),
            'node "n1" can not create pods that reference serviceaccounts',
        ),
        (
            mirror(resourceClaims=[{"name": "r", "resourceClaimName": "c"}]),
            'node "n1" can not create pods that reference resourceclaims',
        ),
        (
            mirror(owners=[{**OWNER, "blockOwnerDeletion": True}]),
            'node "n1" must not set blockOwnerDeletion on an owner reference',
        ),
        (mirror(owners=[{**OWNER, "name": "n2"}]), 'node "n1" can only create pods with an owner reference set to itself'),
    ],
)
def test_a_node_creates_only_mirror_pods_of_its_own(pod: Obj, text: str) -> None:
    assert run("CREATE", PODS, pod) == text


@pytest.mark.parametrize(
    ("operation", "subresource", "new", "old", "text"),
    [
        ("DELETE", "", None, running("n1"), ""),
        ("DELETE", "", None, running("n2"), 'node "n1" can only delete pods with spec.nodeName set to itself'),
        (
            "UPDATE", "", running("n1"), running("n1"),
            'unexpected operation "UPDATE", node "n1" can only create and delete mirror pods',
        ),
        ("UPDATE", "status", running("n1"), running("n1"), ""),
        (
            "UPDATE", "status", running("n2"), running("n2"),
            'node "n1" can only update pod status for pods with spec.nodeName set to itself',
        ),
        (
            "UPDATE", "status", running("n1", labels={"a": "b"}), running("n1"),
            'node "n1" cannot update labels through pod status',
        ),
        (
            "UPDATE", "status", running("n1") | {"status": {"resourceClaimStatuses": [{"name": "r"}]}}, running("n1"),
            'node "n1" cannot update resource claim statues',
        ),
        (
            "UPDATE", "status", running("n1") | {"status": {"extendedResourceClaimStatus": {}}}, running("n1"),
            'node "n1" cannot update extended resource claim status',
        ),
        ("CREATE", "status", running("n1"), None, 'unexpected operation "CREATE"'),
        ("CREATE", "eviction", {"metadata": {"name": "p"}}, None, ""),
        ("CREATE", "eviction", {"metadata": {"name": "none"}}, None, 'pods "none" not found'),
        ("CREATE", "eviction", {"metadata": {"name": "far"}}, None,
         "node n1 can only evict pods with spec.nodeName set to itself"),
        ("DELETE", "", None, {"metadata": {"name": "none"}}, 'node "n1" can only delete pods with spec.nodeName set to itself'),
        ("CREATE", "binding", {"metadata": {"name": "p"}}, None,
         "unexpected pod subresource \"binding\", only 'status' and 'eviction' are allowed"),
    ],
)  # fmt: skip
def test_a_node_acts_on_the_pods_bound_to_it(
    operation: str, subresource: str, new: Obj | None, old: Obj | None, text: str
) -> None:
    assert run(operation, PODS, new, old, subresource=subresource) == text


@pytest.mark.parametrize(
    ("operation", "new", "old", "text"),
    [
        ("CREATE", a_node(labels={"kubernetes.io/hostname": "n1", "team": "x", "node.kubernetes.io/any": "y"}), None, ""),
        ("CREATE", a_node("n2"), None, 'node "n1" is not allowed to modify node "n2"'),
        (
            "CREATE", a_node(labels={"node-restriction.kubernetes.io/a": "1", "foo.k8s.io/b": "1"}), None,
            'node "n1" is not allowed to set the following labels: foo.k8s.io/b, node-restriction.kubernetes.io/a',
        ),
        ("UPDATE", a_node(labels={"team": "x"}), a_node(), ""),
        (
            "UPDATE", a_node(), a_node(labels={"node-restriction.kubernetes.io/a": "1"}),
            "is not allowed to modify labels: node-restriction.kubernetes.io/a",
        ),
        ("UPDATE", a_node(), a_node(taints=[{"key": "a"}]), 'node "n1" is not allowed to modify taints'),
        (
            "UPDATE", {**a_node(), "metadata": {"name": "n1", "ownerReferences": [OWNER]}}, a_node(),
            'node "n1" is not allowed to modify ownerReferences',
        ),
        (
            "UPDATE", a_node(labels={"node.kubernetes.io/x": "1", "a.kubelet.kubernetes.io/y": "2", "kubernetes.io/arch": "z"}),
            a_node(), "",
        ),
        ("UPDATE", a_node(labels={"x.kubernetes.io/x": "1"}), a_node(), "is not allowed to modify labels: x.kubernetes.io/x"),
        ("CREATE", {**a_node(), "spec": {"configSource": {}}}, None,
         'node "n1" is not allowed to create pods with a non-nil configSource'),
        ("UPDATE", {**a_node(), "spec": {"configSource": {"a": 1}}}, a_node(),
         'node "n1" is not allowed to update configSource to a new non-nil configSource'),
        ("DELETE", None, a_node("n2"), 'node "n1" is not allowed to modify node "n2"'),
        ("UPDATE", a_node("n2"), a_node("n2"), 'node "n1" is not allowed to modify node "n2"'),
    ],
)  # fmt: skip
def test_a_node_writes_its_own_node_but_not_what_steers_work_to_it(operation: str, new: Obj, old: Obj | None, text: str) -> None:
    assert run(operation, NODES, new, old, namespace="") == text


CSI_NODES = Resource("storage.k8s.io", "v1", "csinodes", False, "CSINode")
SLICES = Resource("resource.k8s.io", "v1", "resourceslices", False, "ResourceSlice")
OTHER_CSI = "can only access CSINode with the same name as the requesting node"
OTHER_LEASE = "can only access node lease with the same name as the requesting node"


def named(name: str, **parts: Any) -> Obj:
    return {"metadata": {"name": name}, **parts}


@pytest.mark.parametrize(
    ("operation", "resource", "namespace", "obj", "text"),
    [
        ("CREATE", LEASES, "kube-node-lease", named("n1"), ""),
        ("UPDATE", LEASES, "kube-node-lease", named("n1"), ""),
        ("CREATE", LEASES, "kube-node-lease", named("n2"), OTHER_LEASE),
        ("DELETE", LEASES, "kube-node-lease", named("n2"), OTHER_LEASE),
        ("UPDATE", LEASES, "default", named("n1"), 'can only access leases in the "kube-node-lease" system namespace'),
        ("CREATE", CSI_NODES, "", named("n1"), ""),
        ("CREATE", CSI_NODES, "", named("n2"), OTHER_CSI),
        ("DELETE", CSI_NODES, "", named("n2"), OTHER_CSI),
        ("CREATE", SLICES, "", named("s", spec={"nodeName": "n1"}), ""),
        (
            "CREATE", SLICES, "", named("s", spec={"nodeName": "n2"}),
            "can only create ResourceSlice with the same NodeName as the requesting node",
        ),
        (
            "DELETE", SLICES, "", named("s", spec={"allNodes": True}),
            "can only delete ResourceSlice with the same NodeName as the requesting node",
        ),
    ],
)  # fmt: skip
def test_a_node_writes_its_own_of_what_each_node_has(
    operation: str, resource: Resource, namespace: str, obj: Obj, text: str
) -> None:
    new = None if operation == "DELETE" else obj
    assert run(operation, resource, new, None if operation == "CREATE" else obj, namespace=namespace) == text


CLAIM = {"metadata": {"name": "c"}, "spec": {"x": 1}, "status": {"phase": "Bound"}}
ONLY_RESIZE = 'node "n1" is not allowed to update fields other than status.quantity and status.conditions'


@pytest.mark.parametrize(
    ("operation", "subresource", "new", "text"),
    [
        ("UPDATE", "status", CLAIM | {"status": {"phase": "Bound", "capacity": {"storage": "2Gi"}, "conditions": []}}, ""),
        ("UPDATE", "status", CLAIM | {"status": {"phase": "Bound", "allocatedResources": {"storage": "2Gi"}}}, ""),
        ("UPDATE", "status", CLAIM | {"metadata": {"name": "c", "resourceVersion": "9", "managedFields": []}}, ""),
        ("UPDATE", "status", CLAIM | {"status": {"phase": "Lost"}}, ONLY_RESIZE),
        ("UPDATE", "status", CLAIM | {"metadata": {"name": "c", "labels": {"a": "b"}}}, ONLY_RESIZE),
        ("UPDATE", "", CLAIM, "may only update PVC status"),
        ("CREATE", "status", CLAIM, 'unexpected operation "CREATE"'),
    ],
)
def test_a_node_reports_that_a_claim_has_grown(operation: str, subresource: str, new: Obj, text: str) -> None:
    assert run(operation, PERSISTENT_VOLUME_CLAIMS, new, CLAIM, subresource=subresource) == text


def test_a_node_without_a_name_writes_nothing_that_is_restricted() -> None:
    nameless = UserInfo("system:node:", groups=("system:nodes",))
    text = 'could not determine node from user "system:node:"'
    assert run("CREATE", NODES, a_node(), namespace="", user=nameless) == text


def test_others_are_not_restricted() -> None:
    assert run("CREATE", NODES, a_node("n2"), namespace="", user=UserInfo("jane")) == ""
