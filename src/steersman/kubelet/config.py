"""Settings of a kubelet. cluster/ or the command line fills them; nothing here reads files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from steersman.machinery.meta import Obj


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeletConfig:
    """What `steersman kubelet` needs to know. Names and defaults follow KubeletConfiguration where it has the field."""

    node_name: str
    root_dir: Path = Path("/var/lib/steersman/kubelet")
    pod_logs_dir: Path = Path("/var/log/pods")
    container_logs_dir: Path | None = None
    """Where `<pod>_<ns>_<container>-<id>.log` links go; None makes none."""
    node_ip: str = ""
    """Empty: the address of the default route."""
    node_labels: Mapping[str, str] = field(default_factory=dict)
    node_annotations: Mapping[str, str] = field(default_factory=dict)
    register_with_taints: tuple[Obj, ...] = ()
    register_again: bool = True
    """Whether a Node that was deleted is made again. Upstream's kubelets don't, until they are started anew."""
    address: str = "0.0.0.0"
    port: int = 10250
    tls_cert_file: Path | None = None
    """Without a certificate the HTTPS server is not started."""
    tls_private_key_file: Path | None = None
    client_ca_file: Path | None = None
    cgroup_root: str = "/kubepods"
    """The node level cgroup, as a path below every controller."""
    cgroup_mount: Path = Path("/sys/fs/cgroup")
    enforce_cgroups: bool = True
    """False leaves cgroups alone: tests with a simulated runtime."""
    secrets_in_memory: bool = True
    """False writes Secrets and tokens into plain folders: kubelets without root, tests."""
    capacity: Mapping[str, str] | None = None
    """What the node has to offer; None: what the machine has."""
    node_info: Obj | None = None
    """Node.status.nodeInfo without the runtime's version; None: the machine's."""
    cluster_dns: tuple[str, ...] = ()
    cluster_domain: str = "cluster.local"
    resolv_conf: Path = Path("/etc/resolv.conf")
    local_path_dir: Path | None = None
    """Where volumes of the local-path provisioner live; None: this node offers none."""
    max_pods: int = 110
    kube_reserved: Mapping[str, str] = field(default_factory=dict)
    system_reserved: Mapping[str, str] = field(default_factory=dict)
    eviction_hard_memory: str = "100Mi"
    static_pod_path: Path | None = None
    """A directory with manifests of static pods, or one such file."""
    static_pod_url: str = ""
    static_pod_url_headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    file_check_frequency_s: float = 20.0
    http_check_frequency_s: float = 20.0
    allowed_unsafe_sysctls: tuple[str, ...] = ()
    sync_frequency_s: float = 60.0
    node_status_update_frequency_s: float = 10.0
    node_status_report_frequency_s: float = 300.0
    node_lease_duration_s: int = 40
    relist_s: float = 1.0
    """How often the runtime is listed when it has no working event stream; with one it is ten times that."""
    max_crash_loop_backoff_s: float = 300.0
    container_log_max_size: int = 10 * 1024 * 1024
    container_log_max_files: int = 5

    def pod_dir(self, uid: str) -> Path:
        return self.root_dir / "pods" / uid

    def pod_log_dir(self, namespace: str, name: str, uid: str) -> Path:
        return self.pod_logs_dir / f"{namespace}_{name}_{uid}"
