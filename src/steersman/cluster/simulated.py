"""Simulated nodes: many kubelets over simulated runtimes in one process, without root.

Each kubelet is the real one, with a server of its own, and acts as its own node's user: by impersonation over shared
connections, and fed by shared watches, since a thousand of each would cost more than all the rest.
"""

from __future__ import annotations

import asyncio
import random
import resource
import uuid
from collections.abc import Callable, Sequence

from steersman.client import kubeconfig
from steersman.client.bounded import BoundedTransport
from steersman.client.impersonation import ImpersonatingTransport
from steersman.client.interface import Client, Transport
from steersman.client.patience import PatientTransport
from steersman.client.relay import Relay, RelayedClient
from steersman.client.rest import RestClient
from steersman.cluster.settings import ClusterSettings, Paths
from steersman.cri.interface import RuntimeFault
from steersman.cri.simulated.images import SimulatedImages
from steersman.cri.simulated.runtime import SimulatedRuntime
from steersman.cri.simulated.script import Programs
from steersman.kubelet import nodeinfo
from steersman.kubelet import run as kubelet_run
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.httpcheck import Reply
from steersman.machinery.clock import Clock
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj

CONNECTIONS = 16
"""For the requests of all nodes together; watches have theirs."""
CAPACITY = {"cpu": "32", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": "110"}
ZONES = ("zone-a", "zone-b", "zone-c")
_RELIST_S = 6.0
"""Its events are never lost, so that looking for them (every ten times that) is a formality."""


def node_names(count: int) -> list[str]:
    return [f"sim-{number:04}" for number in range(1, count + 1)]


def node_config(name: str, paths: Paths, settings: ClusterSettings, machine: Obj, *, serving: bool = True) -> KubeletConfig:
    """The kubelet of one simulated node. Its files are its own: a kubelet removes what it does not know.

    machine: what Node.status.nodeInfo says of all. serving: with a server, for logs and exec.
    """
    identity = uuid.uuid5(uuid.NAMESPACE_DNS, name)
    return KubeletConfig(
        node_name=name,
        root_dir=paths.kubelet / name,
        pod_logs_dir=paths.pod_logs,
        node_ip=settings.advertise_address,
        node_labels=labels(name),
        address=settings.advertise_address,
        port=0,
        tls_cert_file=paths.pki / "kubelet-serving.crt" if serving else None,
        tls_private_key_file=paths.pki / "kubelet-serving.key",
        client_ca_file=paths.pki / "ca.crt",
        enforce_cgroups=False,
        watch_resources=False,
        plugins=False,
        secrets_in_memory=False,
        capacity=CAPACITY,
        node_info={**machine, "machineID": identity.hex, "systemUUID": str(identity)},
        cluster_dns=(settings.dns_address,),
        cluster_domain=settings.cluster_domain,
        relist_s=_RELIST_S,
    )


def labels(name: str) -> dict[str, str]:
    """A zone each, in turn, so that there is something to spread over."""
    number = int(name.rpartition("-")[2])
    return {
        "node.kubernetes.io/instance-type": "simulated",
        "topology.kubernetes.io/region": "simulated",
        "topology.kubernetes.io/zone": ZONES[number % len(ZONES)],
    }


class SimulatedReach:
    """Probes and hooks ask the program itself: a simulated pod's address leads nowhere."""

    def __init__(self, runtime: SimulatedRuntime) -> None:
        self._runtime = runtime

    async def get(self, container_id: str, url: str, headers: Sequence[tuple[str, str]]) -> Reply:
        await self.connect(container_id, "", 0)
        answer = self._runtime.process(container_id).on_http
        return Reply(200 if answer is None else answer("/" + url.split("/", 3)[3]), "")

    async def connect(self, container_id: str, host: str, port: int) -> None:
        try:
            ready = self._runtime.process(container_id).ready
        except RuntimeFault:
            ready = False
        if not ready:
            raise ConnectionRefusedError(111, "Connection refused")

    async def health(self, container_id: str, host: str, port: int, service: str, greeted: Callable[[], None]) -> str:
        await self.connect(container_id, host, port)
        greeted()
        return "SERVING"


async def be_node(
    config: KubeletConfig,
    client: Client,
    clock: Clock,
    *,
    programs: Programs | None = None,
    rng: random.Random | None = None,
    log_files: bool = True,
) -> None:
    """One simulated node, until cancelled; nothing that runs on it outlives it."""
    images = SimulatedImages(clock)
    async with SimulatedRuntime(clock, images, programs, log_files=log_files) as runtime:
        await kubelet_run.run(config, client, runtime, images, clock, rng=rng, reach=SimulatedReach(runtime))


def client_of(name: str, transport: Transport, relay: Relay) -> RelayedClient:
    """The client of one node: its own user, over what all share."""
    acting = ImpersonatingTransport(transport, f"system:node:{name}", "system:nodes")
    return RelayedClient(acting, relay, user_agent="steersman-kubelet", field_manager="kubelet")


async def _served(client: Client, clock: Clock) -> None:
    """Until the API server is there: a thousand kubelets that find out for themselves are in its way when it comes."""
    while True:
        try:
            await client.raw("GET", "/readyz")
            return
        except (StatusError, ConnectionError):
            await clock.sleep(0.05)


async def nodes(paths: Paths, settings: ClusterSettings, clock: Clock) -> None:
    """All nodes of the cluster, until cancelled."""
    # A listening socket each.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    connection = kubeconfig.load(paths.kubeconfigs / "simulated-nodes.conf")
    transport = PatientTransport(BoundedTransport(connection, CONNECTIONS), clock)
    machine = nodeinfo.system_info(("", ""))
    try:
        async with asyncio.TaskGroup() as group:
            shared = RestClient(transport, user_agent="steersman-simulated-nodes")
            await _served(shared, clock)
            relay = Relay(shared, clock, group)
            for name in node_names(settings.simulated_nodes):
                config = node_config(name, paths, settings, machine)
                group.create_task(be_node(config, client_of(name, transport, relay), clock))
    finally:
        await connection.close()
