"""The node authorizer: a kubelet reaches what its own pods refer to, and no other node's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.fakes.listers import FakeListers

from steersman.api.resources import PERSISTENT_VOLUMES, PODS
from steersman.apiserver import authz
from steersman.apiserver.authz.node import VOLUME_ATTACHMENTS
from steersman.apiserver.contracts import UserInfo, Verdict
from steersman.apiserver.requestinfo import parse
from steersman.machinery.meta import Obj

N1 = UserInfo("system:node:n1", groups=("system:nodes", "system:authenticated"))
NAMESPACED = "/api/v1/namespaces/default"


def pod(name: str, node: str, **spec: Any) -> Obj:
    return {
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}"},
        "spec": {"nodeName": node, "serviceAccountName": "sa", "containers": [], **spec},
    }


REFERRING = {
    "imagePullSecrets": [{"name": "pull"}],
    "containers": [
        {"envFrom": [{"configMapRef": {"name": "env-all"}}], "env": [{"valueFrom": {"secretKeyRef": {"name": "env-key"}}}]}
    ],
    "initContainers": [{"env": [{"valueFrom": {"configMapKeyRef": {"name": "init-key"}}}]}],
    "volumes": [
        {"name": "a", "secret": {"secretName": "vol-secret"}},
        {
            "name": "b",
            "projected": {"sources": [{"configMap": {"name": "projected-map"}}, {"secret": {"name": "projected-secret"}}]},
        },
        {"name": "c", "persistentVolumeClaim": {"claimName": "claim"}},
        {"name": "d", "ephemeral": {}},
    ],
}
VOLUME = {
    "metadata": {"name": "pv"},
    "spec": {
        "claimRef": {"namespace": "default", "name": "claim"},
        "csi": {"nodeStageSecretRef": {"namespace": "storage", "name": "stage"}},
    },
}


def world() -> FakeListers:
    return FakeListers(
        (PODS, pod("web", "n1", **REFERRING)),
        (PODS, pod("other", "n2", imagePullSecrets=[{"name": "foreign"}])),
        (PERSISTENT_VOLUMES, VOLUME),
        (VOLUME_ATTACHMENTS, {"metadata": {"name": "here"}, "spec": {"nodeName": "n1"}}),
        (VOLUME_ATTACHMENTS, {"metadata": {"name": "there"}, "spec": {"nodeName": "n2"}}),
    )


def ask(listers: FakeListers, method: str, path: str, query: str = "", who: UserInfo = N1) -> tuple[Verdict, str]:
    pairs = [tuple(part.split("~")) for part in query.split("&") if part]
    info = parse(method, path, [(key, value) for key, value in pairs])
    return asyncio.run(authz.build(listers).authorize(who, info))


NO_PATH = "no relationship found between node 'n1' and this object"


@pytest.mark.parametrize(
    "name", ["pull", "env-key", "vol-secret", "projected-secret"]
)  # fmt: skip
def test_a_node_reads_each_secret_its_pods_refer_to(name: str) -> None:
    assert ask(world(), "GET", f"{NAMESPACED}/secrets/{name}")[0] is Verdict.ALLOW
    assert ask(world(), "GET", f"{NAMESPACED}/secrets", f"watch~1&fieldSelector~metadata.name={name}")[0] is Verdict.ALLOW


@pytest.mark.parametrize(
    ("method", "path", "query", "reason"),
    [
        ("GET", f"{NAMESPACED}/configmaps/env-all", "", None),
        ("GET", f"{NAMESPACED}/configmaps/init-key", "", None),
        ("GET", f"{NAMESPACED}/configmaps/projected-map", "", None),
        ("GET", f"{NAMESPACED}/configmaps/pull", "", NO_PATH),
        ("GET", f"{NAMESPACED}/secrets/foreign", "", NO_PATH),
        ("GET", "/api/v1/namespaces/other/secrets/pull", "", NO_PATH),
        ("GET", f"{NAMESPACED}/secrets", "", "No Object name found"),
        ("PUT", f"{NAMESPACED}/secrets/pull", "", "can only read resources of this type"),
        ("GET", "/api/v1/namespaces/storage/secrets/stage", "", None),
        ("GET", f"{NAMESPACED}/persistentvolumeclaims/claim", "", None),
        ("GET", f"{NAMESPACED}/persistentvolumeclaims/web-d", "", None),
        ("PATCH", f"{NAMESPACED}/persistentvolumeclaims/claim/status", "", None),
        ("GET", f"{NAMESPACED}/persistentvolumeclaims", "", "can only get individual resources of this type"),
        ("GET", "/api/v1/persistentvolumes/pv", "", None),
        ("GET", "/apis/storage.k8s.io/v1/volumeattachments/here", "", None),
        ("GET", "/apis/storage.k8s.io/v1/volumeattachments/there", "", NO_PATH),
        ("POST", f"{NAMESPACED}/serviceaccounts/sa/token", "", None),
        ("POST", f"{NAMESPACED}/serviceaccounts/admin/token", "", NO_PATH),
        ("GET", "/api/v1/nodes/n1", "", None),
        ("GET", "/api/v1/nodes/n2", "", "node 'n1' cannot read 'n2', only its own Node object"),
        ("GET", "/api/v1/nodes", "", "node 'n1' cannot read all nodes, only its own Node object"),
        ("PATCH", "/api/v1/nodes/n1/status", "", None),
        ("GET", f"{NAMESPACED}/pods/web", "", None),
        ("GET", f"{NAMESPACED}/pods/other", "", NO_PATH),
        ("GET", "/api/v1/pods", "fieldSelector~spec.nodeName=n1", None),
        ("GET", "/api/v1/pods", "fieldSelector~spec.nodeName=n2", "can only list/watch pods with spec.nodeName field selector"),
        ("GET", "/api/v1/pods", "", "can only list/watch pods with spec.nodeName field selector"),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1", "", None),
        (
            "PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n2", "",
            "can only access node lease with the same name as the requesting node",
        ),
        (
            "GET", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/n1", "",
            'can only access leases in the "kube-node-lease" system namespace',
        ),
        ("POST", "/api/v1/namespaces/default/events", "", None),
        ("GET", "/api/v1/services", "", None),
        ("DELETE", "/api/v1/services", "", ""),
        ("GET", "/apis/apps/v1/deployments", "", ""),
    ],
)  # fmt: skip
def test_a_node_may_do_exactly_its_own(method: str, path: str, query: str, reason: str | None) -> None:
    verdict, why = ask(world(), method, path, query)
    assert (verdict, why) == ((Verdict.ALLOW, "") if reason is None else (Verdict.NO_OPINION, reason))


def test_what_a_pod_opened_is_closed_when_the_pod_is_gone_or_made_anew_elsewhere() -> None:
    listers = world()
    authorization = authz.build(listers)
    info = parse("GET", f"{NAMESPACED}/secrets/pull")

    def verdict() -> Verdict:
        return asyncio.run(authorization.authorize(N1, info))[0]

    assert verdict() is Verdict.ALLOW
    listers(PODS).put({**pod("web", "n2", **REFERRING), "metadata": {"name": "web", "namespace": "default", "uid": "new"}})
    assert verdict() is Verdict.NO_OPINION
    listers(PODS).put(pod("web", "n1", **REFERRING))
    assert verdict() is Verdict.ALLOW
    listers(PODS).drop("default", "web")
    assert verdict() is Verdict.NO_OPINION


def test_a_mirror_pod_opens_nothing() -> None:
    mirror = pod("web", "n1", **REFERRING)
    mirror["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    assert ask(FakeListers((PODS, mirror)), "GET", f"{NAMESPACED}/secrets/pull")[0] is Verdict.NO_OPINION


def test_the_name_of_a_node_without_the_group_is_no_node() -> None:
    impostor = UserInfo("system:node:n1", groups=("system:authenticated",))
    assert ask(world(), "GET", "/api/v1/nodes/n1", who=impostor) == (Verdict.NO_OPINION, "")


@pytest.mark.parametrize(
    ("method", "path", "query", "allowed"),
    [
        ("GET", f"{NAMESPACED}/secrets/pull", "", False),
        ("GET", f"{NAMESPACED}/configmaps/env-all", "", False),
        ("GET", f"{NAMESPACED}/persistentvolumeclaims/claim", "", False),
        ("GET", "/api/v1/persistentvolumes/pv", "", False),
        ("POST", f"{NAMESPACED}/serviceaccounts/sa/token", "", False),
        ("GET", f"{NAMESPACED}/pods/web", "", False),
        ("GET", "/api/v1/nodes/n2", "", False),
        # What stays, as upstream: nothing here is another node's or a workload's, but it may register again.
        ("GET", "/api/v1/pods", "fieldSelector~spec.nodeName=n1", True),
        ("GET", "/api/v1/services", "", True),
        ("POST", "/api/v1/nodes", "", True),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1", "", True),
        ("POST", "/apis/certificates.k8s.io/v1/certificatesigningrequests", "", True),
    ],
)
def test_the_certificate_of_a_node_that_was_removed_reaches_nothing_of_pods(
    method: str, path: str, query: str, allowed: bool
) -> None:
    listers = world()
    listers(PODS).drop("default", "web")
    assert (ask(listers, method, path, query)[0] is Verdict.ALLOW) is allowed
