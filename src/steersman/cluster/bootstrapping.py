"""What lets nodes join with a bootstrap token: who may ask for which certificate, and the cluster's public description.

kubeadm's objects under our own names. A token's holder (group below) may ask for a node's client certificate; a node renews its
own and asks for its serving certificate, and for tokens of the accounts that its proxy and DNS act as (api/nodeagents.py).
Anybody may read kube-public/cluster-info: its signatures, made by the bootstrap signer, prove it to who holds a token, and the
pin (pki.pin) to who was told it.
"""

from __future__ import annotations

from steersman.api import bootstraptokens, nodeagents
from steersman.api.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    CONFIG_MAPS,
    ROLE_BINDINGS,
    ROLES,
    SERVICE_ACCOUNTS,
)
from steersman.client import kubeconfig
from steersman.cluster import clusterinfo
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
        *_agents(nodes),
        *_cluster_info(settings, ca_pem),
        clusterinfo.config_map(settings),
        *_role(clusterinfo.NAMESPACE, "steersman:node-config", _reading(clusterinfo.NAME), tokens),
    )


def _agents(nodes: Obj) -> tuple[tuple[Resource, Obj], ...]:
    """The accounts of what works beside a kubelet, what they may read (DNS: see addons.py), and that nodes may act as them."""
    space = nodeagents.NAMESPACE
    tokens = {"apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": list(nodeagents.ACCOUNTS)}
    accounts = [
        (SERVICE_ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": space}})
        for name in nodeagents.ACCOUNTS
    ]
    proxy = {"kind": "ServiceAccount", "name": nodeagents.PROXY, "namespace": space}
    return (
        *accounts,
        _binding("steersman:node-proxier", "system:node-proxier", proxy),
        *_role(space, "steersman:node-agents", {**tokens, "verbs": ["create"]}, nodes),
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
    anybody = {"apiGroup": _RBAC, "kind": "User", "name": "system:anonymous"}
    return (CONFIG_MAPS, info), *_role(namespace, _INFO_ROLE, _reading(metadata["name"]), anybody)


def _reading(config_map: str) -> Obj:
    return {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [config_map], "verbs": ["get"]}


def _role(namespace: str, name: str, rule: Obj, subject: Obj) -> tuple[tuple[Resource, Obj], ...]:
    """A role of that name, and its binding."""
    base: Obj = {"apiVersion": f"{_RBAC}/v1", "metadata": {"name": name, "namespace": namespace}}
    reference = {"apiGroup": _RBAC, "kind": "Role", "name": name}
    return (
        (ROLES, {**base, "kind": "Role", "rules": [rule]}),
        (ROLE_BINDINGS, {**base, "kind": "RoleBinding", "roleRef": reference, "subjects": [subject]}),
    )


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
