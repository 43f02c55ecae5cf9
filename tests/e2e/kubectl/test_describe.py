"""`kubectl describe` of ours says what upstream's says, about one object of every kind and about the node."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.e2e.harness import Cluster
from tests.e2e.kubectl.sidebyside import assert_same

pytestmark = pytest.mark.root

PREFIX = "described"
LONG_AGO = "2026-01-02T03:04:05Z"
# Their data are printed in whatever order a Go map gives.
UNORDERED = "secrets"
NAMESPACED = (
    "pods,deployments,replicasets,statefulsets,daemonsets,replicationcontrollers,jobs,cronjobs,services,endpoints,endpointslices,"
    "ingresses,networkpolicies,poddisruptionbudgets,persistentvolumeclaims,configmaps,serviceaccounts,resourcequotas,limitranges,"
    "roles,rolebindings,horizontalpodautoscalers,leases,podtemplates,controllerrevisions"
)
CLUSTER_SCOPED = (
    "ingressclass/described-class", "pv/described-disk", "pv/described-remote", "pv/described-ceph", "sc/described-slow",
    "sc/described-simple", "clusterrole/described-probe", "clusterrolebinding/described-probes", "clusterrole/admin",
    "clusterrole/system:controller:node-controller", "priorityclass/described-high", "csinode/described-node",
    "prioritylevelconfiguration/described-level", "csr/described",
)  # fmt: skip
ENDED = {"exitCode": 137, "signal": 9, "reason": "OOMKilled", "message": "out", "startedAt": None, "finishedAt": LONG_AGO}
STATUSES = {
    "pod/full": {
        "phase": "Running", "hostIP": "10.0.0.1", "podIP": "10.1.1.1", "podIPs": [{"ip": "10.1.1.1"}, {"ip": "fd00::1"}],
        "startTime": LONG_AGO, "reason": "Because", "message": "of this", "nominatedNodeName": "other",
        "conditions": [{"type": "Ready", "status": "False"}, {"type": "example.com/gate", "status": "True"}],
        "initContainerStatuses": [
            {"name": "setup", "image": "i", "imageID": "sha256:a", "ready": True, "restartCount": 0, "containerID": "x://1",
             "state": {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": LONG_AGO, "finishedAt": LONG_AGO}}},
        ],
        "containerStatuses": [
            {"name": "main", "image": "i", "imageID": "sha256:a", "containerID": "x://2", "ready": True, "restartCount": 3,
             "state": {"running": {"startedAt": LONG_AGO}}, "lastState": {"terminated": ENDED}},
            {"name": "second", "image": "i", "imageID": "", "ready": False, "restartCount": 0,
             "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}},
        ],
    },
    "pvc/data": {
        "phase": "Bound", "capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteOnce", "ReadOnlyMany"],
        "conditions": [{"type": "Resizing", "status": "True", "lastTransitionTime": LONG_AGO, "reason": "R", "message": "m"}],
    },
    "service/balanced": {
        "loadBalancer": {"ingress": [{"ip": "198.51.100.5", "ipMode": "VIP"}, {"hostname": "lb.example.com"}]},
    },
    "ingress/front": {"loadBalancer": {"ingress": [{"ip": "198.51.100.5"}, {"hostname": "lb.example.com"}, {"ip": "1.1.1.1"}]}},
}  # fmt: skip


@pytest.fixture
def described(cluster: Cluster, namespace: str) -> Iterator[str]:
    """The namespace with one of everything in it."""
    manifest = (Path(__file__).parent / "described.yaml").read_text()
    manifest = manifest.replace("NAMESPACE", namespace).replace("PREFIX", PREFIX)
    cluster.apply(f"{manifest}\n---\n{json.dumps(signing_request())}", namespace=namespace)
    for target, status in STATUSES.items():
        patch = json.dumps({"status": status})
        cluster.kubectl("patch", target, "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)
    debugger = {"spec": {"ephemeralContainers": [{"name": "dbg", "image": "example.invalid/dbg:1", "command": ["sh"]}]}}
    cluster.kubectl("patch", "pod/full", "-n", namespace, "--subresource=ephemeralcontainers", "-p", json.dumps(debugger))
    cluster.kubectl("set", "image", "-n", namespace, "deployment/web", "web=example.invalid/web:2")
    cluster.kubectl("delete", "pod/plain", "-n", namespace, "--wait=false")
    yield namespace
    cluster.kubectl("patch", "pod/plain", "-n", namespace, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    made = [target for target in CLUSTER_SCOPED if PREFIX in target]
    for target in made:
        cluster.kubectl("delete", target, "--wait=false", code=None)


def signing_request() -> dict[str, object]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "ann"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "dev"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ops"),
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
        ]
    )
    names = x509.SubjectAlternativeName([x509.DNSName("a.example.com"), x509.DNSName("b.example.com"), x509.RFC822Name("a@b.c")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(names, False).sign(key, hashes.SHA256())
    spec = {
        "signerName": "example.com/nobody",
        "expirationSeconds": 86400,
        "usages": ["client auth"],
        "request": base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode(),
    }
    kind = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest"}
    return {**kind, "metadata": {"name": PREFIX, "labels": {"a": "b"}}, "spec": spec}


def test_every_kind_is_described_as_upstream_describes_it(cluster: Cluster, described: str) -> None:
    assert_same(cluster, "describe", NAMESPACED, "-n", described, "--show-events=false")
    assert_same(cluster, "describe", UNORDERED, "-n", described, unordered=True)
    assert_same(cluster, "describe", *CLUSTER_SCOPED)
    assert_same(cluster, "describe", "namespace", described)
    assert_same(cluster, "describe", "nodes")
    # With events: those of a pod that is on its way out, one of which was noted long ago.
    assert_same(cluster, "describe", "pod/plain", "-n", described)
    # By prefix, by label, in another version, from a file, and what is not there.
    assert_same(cluster, "describe", "rs", "web", "-n", described)
    assert_same(cluster, "describe", "pods", "-l", "app=full", "-n", described, "--show-events=false")
    assert_same(cluster, "describe", "pods", "-l", "app=nobody", "-n", described)
    assert_same(cluster, "describe", "pod", "nobody", "-n", described, code=1)
    assert_same(cluster, "describe", code=1)
