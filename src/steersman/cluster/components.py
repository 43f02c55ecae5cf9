"""What runs in each process of `up`: the API server with its store; scheduler and controllers; the node.

Every function here is one component with its implementations chosen; commands/ run the same ones alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from steersman.client import kubeconfig
from steersman.client.bounded import BoundedTransport
from steersman.client.http import HttpTransport
from steersman.client.patience import PatientTransport
from steersman.client.rest import RestClient
from steersman.cluster import accessoptions, apioptions, leading
from steersman.cluster.leading import Election
from steersman.cluster.observed import Observed
from steersman.cluster.settings import NODE_GRACE_S, ClusterSettings, Paths
from steersman.machinery.clock import Clock, RealClock

if TYPE_CHECKING:
    from steersman.apiserver.config import ServerConfig
    from steersman.cluster.componentserver import Pages
    from steersman.controllers.certificates import Signer
    from steersman.controllers.serviceaccounttokens import TokenSigner
    from steersman.store.interface import Store

log = logging.getLogger(__name__)

SCHEDULER, CONTROLLERS = "kube-scheduler", "kube-controller-manager"
"""Names of their leases."""
_LEASES = "/apis/coordination.k8s.io/"
KUBELET_REQUESTS = 8
"""At once. Fifty pods that start would open a connection for each of theirs, and a handshake costs more than ten requests."""


def run_until_told(main: Callable[[], Awaitable[None]]) -> None:
    """Run a component on its own event loop until SIGTERM or SIGINT, then let it finish. Errors are raised."""
    import uvloop

    # Read when grpc is first imported, which is later. With it grpc stops its own threads around every fork of ours, to start nft
    # for one: calls that are under way may then never end.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")

    async def guarded() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await main()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(guarded())


@contextlib.asynccontextmanager
async def client_for(
    path: Path, component: str, clock: Clock | None = None, observed: Observed | None = None, *, at_once: int = 0
) -> AsyncIterator[RestClient]:
    """A client with the credentials of a kubeconfig, closed at the end. at_once: so many requests at most (0: as they come), but
    leases: what keeps a node alive does not wait behind what somebody's webhook keeps waiting."""
    connections = kubeconfig.load(path)
    if observed is not None:
        connections.counts = observed.requests
    limited = BoundedTransport(connections, at_once, past=_LEASES) if at_once else connections
    transport = PatientTransport(limited, clock or RealClock())
    client = RestClient(transport, user_agent=f"steersman-{component}", field_manager=component)
    try:
        yield client
    finally:
        await client.close()


@contextlib.asynccontextmanager
async def _closed(transport: HttpTransport) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await transport.close()


async def apiserver(paths: Paths, settings: ClusterSettings, clock: Clock) -> None:
    """The API server over the store that was chosen, until cancelled."""
    from steersman.apiserver.config import ServerConfig
    from steersman.cluster import frontproxy

    config = ServerConfig(
        secure_port=settings.secure_port,
        advertise_address=settings.advertise_address,
        tls_cert=paths.pki / "apiserver.crt",
        tls_key=paths.pki / "apiserver.key",
        client_ca=paths.pki / "ca.crt",
        service_account_key=paths.pki / "sa.key",
        service_account_issuer=f"https://kubernetes.default.svc.{settings.cluster_domain}",
        api_audiences=(f"https://kubernetes.default.svc.{settings.cluster_domain}",),
        kubelet_client_cert=paths.pki / "apiserver-kubelet-client.crt",
        kubelet_client_key=paths.pki / "apiserver-kubelet-client.key",
        kubelet_ca=paths.pki / "ca.crt",
        service_cidr=settings.service_cidr,
        node_port_range=settings.node_ports,
    )
    config = frontproxy.into(paths, config)
    config = accessoptions.into(settings.access, apioptions.into(settings.api, config))
    await serve_api(config, lambda: _store(paths, settings, clock), clock)


async def _store(paths: Paths, settings: ClusterSettings, clock: Clock) -> Store:
    if settings.store == "etcd":
        from steersman.store.etcd import EtcdStore
        from steersman.store.etcd_calls import TLS

        if settings.etcd_servers:
            files = (settings.etcd_cafile, settings.etcd_certfile, settings.etcd_keyfile)
            return await EtcdStore.open(settings.etcd_servers, TLS(*(Path(file) if file else None for file in files)), clock)
        client = paths.pki / "apiserver-etcd-client"
        tls = TLS(paths.pki / "etcd" / "ca.crt", client.with_suffix(".crt"), client.with_suffix(".key"))
        return await EtcdStore.open([f"https://127.0.0.1:{settings.etcd_port}"], tls, clock)
    from steersman.store.sqlite import SQLiteStore

    return await SQLiteStore.open(paths.store, clock, overwrite=bool(settings.api.encryption_provider_config))


async def serve_api(config: ServerConfig, open_store: Callable[[], Awaitable[Store]], clock: Clock) -> None:
    """An API server over a store of its own, until cancelled."""
    from steersman.apiserver.run import APIServer

    # The SQLite store's thread hands over in bursts: with the default of 5 ms requests wait for it (measured: POST +12 %).
    sys.setswitchinterval(0.001)
    store = await open_store()
    try:
        server = APIServer(config, store, clock)
        await server.start()
        # What is there now stays; of what comes, little is cyclic, so looking for cycles can be rare.
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        try:
            await asyncio.Event().wait()
        finally:
            await server.stop()
    finally:
        await store.close()


async def scheduler(config: Path, clock: Clock, election: Election | None, pages: Pages | None = None) -> None:
    """One scheduler, while it is the one elected. `pages`: where it tells of itself."""
    from steersman.scheduler import run as scheduling
    from steersman.scheduler.counting import SchedulingCounts

    counts = SchedulingCounts()
    observed = Observed("kube-scheduler", scheduling=counts, leads=None if election is None else False)
    async with client_for(config, "kube-scheduler", clock, observed) as client, _served(pages, observed, client, clock):

        async def lead() -> None:
            observed.leads = None if election is None else True
            await scheduling.run(client, clock, counts=counts)

        await leading.led(client, election, "default-scheduler", clock, lead)


def _served(
    pages: Pages | None, observed: Observed, client: RestClient, clock: Clock
) -> contextlib.AbstractAsyncContextManager[object]:
    if pages is None:
        return contextlib.nullcontext()
    # Here, not above: most have none.
    from steersman.cluster.componentserver import serving

    return serving(pages, observed, client, clock)


# Controllers whose service account has another name than they: upstream's names, which the default roles are bound to.
ACCOUNTS = {
    "bootstrap-signer-controller": "bootstrap-signer",
    "certificatesigningrequest-approving-controller": "certificate-controller",
    "certificatesigningrequest-cleaner-controller": "certificate-controller",
    "certificatesigningrequest-signing-controller": "certificate-controller",
    "daemonset-controller": "daemon-set-controller",
    "endpoints-controller": "endpoint-controller",
    "endpointslice-mirroring-controller": "endpointslicemirroring-controller",
    "garbage-collector-controller": "generic-garbage-collector",
    "legacy-serviceaccount-token-cleaner-controller": "legacy-service-account-token-cleaner",
    "local-path-provisioner-controller": "local-path-provisioner",
    "horizontal-pod-autoscaler-controller": "horizontal-pod-autoscaler",
    "node-ipam-controller": "node-controller",
    "node-lifecycle-controller": "node-controller",
    "pod-garbage-collector-controller": "pod-garbage-collector",
    "service-cidr-controller": "service-cidrs-controller",
    "persistentvolume-binder-controller": "persistent-volume-binder",
    "persistentvolume-protection-controller": "pv-protection-controller",
    "persistentvolumeclaim-protection-controller": "pvc-protection-controller",
    "replicationcontroller-controller": "replication-controller",
    "root-ca-certificate-publisher-controller": "root-ca-cert-publisher",
    "serviceaccount-controller": "service-account-controller",
    "stale-pod-disruption-controller": "disruption-controller",
    "taint-eviction-controller": "node-controller",
    "token-cleaner-controller": "token-cleaner",
}


async def controller_manager(
    config: Path,
    ca: Path | None,
    cluster_cidr: str,
    clock: Clock,
    election: Election | None,
    signer: Signer | None = None,
    node_grace_s: float = NODE_GRACE_S,
    tokens: TokenSigner | None = None,
    pages: Pages | None = None,
) -> None:
    """The controllers, while elected: reading as the manager, each writing as its own service account.

    ca: what pods are given; None: that of the kubeconfig.
    node_grace_s: how long a node may be silent.
    tokens: has the key of service account tokens that are kept in Secrets.
    """
    from steersman import controllers
    from steersman.client.accounts import AccountTransport
    from steersman.client.events import EventRecorder
    from steersman.loop import runner

    connection = kubeconfig.connection(config)
    nameless = dataclasses.replace(connection, cert=None, key=None, token="", token_file=None).transport()
    observed = Observed("kube-controller-manager", leads=None if election is None else False)
    nameless.counts = observed.requests
    async with (
        client_for(config, "kube-controller-manager", clock, observed) as client,
        _closed(nameless),
        _served(pages, observed, client, clock),
    ):

        def acting(controller: str) -> RestClient:
            if controller == "serviceaccount-token-controller":
                return client  # upstream's is the manager itself: an account of its own would come with a token of its own
            account = ACCOUNTS.get(controller, controller)
            transport = PatientTransport(AccountTransport(nameless, client, "kube-system", account, clock), clock)
            return RestClient(transport, user_agent=f"steersman-{controller}", field_manager="kube-controller-manager")

        pem = connection.ca_pem() if ca is None else ca.read_text()
        specs = controllers.build(pem, cluster_cidr, signer, timedelta(seconds=node_grace_s), tokens)

        async def lead() -> None:
            recorder = EventRecorder(client, "controller-manager", "", clock)
            metadata, queues = client.metadata_only(), observed.queues
            observed.leads = None if election is None else True
            await runner.run(client, specs, clock, recorder=recorder, metadata_client=metadata, acting=acting, queues=queues)

        await leading.led(client, election, "kube-controller-manager", clock, lead)


async def control(paths: Paths, settings: ClusterSettings, clock: Clock) -> None:
    """Scheduler, controllers and cloud controllers on one loop, until cancelled or until one of them has lost its lease."""
    from steersman.client.leases import LeadershipLost
    from steersman.cluster import cloud
    from steersman.cluster.signing import FileSigner
    from steersman.cluster.tokensigning import FileTokenSigner

    config, ca = paths.kubeconfigs / "controller-manager.conf", paths.pki / "ca.crt"
    signer = FileSigner(ca, paths.pki / "ca.key")
    # Where others may stand by, upstream's pace: they follow within seconds.
    candidate = Election if settings.etcd_servers else Election.unhurried
    identity = leading.kept_identity(paths.leader_identity)
    elections = {name: candidate(name=name, identity=identity) for name in (SCHEDULER, CONTROLLERS, cloud.NAME)}
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(scheduler(paths.kubeconfigs / "scheduler.conf", clock, elections[SCHEDULER]))
            grace_s = settings.node_monitor_grace_s
            elected, tokens = elections[CONTROLLERS], FileTokenSigner(paths.pki / "sa.key")
            manager = controller_manager(config, ca, settings.cluster_cidr, clock, elected, signer, grace_s, tokens)
            group.create_task(manager)
            cloud_config = paths.kubeconfigs / "cloud-controller-manager.conf"
            group.create_task(cloud.of_cluster(cloud_config, settings, clock, elections[cloud.NAME]))
    except* LeadershipLost:
        log.error("leaderelection lost, the control plane starts anew")


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


def run_part(part: Callable[[Paths, ClusterSettings, Clock], Awaitable[None]], paths: Paths, settings: ClusterSettings) -> None:
    """A part's process from beginning to end."""
    clock = RealClock()
    run_until_told(lambda: part(paths, settings, clock))
