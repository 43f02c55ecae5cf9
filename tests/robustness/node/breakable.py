"""Clusters whose node passes failpoints, native and over a containerd of their own; and where what their pods hold lies."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.conformance.api import Api
from tests.e2e.machine import ContainerdCluster
from tests.robustness.node.surroundings import Place
from tools.throwaway import Cluster

from steersman.api.resources import CONFIG_MAPS, SERVICE_ACCOUNTS
from steersman.cluster.settings import Paths
from steersman.cluster.up import cgroup_root
from steersman.network.overlay import DEVICE as OVERLAY


class _Breakable(Cluster):
    def steersman(self, *arguments: str, code: int | None = 0, timeout_s: float = 120) -> str:
        module = "tests.robustness.node.failpoints" if arguments[0] == "up" else "steersman"
        return self.run(sys.executable, "-m", module, *arguments, code=code, timeout_s=timeout_s)


class _BreakableContainerd(_Breakable, ContainerdCluster):
    pass


@contextmanager
def cluster(name: str, runtime: str) -> Iterator[tuple[Cluster, Api]]:
    """One that is ready for pods. `runtime`: native or containerd."""
    made = _BreakableContainerd(name) if runtime == "containerd" else _Breakable(name)
    try:
        made.up()
        made.steersman("example", "--image-only", "1")
        with Api(made.netns.name, made.kubeconfig) as api:
            from tests.e2e.harness import eventually

            eventually(lambda: api.get(SERVICE_ACCOUNTS, "default", "default"))
            eventually(lambda: api.get(CONFIG_MAPS, "kube-root-ca.crt", "default"))
            yield made, api
    finally:
        made.remove()


def place_of(made: Cluster) -> Place:
    """Before its first pod."""
    daemon = made.daemon if isinstance(made, ContainerdCluster) else None
    place = Place(made.state, cgroup_root(Paths(made.state)), f"/run/netns/{made.netns.name}", daemon)
    # The overlay's may come a moment later than the first pod.
    place.links_before = place.links() | {OVERLAY}
    return place
