"""The kubeconfig files of a cluster's components and of its administrator."""

from __future__ import annotations

from pathlib import Path

from steersman.client import kubeconfig
from steersman.cluster.settings import ClusterSettings, Paths
from steersman.machinery.meta import Obj

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
    """Write each kubeconfig (0600) that is not as it should be; certificates are embedded. See _with_choices of `admin`."""
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
        found = _found(path)
        if found and component == "admin":
            wanted = _with_choices(wanted, found)
        if found != wanted:
            kubeconfig.write(path, wanted)


def _found(path: Path) -> Obj | None:
    """None as well if it is damaged: it is made again."""
    try:
        return kubeconfig.read(path) if path.exists() else None
    except kubeconfig.KubeconfigError:
        return None


def _with_choices(wanted: Obj, found: Obj) -> Obj:
    """The administrator's file is what people set KUBECONFIG to, and change: the namespace of our context, contexts of
    theirs and which of them is current are as they left them.
    """
    ours = wanted["contexts"][0]
    theirs: Obj = next((entry for entry in found.get("contexts") or [] if entry.get("name") == ours["name"]), {})
    context = {"name": ours["name"], "context": {**(theirs.get("context") or {}), **ours["context"]}}
    current = found.get("current-context") or wanted["current-context"]
    return kubeconfig.merge(found, {**wanted, "contexts": [context], "current-context": current})
