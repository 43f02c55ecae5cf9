"""Where a cluster's files are. One state directory holds everything that must outlive a reboot.

Apart from settings.py, as kubectl needs no more than this and has to start fast.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

DEFAULT_STATE_DIR = Path("/var/lib/steersman")


def default_state_dir() -> Path:
    """STEERSMAN_STATE_DIR; else root's place, or the user's own (XDG base directories: state that outlives a restart)."""
    chosen = os.environ.get("STEERSMAN_STATE_DIR")
    if chosen:
        return Path(chosen)
    if os.geteuid() == 0:
        return DEFAULT_STATE_DIR
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "steersman"


@dataclass(frozen=True, slots=True)
class Paths:
    """Files of one cluster. `run` is for what a reboot may forget: pids, locks, sockets, network namespaces."""

    state: Path

    @property
    def run(self) -> Path:
        return self.state / "run"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def kubeconfigs(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def admin_kubeconfig(self) -> Path:
        return self.kubeconfigs / "admin.conf"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def store(self) -> Path:
        return self.state / "store.db"

    @property
    def etcd(self) -> Path:
        return self.state / "etcd"

    @property
    def kubelet(self) -> Path:
        return self.state / "kubelet"

    @property
    def kubelet_pki(self) -> Path:
        """Certificates that the kubelet got from the cluster."""
        return self.kubelet / "pki"

    @property
    def local_path(self) -> Path:
        """Volumes of the local-path provisioner."""
        return self.state / "local-path"

    @property
    def pod_logs(self) -> Path:
        return self.state / "pod-logs"

    @property
    def containers(self) -> Path:
        return self.state / "containers"

    @property
    def cri_socket(self) -> Path:
        """The native runtime's, for crictl, or whoever else speaks CRI."""
        return self.run / "cri.sock"

    @property
    def leader_identity(self) -> Path:
        """As whom this cluster's scheduler and controllers hold their leases."""
        return self.run / "leader-identity"

    @property
    def api_servers(self) -> Path:
        """Those that a joined node knew last."""
        return self.state / "api-servers.json"

    @property
    def settings(self) -> Path:
        return self.state / "cluster.json"

    @property
    def manifests(self) -> Path:
        """Static pods of this machine; yours to fill, like kubeadm's /etc/kubernetes/manifests."""
        return self.state / "manifests"

    @property
    def registries(self) -> Path:
        return self.state / "registries.yaml"

    def pid_file(self, component: str) -> Path:
        return self.run / f"{component}.pid"

    def log_file(self, component: str) -> Path:
        return self.logs / f"{component}.log"
