"""The kubeconfig files of a cluster's components and of its administrator."""

from __future__ import annotations

import base64

import yaml

from steersman.cluster.settings import ClusterSettings, Paths, write_private
from steersman.machinery.meta import Obj

COMPONENTS = ("admin", "scheduler", "controller-manager", "kubelet", "proxy", "dns")


def ensure(paths: Paths, settings: ClusterSettings) -> None:
    """Write each kubeconfig (0600) that is not as it should be; certificates are embedded."""
    for component in COMPONENTS:
        server = settings.public_server if component == "admin" else settings.server
        content = yaml.safe_dump(kubeconfig(paths, component, server), sort_keys=False).encode()
        path = paths.kubeconfigs / f"{component}.conf"
        if not path.exists() or path.read_bytes() != content:
            write_private(path, content)


def kubeconfig(paths: Paths, component: str, server: str) -> Obj:
    """A v1 Config with one cluster, user and context, all of the name `steersman`."""

    def embedded(name: str) -> str:
        return base64.b64encode((paths.pki / name).read_bytes()).decode()

    user = {"client-certificate-data": embedded(f"{component}.crt"), "client-key-data": embedded(f"{component}.key")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "steersman", "cluster": {"certificate-authority-data": embedded("ca.crt"), "server": server}}],
        "users": [{"name": f"steersman-{component}", "user": user}],
        "contexts": [{"name": "steersman", "context": {"cluster": "steersman", "user": f"steersman-{component}"}}],
        "current-context": "steersman",
    }
