"""The process of a node: kubelet, service proxy and DNS on one loop; or the kubelets of simulated nodes."""

from __future__ import annotations

import asyncio

from steersman.client.rest import RestClient
from steersman.cluster.process import client_for
from steersman.cluster.settings import ClusterSettings, Paths
from steersman.machinery.clock import Clock

KUBELET_REQUESTS = 8
"""At once. Fifty pods that start would open a connection for each of theirs, and a handshake costs more than ten requests."""


async def kubelet(paths: Paths, settings: ClusterSettings, clock: Clock) -> None:
    """The kubelet over the native runtime and the bridge network."""
    from steersman.cluster import node
    from steersman.kubelet import run as kubelet_run

    config = node.kubelet_config(paths, settings)
    async with (
        client_for(paths.kubeconfigs / "kubelet.conf", "kubelet", clock, at_once=KUBELET_REQUESTS) as client,
        node.runtime(paths, settings, clock) as parts,
    ):
        await kubelet_run.run(config, client, parts.runtime, parts.images, clock)


async def run_proxy(client: RestClient, paths: Paths, settings: ClusterSettings, clock: Clock) -> None:
    """The node's service proxy, and its routes to other nodes' pods: both follow what the same account may read."""
    from steersman.cluster import overlaying
    from steersman.proxy import run as proxying

    options = proxying.Options(
        node_name=settings.node_name,
        node_ips=(settings.advertise_address,),
        cluster_cidr=settings.cluster_cidr,
        service_cidr=settings.service_cidr,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(proxying.run(client, options, clock))
        group.create_task(overlaying.run(client, paths, settings, clock))


async def run_dns(client: RestClient, settings: ClusterSettings, clock: Clock) -> None:
    """The node's DNS server. That it is one is on its Node (node.kubelet_config)."""
    from steersman.dns import run as naming

    options = naming.Options(
        node_name=settings.node_name,
        address=settings.advertise_address,
        port=settings.dns_port,
        domain=settings.cluster_domain,
        publish=False,
    )
    await naming.run(client, options, clock)


async def node_parts(paths: Paths, settings: ClusterSettings, clock: Clock) -> None:
    """Kubelet, proxy and DNS on one loop."""
    async with (
        client_for(paths.kubeconfigs / "proxy.conf", "kube-proxy", clock) as proxy,
        client_for(paths.kubeconfigs / "dns.conf", "dns", clock) as dns,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(kubelet(paths, settings, clock))
        group.create_task(run_proxy(proxy, paths, settings, clock))
        group.create_task(run_dns(dns, settings, clock))


async def simulated_nodes(paths: Paths, settings: ClusterSettings, clock: Clock) -> None:
    """Kubelets of simulated nodes on one loop; neither proxy nor DNS: nobody could ask them."""
    from steersman.cluster import simulated

    await simulated.nodes(paths, settings, clock)
