"""What `kubectl describe` shows: an object in words, with what is around it (events, pods, endpoints …).

`describe` finds the describer of a kind in `_MODULES`: one module per group of kinds, imported when it is needed, each
with a table DESCRIBERS of kind -> coroutine that writes a Subject to a Writer. Kinds that are not there get generic.py's. The
texts are upstream's to the byte; where upstream prints maps in whatever order they come, ours are sorted.

Not here: finding and fetching the objects (commands/describe.py).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from steersman.cli.kubectl.describe.subject import Describer, Subject
from steersman.cli.kubectl.describe.writer import Writer
from steersman.machinery.gvk import split_api_version
from steersman.machinery.meta import Obj

if TYPE_CHECKING:
    from steersman.client.interface import Client
    from steersman.machinery.clock import Clock

_RBAC, _NETWORKING = "rbac.authorization.k8s.io", "networking.k8s.io"
_MODULES: dict[tuple[str, str], str] = {
    ("", "Pod"): "pods",
    ("", "Node"): "nodes",
    ("", "Service"): "services",
    ("", "Endpoints"): "services",
    ("", "ConfigMap"): "config",
    ("", "Secret"): "config",
    ("", "ServiceAccount"): "config",
    ("", "Namespace"): "quotas",
    ("", "ResourceQuota"): "quotas",
    ("", "LimitRange"): "quotas",
    ("", "PersistentVolume"): "storage",
    ("", "PersistentVolumeClaim"): "storage",
    ("", "ReplicationController"): "workloads",
    ("apps", "Deployment"): "workloads",
    ("apps", "ReplicaSet"): "workloads",
    ("apps", "DaemonSet"): "workloads",
    ("apps", "StatefulSet"): "workloads",
    ("batch", "Job"): "jobs",
    ("batch", "CronJob"): "jobs",
    ("discovery.k8s.io", "EndpointSlice"): "services",
    (_NETWORKING, "Ingress"): "ingresses",
    (_NETWORKING, "IngressClass"): "ingresses",
    (_NETWORKING, "ServiceCIDR"): "ingresses",
    (_NETWORKING, "IPAddress"): "ingresses",
    (_NETWORKING, "NetworkPolicy"): "policies",
    ("policy", "PodDisruptionBudget"): "policies",
    ("scheduling.k8s.io", "PriorityClass"): "policies",
    (_RBAC, "Role"): "rbac",
    (_RBAC, "ClusterRole"): "rbac",
    (_RBAC, "RoleBinding"): "rbac",
    (_RBAC, "ClusterRoleBinding"): "rbac",
    ("storage.k8s.io", "StorageClass"): "storage",
    ("storage.k8s.io", "VolumeAttributesClass"): "storage",
    ("storage.k8s.io", "CSINode"): "nodes",
    ("autoscaling", "HorizontalPodAutoscaler"): "autoscaling",
    ("certificates.k8s.io", "CertificateSigningRequest"): "certificates",
}

DESCRIBED_VERSIONS = {("autoscaling", "HorizontalPodAutoscaler"): "v2"}
"""Where a kind is described in one version only, which need not be the one it was asked for in."""


async def describe(client: Client, obj: Obj, *, show_events: bool = True, clock: Clock) -> str:
    """The description of `obj`, which is as the server has it, with apiVersion and kind.

    Raises StatusError where what belongs to it can't be read, as upstream does; unreadable events are left out.
    """
    w = Writer()
    await describer_of(obj)(Subject(client, obj, clock.now(), show_events), w)
    return w.text()


def describer_of(obj: Obj) -> Describer:
    """The kind's own describer, or the one for any."""
    group, _ = split_api_version(obj.get("apiVersion", ""))
    module = _MODULES.get((group, obj.get("kind", "")))
    if module is None:
        from steersman.cli.kubectl.describe.generic import describe_anything

        return describe_anything
    found: Describer = importlib.import_module(f"{__name__}.{module}").DESCRIBERS[obj["kind"]]
    return found
