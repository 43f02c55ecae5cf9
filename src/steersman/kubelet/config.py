"""Settings of a kubelet. cluster/, the command line or a KubeletConfiguration fill them; nothing here reads files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steersman.kubelet.configuration.fields import with_defaults
from steersman.kubelet.credentials.configuration import Provider
from steersman.machinery.meta import Obj


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeletConfig:
    """What `steersman kubelet` needs to know. Names and defaults follow KubeletConfiguration where it has the field."""

    node_name: str
    configuration: Mapping[str, Any] = field(default_factory=lambda: with_defaults({}))
    """The whole KubeletConfiguration, with defaults. What has a field of its own below is read from there, not from here."""
    root_dir: Path = Path("/var/lib/steersman/kubelet")
    pod_logs_dir: Path = Path("/var/log/pods")
    container_logs_dir: Path | None = None
    """Where `<pod>_<ns>_<container>-<id>.log` links go; None makes none."""
    node_ip: str = ""
    """Empty: the address of the default route."""
    node_labels: Mapping[str, str] = field(default_factory=dict)
    node_annotations: Mapping[str, str] = field(default_factory=dict)
    register_with_taints: tuple[Obj, ...] = ()
    register_node: bool = True
    provider_id: str = ""
    register_again: bool = True
    """Whether a Node that was deleted is made again. Upstream's kubelets don't, until they are started anew."""
    address: str = "0.0.0.0"
    port: int = 10250
    enable_server: bool = True
    tls_cert_file: Path | None = None
    """Without a certificate the HTTPS server is not started."""
    tls_private_key_file: Path | None = None
    client_ca_file: Path | None = None
    tls_min_version: str = ""
    """`VersionTLS12` or `VersionTLS13`; empty: TLS 1.2."""
    tls_cipher_suites: tuple[str, ...] = ()
    """IANA's names; empty: OpenSSL's choice. TLS 1.3 has its own."""
    anonymous: bool = False
    """Whether who shows no credentials may ask, as system:anonymous."""
    token_webhook: bool = True
    """Whether bearer tokens are asked about at the API server."""
    always_allow: bool = False
    """Whether everybody who is known may do everything, without asking the API server."""
    token_ttl_s: float = 120.0
    allowed_ttl_s: float = 300.0
    denied_ttl_s: float = 30.0
    debugging_handlers: bool = True
    """Whether the server has exec, attach, port-forward, logs and run."""
    node_logs_handler: bool = True
    """Whether the server shows the node's /var/log."""
    healthz_port: int = 0
    """Where /healthz answers everybody, without TLS; 0: nowhere."""
    healthz_bind_address: str = "127.0.0.1"
    cgroup_root: str = "/kubepods"
    """The node level cgroup, as a path below every controller."""
    cgroup_mount: Path = Path("/sys/fs/cgroup")
    enforce_cgroups: bool = True
    """False leaves cgroups alone: tests with a simulated runtime."""
    watch_resources: bool = True
    """False ends no pod when the machine runs short: nodes that are not the machine, tests."""
    plugins: bool = True
    """False takes no plugins, so no CSI volumes: nodes that are not the machine, tests."""
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
    pods_per_core: int = 0
    pod_pids_limit: int = 0
    """How many processes a pod may have; 0: any number."""
    cpu_quota: bool = True
    """Whether CPU limits are enforced."""
    seccomp_default: bool = False
    """Whether containers that say nothing of seccomp have the runtime's profile, instead of none."""
    node_status_max_images: int = 50
    """How many images the Node shows; -1: all."""
    max_parallel_image_pulls: int = 0
    """0: any number."""
    registry_pull_qps: float = 0.0
    """0: no limit."""
    registry_burst: int = 10
    image_credential_providers: tuple[Provider, ...] = ()
    """Plugins that know credentials for registries."""
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
    container_log_monitor_s: float = 10.0
    shutdown: tuple[tuple[int, float], ...] = ()
    """(priority, seconds): when the machine shuts down, pods of that priority and up to the next have so long to end."""

    system_bus: str = ""
    """Address of the D-Bus on which logind is; empty: the system's."""

    def pod_dir(self, uid: str) -> Path:
        return self.root_dir / "pods" / uid

    def pod_log_dir(self, namespace: str, name: str, uid: str) -> Path:
        return self.pod_logs_dir / f"{namespace}_{name}_{uid}"

    def container_log_link(self, namespace: str, name: str, container: str, container_id: str) -> Path | None:
        """Where log collectors look for a container's log (`/var/log/containers/…`); None: here none do."""
        if self.container_logs_dir is None:
            return None
        stem = f"{name}_{namespace}_{container}-{container_id}"[: 255 - len(".log")]
        return self.container_logs_dir / f"{stem}.log"
