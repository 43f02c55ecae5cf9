"""The node authorizer: a kubelet reads what its own pods need, and writes its own Node, Lease and CSINode.

Source: upstream plugin/pkg/auth/authorizer/node. Upstream keeps a graph of all pods' references. Here a question about one
object looks at the pods of that object's namespace and remembers which pod gave the answer: as references of a bound pod
don't change, asking again only checks that this pod is still there and still on the node.
What a node may write into objects is the NodeRestriction admission plugin's matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from steersman.api import noderefs
from steersman.api.resources import PERSISTENT_VOLUMES, PODS
from steersman.apiserver.authz.rules import RuleSet
from steersman.apiserver.contracts import Listers, RequestInfo, UserInfo, Verdict
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, dig, key_of, name_of, namespace_of, uid_of

_PREFIX = "system:node:"
_GROUP = "system:nodes"
_MEMO_LIMIT = 65536
_LEASE_NAMESPACE = "kube-node-lease"
VOLUME_ATTACHMENTS = Resource("storage.k8s.io", "v1", "volumeattachments", False, "VolumeAttachment")

_Answer = tuple[Verdict, str]
_YES: _Answer = (Verdict.ALLOW, "")
_NO: _Answer = (Verdict.NO_OPINION, "")


def node_of(user: UserInfo) -> str | None:
    """The node's name if the user is a node's kubelet ("" when the name is missing), else None."""
    if _GROUP not in user.groups or not user.name.startswith(_PREFIX):
        return None
    return user.name[len(_PREFIX) :]


@dataclass(frozen=True, slots=True)
class _Granted:
    """The pod by which a node reaches an object."""

    namespace: str
    pod: str
    uid: str


class NodeAuthorizer:
    """`rules`: what any node may do without regard to its pods (the role system:node)."""

    def __init__(self, listers: Listers, rules: RuleSet) -> None:
        self._listers = listers
        self._pods = listers(PODS)
        self._rules = rules
        self._memo: dict[tuple[str, str, str, str], _Granted] = {}
        self._by_resource: dict[tuple[str, str], Callable[[str, RequestInfo], _Answer]] = {
            ("", "secrets"): self._read,
            ("", "configmaps"): self._read,
            ("", "persistentvolumeclaims"): self._claim,
            ("", "persistentvolumes"): self._get,
            ("", "serviceaccounts"): self._service_account,
            ("", "nodes"): _node,
            ("", "pods"): self._pod,
            ("resource.k8s.io", "resourceclaims"): self._get,
            ("resource.k8s.io", "resourceslices"): _slice,
            ("storage.k8s.io", "volumeattachments"): self._get,
            ("storage.k8s.io", "csinodes"): _csi_node,
            ("coordination.k8s.io", "leases"): _lease,
        }

    async def authorize(self, user: UserInfo, info: RequestInfo) -> _Answer:
        node = node_of(user)
        if node is None:
            return _NO
        if not node:
            return Verdict.NO_OPINION, f'unknown node for user "{user.name}"'
        if info.is_resource:
            special = self._by_resource.get((info.group, info.plural))
            if special is not None:
                return special(node, info)
            allowed = self._rules.allows(info.verb, info.group, info.plural, info.subresource, info.name)
            return _YES if allowed else _NO
        return _NO

    def _read(self, node: str, info: RequestInfo) -> _Answer:
        """Secrets and config maps: get, and list and watch of a single one."""
        if info.verb not in ("get", "list", "watch"):
            return Verdict.NO_OPINION, "can only read resources of this type"
        if info.subresource:
            return Verdict.NO_OPINION, "cannot read subresource"
        if not info.namespace:
            return Verdict.NO_OPINION, "can only read namespaced object of this type"
        return self._reach(node, info)

    def _get(self, node: str, info: RequestInfo) -> _Answer:
        if info.verb != "get":
            return Verdict.NO_OPINION, "can only get individual resources of this type"
        if info.subresource:
            return Verdict.NO_OPINION, "cannot get subresource"
        return self._reach(node, info)

    def _claim(self, node: str, info: RequestInfo) -> _Answer:
        if info.subresource != "status":
            return self._get(node, info)
        if info.verb not in ("update", "patch", "get"):
            return Verdict.NO_OPINION, "can only get, update or patch status of this type"
        return self._reach(node, info)

    def _service_account(self, node: str, info: RequestInfo) -> _Answer:
        if not info.subresource:
            return self._get(node, info)
        if info.verb != "create" or info.subresource != "token":
            return Verdict.NO_OPINION, "can only create tokens for individual service accounts"
        return self._reach(node, info)

    def _pod(self, node: str, info: RequestInfo) -> _Answer:
        verb = info.verb
        if info.subresource == "status":
            return _YES if verb in ("update", "patch") else _NO
        if info.subresource == "eviction":
            return _YES if verb == "create" else _NO
        if info.subresource:
            return _NO
        if verb in ("create", "delete"):
            return _YES
        if verb == "get":
            return self._reach(node, info)
        if verb in ("list", "watch"):
            if f"spec.nodeName={node}" in info.field_selector.replace("==", "=").split(","):
                return _YES
            if info.name:
                return self._reach(node, info)
            return Verdict.NO_OPINION, "can only list/watch pods with spec.nodeName field selector"
        return _NO

    def _reach(self, node: str, info: RequestInfo) -> _Answer:
        if not info.name:
            return Verdict.NO_OPINION, "No Object name found"
        if self._has_path(node, info.plural, info.namespace, info.name):
            return _YES
        return Verdict.NO_OPINION, f"no relationship found between node '{node}' and this object"

    def _has_path(self, node: str, plural: str, namespace: str, name: str) -> bool:
        key = (node, plural, namespace, name)
        granted = self._memo.get(key)
        if granted is not None:
            pod = self._pods.get(granted.namespace, granted.pod)
            if pod is not None and uid_of(pod) == granted.uid and dig(pod, "spec", "nodeName") == node:
                return True
            del self._memo[key]
        if plural == "volumeattachments":
            return bool(dig(self._cluster_object(VOLUME_ATTACHMENTS, name), "spec", "nodeName") == node)
        via = self._granting_pod(node, plural, namespace, name)
        if via is None:
            return False
        if len(self._memo) >= _MEMO_LIMIT:
            self._memo.clear()
        self._memo[key] = _Granted(namespace_of(via), name_of(via), uid_of(via))
        return True

    def _granting_pod(self, node: str, plural: str, namespace: str, name: str) -> Obj | None:
        if plural == "pods":
            pod = self._pods.get(namespace, name)
            return pod if pod is not None and dig(pod, "spec", "nodeName") == node else None
        if plural == "persistentvolumes":
            claim = dig(self._cluster_object(PERSISTENT_VOLUMES, name), "spec", "claimRef")
            if not claim:
                return None
            return self._granting_pod(node, "persistentvolumeclaims", claim.get("namespace", ""), claim.get("name", ""))
        for pod in self._pods.list(namespace):
            if pod["spec"].get("nodeName") == node and noderefs.refers(pod, plural, name):
                return pod
        return self._by_volume(node, namespace, name) if plural == "secrets" else None

    def _cluster_object(self, resource: Resource, name: str) -> Obj | None:
        return self._listers(resource).get("", name)

    def _by_volume(self, node: str, namespace: str, name: str) -> Obj | None:
        """Secrets that a bound volume's driver needs; they may live outside the pod's namespace."""
        for volume in self._listers(PERSISTENT_VOLUMES).list():
            if (namespace, name) in noderefs.volume_secrets(volume):
                via = self._granting_pod(node, "persistentvolumes", *key_of(volume))
                if via is not None:
                    return via
        return None


def _node(node: str, info: RequestInfo) -> _Answer:
    if info.subresource == "status":
        return _YES if info.verb in ("update", "patch") else _NO
    if info.subresource:
        return _NO
    if info.verb in ("create", "update", "patch"):
        return _YES
    if info.verb in ("get", "list", "watch"):
        if info.name == node:
            return _YES
        if not info.name:
            return Verdict.NO_OPINION, f"node '{node}' cannot read all nodes, only its own Node object"
        return Verdict.NO_OPINION, f"node '{node}' cannot read '{info.name}', only its own Node object"
    return _NO


def _slice(node: str, info: RequestInfo) -> _Answer:
    if info.subresource:
        return Verdict.NO_OPINION, "cannot authorize ResourceSlice subresources"
    if info.verb in ("get", "create", "update", "patch", "delete"):
        return _YES
    if info.verb in ("list", "watch", "deletecollection"):
        if f"spec.nodeName={node}" in info.field_selector.replace("==", "=").split(","):
            return _YES
        return Verdict.NO_OPINION, "can only list/watch/deletecollection resourceslices with spec.nodeName field selector"
    return (
        Verdict.NO_OPINION,
        "only the following verbs are allowed for a ResourceSlice: [get watch list create update patch delete]",
    )


def _csi_node(node: str, info: RequestInfo) -> _Answer:
    if info.verb not in ("get", "create", "update", "patch", "delete"):
        return Verdict.NO_OPINION, "can only get, create, update, patch, or delete a CSINode"
    if info.subresource:
        return Verdict.NO_OPINION, "cannot authorize CSINode subresources"
    if info.verb != "create" and info.name != node:
        return Verdict.NO_OPINION, "can only access CSINode with the same name as the requesting node"
    return _YES


def _lease(node: str, info: RequestInfo) -> _Answer:
    if info.verb not in ("get", "create", "update", "patch", "delete"):
        return Verdict.NO_OPINION, "can only get, create, update, patch, or delete a node lease"
    if info.namespace != _LEASE_NAMESPACE:
        return Verdict.NO_OPINION, f'can only access leases in the "{_LEASE_NAMESPACE}" system namespace'
    if info.verb != "create" and info.name != node:
        return Verdict.NO_OPINION, "can only access node lease with the same name as the requesting node"
    return _YES
