"""NodeRestriction: a kubelet writes its own, in upstream's words."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.fakes.listers import FakeListers

from steersman.api.resources import LEASES, NODES, PERSISTENT_VOLUME_CLAIMS, PODS, SERVICE_ACCOUNTS
from steersman.apiserver.admission.node_restriction import NodeRestriction
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
    listers = FakeListers((NODES, {"metadata": {"name": "n1", "uid": "u1"}}), (PODS, running("n1")))
    found = obj or old or {}
    name = name or (found.get("metadata") or {}).get("name", "")
    request = AdmissionRequest(operation, resource, subresource, namespace, name, obj, old, user)
    try:
        asyncio.run(NodeRestriction(Lookup(listers)).admit(request))
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
        (mirror(serviceAccountName="a"), 'node "n1" can not create pods that reference a service account'),
        (mirror(imagePullSecrets=[{"name": "s"}]), 'node "n1" can not create pods that reference secrets'),
        (
            mirror(volumes=[{"name": "v", "configMap": {"name": "c"}}]),
            'node "n1" can not create pods that reference configmaps',
        ),
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
        ("CREATE", "eviction", {"metadata": {"name": "p"}}, None, ""),
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
            'node "n1" is not allowed to modify labels: node-restriction.kubernetes.io/a',
        ),
        ("UPDATE", a_node(), a_node(taints=[{"key": "a"}]), 'node "n1" is not allowed to modify taints'),
        ("UPDATE", a_node("n2"), a_node("n2"), 'node "n1" is not allowed to modify node "n2"'),
    ],
)  # fmt: skip
def test_a_node_writes_its_own_node_but_not_what_steers_work_to_it(operation: str, new: Obj, old: Obj | None, text: str) -> None:
    assert run(operation, NODES, new, old, namespace="") == text


@pytest.mark.parametrize(
    ("ref", "audiences", "text"),
    [
        (None, [], "node requested token not bound to a pod"),
        ({"name": "p"}, [], "node requested token with a pod binding without a uid"),
        ({"name": "none", "uid": "x"}, [], 'pods "none" not found'),
        (
            {"name": "p", "uid": "x"}, [],
            "the UID in the bound object reference (x) does not match the UID in record. "
            "The object might have been deleted and then recreated",
        ),
        ({"name": "p", "uid": "up"}, [], ""),
        ({"name": "p", "uid": "up"}, ["vault"], ""),
        ({"name": "p", "uid": "up"}, ["bank"], 'audience "bank" not found in pod spec volume'),
    ],
)  # fmt: skip
def test_a_node_asks_for_tokens_of_its_pods_only(ref: Obj | None, audiences: list[str], text: str) -> None:
    spec: Obj = {"audiences": audiences}
    if ref is not None:
        spec["boundObjectRef"] = {"kind": "Pod", "apiVersion": "v1", **ref}
    assert run("CREATE", SERVICE_ACCOUNTS, {"spec": spec}, subresource="token", name="sa") == text


def test_a_node_renews_its_own_lease_and_reports_on_claims() -> None:
    lease = {"metadata": {"name": "n1"}}
    assert run("UPDATE", LEASES, lease, lease, namespace="kube-node-lease") == ""
    other = {"metadata": {"name": "n2"}}
    text = "can only access node lease with the same name as the requesting node"
    assert run("CREATE", LEASES, other, namespace="kube-node-lease") == text
    old = {"metadata": {"name": "c"}, "spec": {"x": 1}, "status": {"phase": "Bound"}}
    new = {**old, "status": {"phase": "Bound", "capacity": {"storage": "2Gi"}}}
    assert run("UPDATE", PERSISTENT_VOLUME_CLAIMS, new, old, subresource="status") == ""
    lost = {**old, "status": {"phase": "Lost"}}
    assert run("UPDATE", PERSISTENT_VOLUME_CLAIMS, lost, old, subresource="status").startswith(
        'node "n1" is not allowed to update'
    )


def test_others_are_not_restricted() -> None:
    assert run("CREATE", NODES, a_node("n2"), namespace="", user=UserInfo("jane")) == ""
