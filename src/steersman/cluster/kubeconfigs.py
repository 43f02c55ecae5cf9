"""The kubeconfig files of a cluster's components and of its administrator."""

from __future__ import annotations

from pathlib import Path

from steersman.client import kubeconfig
from steersman.cluster.settings import ClusterSettings, Paths

_CONTROL = ("admin", "scheduler", "controller-manager", "cloud-controller-manager")
_NODE = ("kubelet", "proxy", "dns")
_SIMULATED = ("simulated-nodes",)


def lead(path: Path, server: str) -> None:
    """Let an existing kubeconfig lead to that server."""
    config = kubeconfig.read(path)
    cluster = config["clusters"][0]["cluster"]
    if cluster["server"] != server:
        cluster["server"] = server
        kubeconfig.write(path, config)


def ensure(paths: Paths, settings: ClusterSettings) -> None:
    """Write each kubeconfig (0600) that is not as it should be; certificates are embedded."""
    for component in (*_CONTROL, *(_SIMULATED if settings.simulated_nodes else _NODE)):
        path = paths.kubeconfigs / f"{component}.conf"
        wanted = kubeconfig.make(
            "steersman",
            settings.public_server if component == "admin" else settings.server,
            ca=(paths.pki / "ca.crt").read_bytes(),
            cert=(paths.pki / f"{component}.crt").read_bytes(),
            key=(paths.pki / f"{component}.key").read_bytes(),
            user=f"steersman-{component}",
        )
        if not path.exists() or kubeconfig.read(path) != wanted:
            kubeconfig.write(path, wanted)
