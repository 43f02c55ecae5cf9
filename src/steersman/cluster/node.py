"""A node's implementations: the native runtime with its images, the bridge network, the kubelet's settings."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from steersman.cluster.settings import ClusterSettings, Paths
from steersman.cri.native import registries
from steersman.cri.native.images import NativeImages
from steersman.cri.native.runtime import NativeRuntime
from steersman.kubelet.config import KubeletConfig
from steersman.machinery.clock import Clock
from steersman.network.bridge import BridgeNetwork


@dataclass(frozen=True, slots=True)
class NodeParts:
    """What the kubelet works with."""

    runtime: NativeRuntime
    images: NativeImages
    network: BridgeNetwork


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
    )


def images(paths: Paths, clock: Clock) -> NativeImages:
    """The node's images. Raises RuntimeFault in one sentence if registries.yaml is damaged."""
    return NativeImages(str(paths.containers), clock, registries.load(str(paths.registries)))


@contextlib.asynccontextmanager
async def runtime(paths: Paths, settings: ClusterSettings, clock: Clock) -> AsyncIterator[NodeParts]:
    """The runtime and what it needs, closed at the end; containers go on running."""
    network = BridgeNetwork(paths.state / "network", settings.bridge, settings.cluster_cidr)
    store = images(paths, clock)
    native = NativeRuntime(
        root=str(paths.containers),
        run_dir=str(paths.run / "containers"),
        images=store,
        network=network,
        clock=clock,
        oci_runtime=settings.oci_runtime or "crun",
    )
    try:
        async with native:
            yield NodeParts(native, store, network)
    finally:
        await network.close()
