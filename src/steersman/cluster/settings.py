"""A cluster's settings: what was chosen when it was made. Where its files are: paths.py."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

from steersman.cluster.accessoptions import AccessOptions
from steersman.cluster.apioptions import ApiOptions
from steersman.cluster.paths import DEFAULT_STATE_DIR, Paths, default_state_dir
from steersman.machinery import names

# Who needs the settings needs these as well.
__all__ = ["DEFAULT_STATE_DIR", "Paths", "default_state_dir"]

NODE_GRACE_S = 50.0


class SettingsError(Exception):
    """One sentence for the person at the terminal."""


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
    access: AccessOptions = AccessOptions()
    """Of this machine's API server. May change while nothing runs."""
    apiserver_cert_extra_sans: tuple[str, ...] = ()
    """Names and addresses in its certificate, beside those that it has anyway. So may these."""

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


def node_name_of(chosen: str, flag: str = "--node-name") -> str:
    """The chosen name, or the host's. Raises SettingsError if no Node can have it."""
    name = chosen or default_node_name()
    for complaint in names.dns1123_subdomain(name):
        whose = f"{flag} {name}" if chosen else f"the host name {name} can be no node's, {flag} gives another"
        raise SettingsError(f"{whose}: {complaint}")
    return name


def default_address(flag: str = "--advertise-address") -> str:
    """The address this machine would use to reach others; no packet is sent. Raises SettingsError if there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.254", 9))
        except OSError:
            raise SettingsError(f"no address found for this node: no interface has a route; name one with {flag}") from None
        return str(probe.getsockname()[0])


def load(paths: Paths) -> ClusterSettings | None:
    """The settings of an existing cluster, None if there is none. Raises SettingsError if it is damaged, or somebody else's."""
    try:
        body = json.loads(paths.settings.read_text())
    except FileNotFoundError:
        return None
    except PermissionError:
        raise SettingsError(f"{paths.state} belongs to root: run it again with sudo") from None
    except (OSError, ValueError) as fault:
        raise SettingsError(f"{paths.settings} cannot be read: {fault}; put it right by hand, everything goes by it") from fault
    try:
        for field in ("node_ports", "node_labels", "etcd_servers", "apiserver_cert_extra_sans"):
            if field in body:
                body[field] = tuple(body[field])
        if "api" in body:
            body["api"] = ApiOptions(**body["api"])
        if "access" in body:
            body["access"] = AccessOptions(**body["access"])
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
