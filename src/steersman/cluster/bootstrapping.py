"""What lets nodes join with a bootstrap token: who may ask for which certificate, and the cluster's public description.

kubeadm's objects under our own names. A token's holder (group below) may ask for a node's client certificate; a node renews its
own and asks for its serving certificate. Anybody may read kube-public/cluster-info: its signatures, made by the bootstrap signer,
prove it to who holds a token, and the pin (pki.pin) to who was told it.
"""

from __future__ import annotations

from steersman.api import bootstraptokens
from steersman.api.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, CONFIG_MAPS, ROLE_BINDINGS, ROLES
from steersman.client import kubeconfig
from steersman.cluster.settings import ClusterSettings
from steersman.machinery import yamlio
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

NODE_TOKENS = "system:bootstrappers:steersman:default-node-token"
"""The group of tokens that nodes join with; `steersman token create` gives it."""
_RBAC = "rbac.authorization.k8s.io"
_REQUESTS = "system:certificates.k8s.io:certificatesigningrequests:"
_SERVING_ROLE = "steersman:certificatesigningrequests:selfnodeserver"
_INFO_ROLE = "steersman:bootstrap-signer-clusterinfo"


def objects(settings: ClusterSettings, ca_pem: bytes) -> tuple[tuple[Resource, Obj], ...]:
    """The objects, in the order of creation."""
    tokens, nodes = _group(NODE_TOKENS), _group("system:nodes")
    controller = {"kind": "ServiceAccount", "name": "certificate-controller", "namespace": "kube-system"}
    asking = {"apiGroups": ["certificates.k8s.io"], "resources": ["certificatesigningrequests/selfnodeserver"]}
    return (
        _cluster_role(_SERVING_ROLE, {**asking, "verbs": ["create"]}),
        _cluster_role("steersman:get-nodes", {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}),
        _binding("steersman:kubelet-bootstrap", "system:node-bootstrapper", tokens),
        _binding("steersman:get-nodes", "steersman:get-nodes", tokens),
        _binding("steersman:node-autoapprove-bootstrap", _REQUESTS + "nodeclient", tokens),
        _binding("steersman:node-autoapprove-certificate-rotation", _REQUESTS + "selfnodeclient", nodes),
        _binding("steersman:node-autoapprove-serving", _SERVING_ROLE, nodes),
        _binding("steersman:kubelet-serving-approver", "system:certificates.k8s.io:kubelet-serving-approver", controller),
        *_cluster_info(settings, ca_pem),
    )


def _cluster_info(settings: ClusterSettings, ca_pem: bytes) -> tuple[tuple[Resource, Obj], ...]:
    namespace = bootstraptokens.CLUSTER_INFO_NAMESPACE
    public = kubeconfig.make("", settings.public_server, ca=ca_pem)
    described = {**kubeconfig.empty(), "clusters": public["clusters"]}
    metadata = {"name": bootstraptokens.CLUSTER_INFO, "namespace": namespace}
    info: Obj = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {bootstraptokens.KUBECONFIG_KEY: yamlio.dump(described)},
    }
    reading = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [metadata["name"]], "verbs": ["get"]}
    role_metadata = {"name": _INFO_ROLE, "namespace": namespace}
    role: Obj = {"apiVersion": f"{_RBAC}/v1", "kind": "Role", "metadata": role_metadata, "rules": [reading]}
    binding: Obj = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": role_metadata,
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": _INFO_ROLE},
        "subjects": [{"apiGroup": _RBAC, "kind": "User", "name": "system:anonymous"}],
    }
    return (CONFIG_MAPS, info), (ROLES, role), (ROLE_BINDINGS, binding)


def _cluster_role(name: str, rule: Obj) -> tuple[Resource, Obj]:
    return CLUSTER_ROLES, {"apiVersion": f"{_RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": [rule]}


def _binding(name: str, role: str, subject: Obj) -> tuple[Resource, Obj]:
    made: Obj = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [subject],
    }
    return CLUSTER_ROLE_BINDINGS, made


def _group(name: str) -> Obj:
    return {"apiGroup": _RBAC, "kind": "Group", "name": name}
