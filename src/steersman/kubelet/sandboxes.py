"""A pod's sandbox: its configuration, pure and made anew for every call that needs it; and a place in it, for containers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from steersman.cri.messages import DNSConfig, IdMapping, NamespaceMode, PortMapping, SandboxConfig
from steersman.kubelet import naming, pods, security
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.kit import seccomp_dir
from steersman.kubelet.resources import cgroup_parent
from steersman.kubelet.view import NAME_LABEL, NAMESPACE_LABEL, UID_LABEL, PodView
from steersman.machinery.meta import Obj, annotations_of, dig, labels_of, name_of, namespace_of, uid_of


@dataclass(frozen=True, slots=True)
class Place:
    """Where a container starts: its pod, sandbox, addresses, volumes, pull secrets."""

    pod: Obj
    view: PodView
    sandbox_id: str
    sandbox: SandboxConfig
    pod_ips: Sequence[str]
    volumes: Mapping[str, Path]
    pull_secrets: Sequence[Obj]


def pod_labels(pod: Obj) -> dict[str, str]:
    return {NAME_LABEL: name_of(pod), NAMESPACE_LABEL: namespace_of(pod), UID_LABEL: uid_of(pod)}


def port_mappings(pod: Obj) -> tuple[PortMapping, ...]:
    """Host ports; with host network the containers bind them themselves."""
    if pods.is_host_network(pod):
        return ()
    found = []
    for spec in pods.all_containers(pod):
        for port in spec.get("ports") or ():
            if port.get("hostPort"):
                protocol = port.get("protocol") or "TCP"
                found.append(PortMapping(protocol, port["containerPort"], port["hostPort"], port.get("hostIP") or ""))
    return tuple(found)


def sandbox_config(
    pod: Obj, attempt: int, config: KubeletConfig, dns: DNSConfig | None, id_mappings: tuple[IdMapping, ...] = ()
) -> SandboxConfig:
    """Raises ValueError when the host name can't be made."""
    context = dig(pod, "spec", "securityContext", default=None) or {}
    host_network = pods.is_host_network(pod)
    privileged = any((spec.get("securityContext") or {}).get("privileged") for spec in pods.all_containers(pod))
    name, namespace, uid = name_of(pod), namespace_of(pod), uid_of(pod)
    return SandboxConfig(
        name=name,
        uid=uid,
        namespace=namespace,
        attempt=attempt,
        hostname="" if host_network else naming.kernel_hostname(pod, config.cluster_domain),
        log_directory=str(config.pod_log_dir(namespace, name, uid)),
        dns=dns,
        port_mappings=port_mappings(pod),
        labels={**labels_of(pod), **pod_labels(pod)},
        annotations=annotations_of(pod),
        cgroup_parent=cgroup_parent(pod, config.cgroup_root),
        network=NamespaceMode.NODE if host_network else NamespaceMode.POD,
        pid=security.pid_mode(pod),
        ipc=NamespaceMode.NODE if dig(pod, "spec", "hostIPC", default=False) else NamespaceMode.POD,
        sysctls={item["name"]: item["value"] for item in context.get("sysctls") or ()},
        run_as_user=context.get("runAsUser"),
        run_as_group=context.get("runAsGroup"),
        supplemental_groups=security.supplemental_groups(pod),
        seccomp=security.seccomp(context.get("seccompProfile") or {"type": "RuntimeDefault"}, seccomp_dir(config)),
        privileged=privileged,
        id_mappings=id_mappings,
    )
