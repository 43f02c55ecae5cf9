"""A cluster's settings and where its files are. One state directory holds everything that must outlive a reboot."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

from steersman.cluster.apioptions import ApiOptions

DEFAULT_STATE_DIR = Path("/var/lib/steersman")
NODE_GRACE_S = 50.0


def default_state_dir() -> Path:
    """STEERSMAN_STATE_DIR; else root's place, or the user's own (XDG base directories: state that outlives a restart)."""
    chosen = os.environ.get("STEERSMAN_STATE_DIR")
    if chosen:
        return Path(chosen)
    if os.geteuid() == 0:
        return DEFAULT_STATE_DIR
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "steersman"


class SettingsError(Exception):
    """One sentence for the person at the terminal."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """What was chosen at the first `up` or `join`, kept in cluster.json. Addresses and ranges do not change afterwards."""

    node_name: str
    advertise_address: str
    secure_port: int = 6443
    kubelet_port: int = 10250
    dns_port: int = 10053
    balancer_port: int = 6444
    """On loopback of a machine that has joined: the way to the API servers."""
    cluster_domain: str = "cluster.local"
    cluster_cidr: str = "10.244.0.0/16"
    service_cidr: str = "10.96.0.0/16"
    dns_address: str = "10.96.0.10"
    node_ports: tuple[int, int] = (30000, 32767)
    bridge: str = "steersman0"
    cgroup_root: str = "steersman"
    runtime: str = "native"
    """Or "containerd": one that runs on this machine already."""
    runtime_endpoint: str = ""
    """Its socket."""
    cni_conf_dir: str = ""
    """With the native runtime: CNI plugins wire pods up, as a configuration here says; empty: the bridge does."""
    oci_runtime: str = ""
    store: str = "sqlite"
    """Or "etcd": the one at `etcd_servers`; without those one of the cluster's own, on loopback."""
    etcd_servers: tuple[str, ...] = ()
    """URLs of an etcd that exists already."""
    etcd_cafile: str = ""
    etcd_certfile: str = ""
    etcd_keyfile: str = ""
    """Files with which it is reached, as upstream's flags."""
    etcd_port: int = 12379
    etcd_peer_port: int = 12380
    load_balancer_pool: str = ""
    """Addresses for Services of type LoadBalancer; empty: the nodes' own."""
    simulated_nodes: int = 0
    """So many nodes are simulated in one process, and the machine itself is none."""
    node_monitor_grace_s: float = NODE_GRACE_S
    """How long a node may be silent before it is NotReady."""
    joined_server: str = ""
    """This machine is a node of the cluster whose API server is there (a URL), made by `join`; empty: its own, made by `up`."""
    joined_as: str = ""
    """The address that `join` was given; the cluster may call itself otherwise."""
    pool: str = ""
    """The node's pool."""
    node_labels: tuple[str, ...] = ()
    """`key=value`, which the node registers with."""
    api: ApiOptions = ApiOptions()
    """Of this machine's API server. May change while nothing runs."""

    @property
    def own_etcd(self) -> bool:
        """An etcd is one of the parts."""
        return self.store == "etcd" and not self.etcd_servers and not self.joined_server

    @property
    def server(self) -> str:
        """Where the components of this machine reach the API server."""
        return f"https://127.0.0.1:{self.balancer_port if self.joined_server else self.secure_port}"

    @property
    def public_server(self) -> str:
        return self.joined_server or f"https://{self.advertise_address}:{self.secure_port}"


def default_node_name() -> str:
    """The host name, as the kubelet takes it: lower case."""
    return socket.gethostname().strip().lower() or "node"


def default_address(flag: str = "--advertise-address") -> str:
    """The address this machine would use to reach others; no packet is sent. Raises SettingsError if there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.254", 9))
        except OSError:
            raise SettingsError(f"no address found for this node: no interface has a route; name one with {flag}") from None
        return str(probe.getsockname()[0])


def load(paths: Paths) -> ClusterSettings | None:
    """The settings of an existing cluster, None if there is none. Raises SettingsError if the file is damaged."""
    try:
        body = json.loads(paths.settings.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as fault:
        raise SettingsError(f"{paths.settings} cannot be read: {fault}") from fault
    try:
        for name in ("node_ports", "node_labels", "etcd_servers"):
            if name in body:
                body[name] = tuple(body[name])
        if "api" in body:
            body["api"] = ApiOptions(**body["api"])
        return ClusterSettings(**body)
    except (TypeError, KeyError) as fault:
        raise SettingsError(f"{paths.settings} is not a settings file of this version: {fault}") from fault


def save(paths: Paths, settings: ClusterSettings) -> None:
    """Write atomically, 0600."""
    paths.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(paths.settings, json.dumps(asdict(settings), indent=2).encode() + b"\n")


def write_private(path: Path, content: bytes) -> None:
    """Replace a file atomically with content only its owner may read."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
