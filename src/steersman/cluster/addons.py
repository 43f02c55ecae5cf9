"""Objects of the cluster's own services, written by the administrator at `up`.

The DNS Service and who may publish it; the storage class for volumes on nodes' own disks, and what its provisioner may do.
What nodes need to join is in bootstrapping.py, the cloud controllers' roles in cloud.py.
"""

from __future__ import annotations

from steersman.api import nodeagents
from steersman.api.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    ROLE_BINDINGS,
    ROLES,
    SERVICE_ACCOUNTS,
    SERVICES,
    STORAGE_CLASSES,
)
from steersman.client.interface import Client
from steersman.cluster import bootstrapping, cloud
from steersman.cluster.settings import ClusterSettings
from steersman.controllers import nodedns
from steersman.loop import localpath
from steersman.machinery.errors import NotFound
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, name_of, namespace_of

_LABELS = {"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}
_ROLE = "steersman:dns"
_GROUP = "rbac.authorization.k8s.io"


async def ensure(client: Client, settings: ClusterSettings, ca_pem: bytes) -> None:
    """Create what is missing; what is there is left as it is."""
    for resource, obj in (*dns(settings), *local_path(), *bootstrapping.objects(settings, ca_pem), *cloud.objects()):
        # Asked first: creating a Service anew is refused for its address, not for its name.
        try:
            await client.get(resource, name_of(obj), namespace_of(obj))
        except NotFound:
            await client.create(resource, obj)


def dns(settings: ClusterSettings) -> tuple[tuple[Resource, Obj], ...]:
    """The objects, in the order of creation."""

    def metadata(name: str, **labels: str) -> Obj:
        return {"name": name, "namespace": "kube-system", "labels": {**_LABELS, **labels}}

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
    readers = [*subjects, {"kind": "ServiceAccount", "name": nodeagents.DNS, "namespace": nodeagents.NAMESPACE}]
    cluster_metadata = {"name": _ROLE, "labels": _LABELS}
    reader: Obj = {"apiVersion": f"{_GROUP}/v1", "kind": "ClusterRole", "metadata": cluster_metadata, "rules": seen}
    reading: Obj = {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": cluster_metadata,
        "roleRef": {"apiGroup": _GROUP, "kind": "ClusterRole", "name": _ROLE},
        "subjects": readers,
    }
    role: Obj = {"apiVersion": f"{_GROUP}/v1", "kind": "Role", "metadata": metadata(_ROLE), "rules": [rule]}
    binding: Obj = {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "RoleBinding",
        "metadata": metadata(_ROLE),
        "roleRef": {"apiGroup": _GROUP, "kind": "Role", "name": _ROLE},
        "subjects": [*subjects, {"kind": "ServiceAccount", "name": nodedns.SPEC.name, "namespace": "kube-system"}],
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


def local_path() -> tuple[tuple[Resource, Obj], ...]:
    """The default storage class, and its provisioner's role."""
    name = "steersman:local-path-provisioner"
    role: Obj = {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": [
            {"apiGroups": [""], "resources": ["persistentvolumes"], "verbs": ["get", "create", "update", "delete"]},
            {"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["get", "update"]},
            {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "patch"]},
        ],
    }
    binding: Obj = {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": _GROUP, "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "local-path-provisioner", "namespace": "kube-system"}],
    }
    storage_class: Obj = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "local-path", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": localpath.NAME,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    return (CLUSTER_ROLES, role), (CLUSTER_ROLE_BINDINGS, binding), (STORAGE_CLASSES, storage_class)
