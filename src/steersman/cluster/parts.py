"""The parts that `up` keeps running, in the order in which they start."""

from __future__ import annotations

import importlib
import os
from functools import partial

from steersman.cluster import etcd
from steersman.cluster.settings import ClusterSettings, Paths
from steersman.cluster.supervisor import Part

_MODULES = {
    "apiserver": ("uvloop", "steersman.apiserver.run", "steersman.store.sqlite", "steersman.cluster.apiserving"),
    "control": (
        "steersman.cluster.controlling",
        "steersman.scheduler.run",
        "steersman.controllers",
        "steersman.cluster.cloud",
        "steersman.cloud.controllers",
        "steersman.loop.runner",
        "steersman.client.events",
    ),
    "nodes": ("uvloop", "steersman.cluster.simulated", "steersman.kubelet.server.app"),
    "node": (
        "steersman.cluster.nodeparts",
        "steersman.cluster.node",
        "steersman.kubelet.run",
        "steersman.proxy.run",
        "steersman.dns.run",
    ),
}


def parts(paths: Paths, settings: ClusterSettings) -> tuple[Part, ...]:
    """etcd if it was chosen, API server, control plane, and the node or the simulated nodes."""
    # Matrices of nodes are small: threads for them would only cost memory.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    names: tuple[str, ...] = ("apiserver", "control", "nodes" if settings.simulated_nodes else "node")
    if settings.joined_server:
        names = ("node",)
    ours = [Part(name, partial(_load, _MODULES[name]), partial(_main, name, paths, settings)) for name in names]
    if settings.own_etcd:
        # What is first ends last: the API server can write until its own end.
        ours.insert(0, Part("etcd", lambda: None, partial(etcd.become, paths, settings)))
    return tuple(ours)


def _load(modules: tuple[str, ...]) -> None:
    for module in modules:
        importlib.import_module(module)


def _main(name: str, paths: Paths, settings: ClusterSettings) -> None:
    from steersman.cluster import apiserving, controlling, nodeparts, process

    if settings.joined_server:
        from steersman.cluster import joined

        process.run_part(joined.node, paths, settings)
        return
    body = {
        "apiserver": apiserving.apiserver,
        "control": controlling.control,
        "node": nodeparts.node_parts,
        "nodes": nodeparts.simulated_nodes,
    }[name]
    process.run_part(body, paths, settings)
