"""NodeRestriction: a kubelet writes only its own Node, Lease, CSINode and the pods bound to it, and asks for its certificates.

Source: upstream plugin/pkg/admission/noderestriction. Reading is the node authorizer's matter. Pods and tokens:
node_restriction_pods.py, node_restriction_tokens.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from steersman.api.resources import (
    CERTIFICATE_SIGNING_REQUESTS,
    LEASES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    SERVICE_ACCOUNTS,
)
from steersman.apiserver.admission import node_restriction_pods as pods
from steersman.apiserver.admission.node_restriction_tokens import NodeTokens
from steersman.apiserver.admission.refusal import refused
from steersman.apiserver.authz import Authorization
from steersman.apiserver.authz.node import node_of
from steersman.apiserver.contracts import AdmissionRequest
from steersman.apiserver.lookup import Lookup
from steersman.machinery.meta import Obj, dig, labels_of, name_of

_NODE_SIGNERS = ("kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet")
_LEASE_NAMESPACE = "kube-node-lease"
_RESTRICTED = "node-restriction.kubernetes.io"
_KUBERNETES = ("kubernetes.io", "k8s.io")
_KUBELET_DOMAINS = ("kubelet.kubernetes.io", "node.kubernetes.io")
_KUBELET_LABELS = frozenset(
    (
        "kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch", "beta.kubernetes.io/os", "beta.kubernetes.io/arch",
        "node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type",
        "topology.kubernetes.io/zone", "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
    )
)  # fmt: skip
_CLAIM_STATUS = ("capacity", "conditions", "allocatedResources", "allocatedResourceStatuses")

_Check = Callable[[Lookup, str, AdmissionRequest], Awaitable[None]]


class NodeRestriction:
    name = "NodeRestriction"

    def __init__(self, lookup: Lookup, authorization: Authorization) -> None:
        self._lookup = lookup
        self._tokens = NodeTokens(lookup, authorization)

    async def admit(self, request: AdmissionRequest) -> None:
        node = node_of(request.user)
        if node is None:
            return
        where = (request.resource.group, request.resource.plural)
        check = _CHECKS.get(where)
        if not node:
            raise refused(request, f'could not determine node from user "{request.user.name}"')
        if check is not None:
            await check(self._lookup, node, request)
        elif where == (SERVICE_ACCOUNTS.group, SERVICE_ACCOUNTS.plural):
            await self._tokens.check(node, request)


async def _node(_lookup: Lookup, node: str, request: AdmissionRequest) -> None:
    asked = request.name or name_of(request.obj or {})
    if asked != node:
        raise refused(request, f'node "{node}" is not allowed to modify node "{asked}"')
    new, old = request.obj, request.old
    if new is None:
        return
    if request.operation == "CREATE":
        if dig(new, "spec", "configSource") is not None:
            raise refused(request, f'node "{node}" is not allowed to create pods with a non-nil configSource')
        refused_labels = [key for key in sorted(labels_of(new)) if is_refused(key)]
        if refused_labels:
            raise refused(request, f'node "{node}" is not allowed to set the following labels: {", ".join(refused_labels)}')
        return
    if old is None:
        return
    source = dig(new, "spec", "configSource")
    if source is not None and source != dig(old, "spec", "configSource"):
        raise refused(request, f'node "{node}" is not allowed to update configSource to a new non-nil configSource')
    # Taints and labels steer work to nodes: a node that could change its own could draw pods (and their secrets) to itself.
    if (dig(new, "spec", "taints") or []) != (dig(old, "spec", "taints") or []):
        raise refused(request, f'node "{node}" is not allowed to modify taints')
    if (dig(new, "metadata", "ownerReferences") or []) != (dig(old, "metadata", "ownerReferences") or []):
        raise refused(request, f'node "{node}" is not allowed to modify ownerReferences')
    changed = [key for key in sorted(_changed(labels_of(new), labels_of(old))) if is_refused(key)]
    if changed:
        raise refused(request, f"is not allowed to modify labels: {', '.join(changed)}")


async def _claim(_lookup: Lookup, node: str, request: AdmissionRequest) -> None:
    if request.subresource != "status":
        raise refused(request, "may only update PVC status")
    if request.operation != "UPDATE" or request.obj is None or request.old is None:
        raise refused(request, f'unexpected operation "{request.operation}"')
    if _without_resize(request.obj) != _without_resize(request.old):
        raise refused(request, f'node "{node}" is not allowed to update fields other than status.quantity and status.conditions')


async def _lease(_lookup: Lookup, node: str, request: AdmissionRequest) -> None:
    if request.namespace != _LEASE_NAMESPACE:
        raise refused(request, f'can only access leases in the "{_LEASE_NAMESPACE}" system namespace')
    if (request.name or name_of(request.obj or {})) != node:
        raise refused(request, "can only access node lease with the same name as the requesting node")


async def _csi_node(_lookup: Lookup, node: str, request: AdmissionRequest) -> None:
    if (request.name or name_of(request.obj or {})) != node:
        raise refused(request, "can only access CSINode with the same name as the requesting node")


async def _resource_slice(_lookup: Lookup, node: str, request: AdmissionRequest) -> None:
    where = dig(request.obj or request.old, "spec", "nodeName", default="")
    if request.operation in ("CREATE", "DELETE") and where != node:
        what = "create" if request.operation == "CREATE" else "delete"
        raise refused(request, f"can only {what} ResourceSlice with the same NodeName as the requesting node")


def _changed(new: Mapping[str, str], old: Mapping[str, str]) -> set[str]:
    return {key for key in {*new, *old} if new.get(key) != old.get(key)}


def is_refused(label: str) -> bool:
    """Whether a kubelet may not give its Node this label."""
    domain, slash, _ = label.rpartition("/")
    if not slash:
        return False
    if _within(domain, (_RESTRICTED,)):
        return True
    return _within(domain, _KUBERNETES) and label not in _KUBELET_LABELS and not _within(domain, _KUBELET_DOMAINS)


def _within(domain: str, parents: tuple[str, ...]) -> bool:
    return any(domain == parent or domain.endswith(f".{parent}") for parent in parents)


def _without_resize(claim: Obj) -> Obj:
    """The claim without what a kubelet reports when it has grown the file system, and without write bookkeeping."""
    status = {key: value for key, value in (claim.get("status") or {}).items() if key not in _CLAIM_STATUS}
    metadata = {
        key: value for key, value in (claim.get("metadata") or {}).items() if key not in ("managedFields", "resourceVersion")
    }
    return {"metadata": metadata, "spec": claim.get("spec"), "status": status}


async def _certificate(_lookup: Lookup, node: str, request: AdmissionRequest) -> None:
    """A node asks for certificates of its own name."""
    spec: Obj = (request.obj or {}).get("spec") or {}
    if request.operation != "CREATE" or spec.get("signerName") not in _NODE_SIGNERS:
        return
    from cryptography.x509.oid import NameOID  # needed for this kind alone, and slow to load

    from steersman.api.validation.certificates import parse_request

    try:
        names = parse_request(spec).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError as error:
        raise refused(request, f"unable to parse csr: {error}") from None
    if [name.value for name in names][-1:] != [request.user.name]:
        raise refused(request, f"can only create a node CSR with CN={request.user.name}")


_CHECKS: Mapping[tuple[str, str], _Check] = {
    ("", PODS.plural): pods.check_pod,
    ("", NODES.plural): _node,
    ("", PERSISTENT_VOLUME_CLAIMS.plural): _claim,
    (LEASES.group, LEASES.plural): _lease,
    (CERTIFICATE_SIGNING_REQUESTS.group, CERTIFICATE_SIGNING_REQUESTS.plural): _certificate,
    ("storage.k8s.io", "csinodes"): _csi_node,
    ("resource.k8s.io", "resourceslices"): _resource_slice,
}
