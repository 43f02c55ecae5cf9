"""The node part of a machine that has joined: as that of `up`, but every credential comes from the cluster.

The kubelet has certificates that it renews (bootstrapped.py). Proxy, DNS and routes act as service accounts, with tokens that
the kubelet's identity asks for, bound to this node's Node: they live an hour, and end with the Node.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator

from steersman.api import nodeagents
from steersman.api.resources import NODES
from steersman.client import kubeconfig
from steersman.client.accounts import AccountTransport
from steersman.client.events import EventRecorder
from steersman.client.http import HttpTransport
from steersman.client.interface import Client, Transport
from steersman.client.patience import PatientTransport
from steersman.client.rest import RestClient
from steersman.cloud.controllers.node import UNINITIALIZED
from steersman.cluster import apiservers, bootstrapped, clockwatch, nodeparts
from steersman.cluster import node as nodes
from steersman.cluster.balancer import Balancer
from steersman.cluster.settings import ClusterSettings, Paths
from steersman.kubelet.certificates import Rotation
from steersman.kubelet.config import KubeletConfig
from steersman.machinery.clock import Clock
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj, uid_of
from steersman.machinery.waiting import Backoff


async def node(paths: Paths, settings: ClusterSettings, clock: Clock) -> None:
    """Kubelet, proxy, DNS and routes, until cancelled."""
    from steersman.kubelet import run as kubelet_run

    files = bootstrapped.Files(
        paths.kubeconfigs / "kubelet.conf", paths.kubeconfigs / "bootstrap-kubelet.conf", paths.kubelet_pki
    )
    balancer = Balancer(apiservers.known(paths.api_servers, settings), clock)
    async with balancer.serving(settings.balancer_port), nodes.runtime(paths, settings, clock) as parts:

        async def all_of_it(client: Client, config: KubeletConfig, rotation: Rotation | None) -> None:
            recorder = EventRecorder(client, "kubelet", settings.node_name, clock)
            reference: Obj = {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": settings.node_name, "uid": settings.node_name},
            }
            ca = kubeconfig.connection(files.config).ca
            async with _nobody(paths) as nobody, apiservers.asking(ca, clock) as ready, asyncio.TaskGroup() as group:
                proxy, dns = _accounts(nobody, settings, client, clock)
                group.create_task(recorder.run())
                group.create_task(clockwatch.run(nobody, recorder, reference, clock))
                group.create_task(apiservers.follow(proxy, balancer, paths.api_servers, clock))
                group.create_task(apiservers.watch_over(balancer, ready, clock))
                group.create_task(kubelet_run.run(config, client, parts.runtime, parts.images, clock, rotation=rotation))
                group.create_task(nodeparts.run_proxy(proxy, paths, settings, clock))
                group.create_task(nodeparts.run_dns(dns, settings, clock))

        await bootstrapped.run(files, kubelet_config(paths, settings), clock, all_of_it)


def kubelet_config(paths: Paths, settings: ClusterSettings) -> KubeletConfig:
    """The cloud controllers give a new node its role and take the taint away; a node that was removed stays so."""
    labels = dict(label.split("=", 1) for label in settings.node_labels)
    if settings.pool:
        labels[nodeagents.POOL_LABEL] = settings.pool
    return dataclasses.replace(
        nodes.kubelet_config(paths, settings),
        tls_cert_file=None,
        tls_private_key_file=None,
        client_ca_file=None,
        node_labels=labels,
        register_with_taints=({"key": UNINITIALIZED, "value": "true", "effect": "NoSchedule"},),
        register_again=False,
    )


@contextlib.asynccontextmanager
async def _nobody(paths: Paths) -> AsyncIterator[HttpTransport]:
    """A way to the API server without credentials."""
    connection = kubeconfig.resolve(kubeconfig.read(paths.kubeconfigs / "kubelet.conf"))
    transport = dataclasses.replace(connection, cert=None, key=None).transport()
    try:
        yield transport
    finally:
        await transport.close()


def _accounts(nobody: Transport, settings: ClusterSettings, issuer: Client, clock: Clock) -> tuple[RestClient, RestClient]:
    """Clients of the proxy and of DNS."""

    async def own_node() -> Obj:
        """Waits for the Node: the kubelet makes it."""
        backoff = Backoff(0.05, 5.0)
        while True:
            try:
                found = await issuer.get(NODES, settings.node_name)
                return {"apiVersion": "v1", "kind": "Node", "name": settings.node_name, "uid": uid_of(found)}
            except (StatusError, ConnectionError):
                await clock.sleep(backoff.next())

    def acting(account: str, component: str) -> RestClient:
        transport = AccountTransport(nobody, issuer, nodeagents.NAMESPACE, account, clock, own_node)
        return RestClient(PatientTransport(transport, clock), user_agent=f"steersman-{component}", field_manager=component)

    return acting(nodeagents.PROXY, "kube-proxy"), acting(nodeagents.DNS, "dns")
