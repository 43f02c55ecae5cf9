"""A node's implementations, as its settings say, and the kubelet's settings.

Either the native runtime with its images and the bridge network, or a containerd that runs beside and wires pods by CNI.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from steersman.api import nodeagents
from steersman.cluster.settings import ClusterSettings, Paths
from steersman.cri.interface import ImageService, Runtime
from steersman.cri.native import registries
from steersman.cri.native.images import NativeImages
from steersman.cri.native.runtime import NativeRuntime
from steersman.cri.server.door import Door
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.configuration.fields import HARD_EVICTION, with_defaults
from steersman.machinery.clock import Clock
from steersman.network.bridge import BridgeNetwork
from steersman.network.cniplugins import CniPlugins


class NodeImages(ImageService, Protocol):
    """The node's images, also from archives."""

    async def load(self, path: str, /) -> list[str]:
        """Install the images of an archive; their names. Raises RuntimeFault."""


@dataclass(frozen=True, slots=True)
class NodeParts:
    """What the kubelet works with."""

    runtime: Runtime
    images: NodeImages


_EVICTION_HARD = {**HARD_EVICTION, "nodefs.available": "5%", "imagefs.available": "5%"}
DISK_LIMITS = {"evictionHard": _EVICTION_HARD, "imageGCHighThresholdPercent": 95, "imageGCLowThresholdPercent": 90}
"""Upstream evicts at 10 % and 15 % of the disk left and removes images at 85 % full: much of a machine that is somebody's
own. A configuration file has those."""


POD_PIDS_LIMIT = 4096
"""Upstream has none, and a pod that forks without end takes the whole machine with it, which often has 32768 in all."""


def kubelet_config(paths: Paths, settings: ClusterSettings) -> KubeletConfig:
    return KubeletConfig(
        node_name=settings.node_name,
        root_dir=paths.kubelet,
        local_path_dir=paths.local_path,
        pod_logs_dir=paths.pod_logs,
        node_ip=settings.advertise_address,
        port=settings.kubelet_port,
        tls_cert_file=paths.pki / "kubelet-serving.crt",
        tls_private_key_file=paths.pki / "kubelet-serving.key",
        client_ca_file=paths.pki / "ca.crt",
        cgroup_root=f"/{settings.cgroup_root}",
        cluster_dns=(settings.dns_address,),
        cluster_domain=settings.cluster_domain,
        healthz_port=10248,
        static_pod_path=paths.manifests,
        configuration=with_defaults(DISK_LIMITS),
        pod_pids_limit=POD_PIDS_LIMIT,
        node_annotations={nodeagents.DNS_PORT: str(settings.dns_port)},
    )


@contextlib.asynccontextmanager
async def images(paths: Paths, settings: ClusterSettings, clock: Clock) -> AsyncIterator[NodeImages]:
    """The node's images. Raises RuntimeFault in one sentence if registries.yaml is damaged."""
    if settings.runtime == "containerd":
        from steersman.cri.remote.calls import Endpoint
        from steersman.cri.remote.images import RemoteImages

        remote = RemoteImages(Endpoint(settings.runtime_endpoint, clock), clock)
        try:
            yield remote
        finally:
            await remote.close()
    else:
        yield _native_images(paths, clock)


def _native_images(paths: Paths, clock: Clock) -> NativeImages:
    return NativeImages(str(paths.containers), clock, registries.load(str(paths.registries)))


@contextlib.asynccontextmanager
async def runtime(paths: Paths, settings: ClusterSettings, clock: Clock) -> AsyncIterator[NodeParts]:
    """The runtime and what it needs, closed at the end; containers go on running."""
    opened = _containerd if settings.runtime == "containerd" else _native
    async with opened(paths, settings, clock) as parts:
        yield parts


@contextlib.asynccontextmanager
async def _containerd(paths: Paths, settings: ClusterSettings, clock: Clock) -> AsyncIterator[NodeParts]:
    # An optional extra: a node with the native runtime needs no gRPC.
    from steersman.cri.remote.calls import Endpoint
    from steersman.cri.remote.images import RemoteImages
    from steersman.cri.remote.runtime import RemoteRuntime
    from steersman.network.cni import CniNetwork

    endpoint = Endpoint(settings.runtime_endpoint, clock)
    network = CniNetwork(paths.state / "network", settings.cluster_cidr, settings.advertise_address)
    async with RemoteRuntime(endpoint, network, clock) as remote:
        yield NodeParts(remote, RemoteImages(endpoint, clock))


def _network(paths: Paths, settings: ClusterSettings, clock: Clock) -> BridgeNetwork | CniPlugins:
    directory = paths.state / "network"
    if settings.cni_conf_dir:
        return CniPlugins(directory, Path(settings.cni_conf_dir), clock)
    return BridgeNetwork(directory, settings.bridge, settings.cluster_cidr, settings.advertise_address)


@contextlib.asynccontextmanager
async def _native(paths: Paths, settings: ClusterSettings, clock: Clock) -> AsyncIterator[NodeParts]:
    network = _network(paths, settings, clock)
    store = _native_images(paths, clock)
    native = NativeRuntime(
        root=str(paths.containers),
        run_dir=str(paths.run / "containers"),
        images=store,
        network=network,
        clock=clock,
        oci_runtime=settings.oci_runtime or "crun",
    )
    try:
        async with native, Door(str(paths.cri_socket), native, store, clock):
            yield NodeParts(native, store)
    finally:
        await network.close()
