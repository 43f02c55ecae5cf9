"""Objects of the cluster's own services, written by the administrator at `up`: the DNS Service and who may publish it."""

from __future__ import annotations

from steersman.api.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    ROLE_BINDINGS,
    ROLES,
    SERVICE_ACCOUNTS,
    SERVICES,
)
from steersman.client.interface import Client
from steersman.cluster.settings import ClusterSettings
from steersman.machinery.errors import NotFound
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, name_of, namespace_of

_LABELS = {"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}
_ROLE = "steersman:dns"


async def ensure(client: Client, settings: ClusterSettings) -> None:
    """Create what is missing; what is there is left as it is."""
    for resource, obj in objects(settings):
        # Asked first: creating a Service anew is refused for its address, not for its name.
        try:
            await client.get(resource, name_of(obj), namespace_of(obj))
        except NotFound:
            await client.create(resource, obj)


def objects(settings: ClusterSettings) -> tuple[tuple[Resource, Obj], ...]:
    """The objects, in the order of creation."""

    def metadata(name: str, **labels: str) -> Obj:
        return {"name": name, "namespace": "kube-system", "labels": {**_LABELS, **labels}}

    group = "rbac.authorization.k8s.io"
    rule = {
        "apiGroups": ["discovery.k8s.io"],
        "resources": ["endpointslices"],
        "verbs": ["get", "create", "update", "patch", "delete"],
    }
    account: Obj = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata("kube-dns")}
    seen = [
        {"apiGroups": [""], "resources": ["services", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    subjects = [{"kind": "ServiceAccount", "name": "kube-dns", "namespace": "kube-system"}]
    cluster_metadata = {"name": _ROLE, "labels": _LABELS}
    reader: Obj = {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": cluster_metadata, "rules": seen}
    reading: Obj = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": cluster_metadata,
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": _ROLE},
        "subjects": subjects,
    }
    role: Obj = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata(_ROLE), "rules": [rule]}
    binding: Obj = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": metadata(_ROLE),
        "roleRef": {"apiGroup": group, "kind": "Role", "name": _ROLE},
        "subjects": subjects,
    }
    service: Obj = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata("kube-dns"),
        "spec": {
            "clusterIP": settings.dns_address,
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": settings.dns_port},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": settings.dns_port},
            ],
        },
    }
    return (
        (SERVICE_ACCOUNTS, account),
        (CLUSTER_ROLES, reader),
        (CLUSTER_ROLE_BINDINGS, reading),
        (ROLES, role),
        (ROLE_BINDINGS, binding),
        (SERVICES, service),
    )
