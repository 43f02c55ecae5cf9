"""What runs in each process of `up`: the API server with its store; scheduler and controllers; the node.

Every function here is one component with its implementations chosen; commands/ run the same ones alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from steersman.client import kubeconfig
from steersman.client.rest import RestClient
from steersman.cluster.settings import ClusterSettings, Paths
from steersman.machinery.clock import Clock, RealClock

log = logging.getLogger(__name__)


def run_until_told(main: Callable[[], Awaitable[None]]) -> None:
    """Run a component on its own event loop until SIGTERM or SIGINT, then let it finish. Errors are raised."""
    import uvloop

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
async def client_for(path: Path, component: str) -> AsyncIterator[RestClient]:
    """A client with the credentials of a kubeconfig, closed at the end."""
    client = RestClient(kubeconfig.load(path), user_agent=f"steersman-{component}", field_manager=component)
    try:
        yield client
    finally:
        await client.close()


async def apiserver(paths: Paths, settings: ClusterSettings, clock: Clock) -> None:
    """The API server over the SQLite store, until cancelled."""
    from steersman.apiserver.config import ServerConfig
    from steersman.apiserver.run import APIServer
    from steersman.store.sqlite import SQLiteStore

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
    store = await SQLiteStore.open(paths.store, clock)
    try:
        server = APIServer(config, store, clock)
        await server.start()
        try:
            await asyncio.Event().wait()
        finally:
            await server.stop()
    finally:
        await store.close()


async def scheduler(config: Path, clock: Clock) -> None:
    from steersman.scheduler import run as scheduling

    async with client_for(config, "kube-scheduler") as client:
        await scheduling.run(client, clock)


async def controller_manager(config: Path, ca: Path, cluster_cidr: str, clock: Clock) -> None:
    from steersman import controllers
    from steersman.client.events import EventRecorder
    from steersman.loop import runner

    async with client_for(config, "kube-controller-manager") as client:
        specs = controllers.build(ca_pem=ca.read_text(), cluster_cidr=cluster_cidr)
        recorder = EventRecorder(client, "controller-manager", "", clock)
        await runner.run(client, specs, clock, recorder=recorder, metadata_client=client.metadata_only())


async def control(paths: Paths, settings: ClusterSettings, clock: Clock) -> None:
    """Scheduler and controllers on one loop."""
    async with asyncio.TaskGroup() as group:
        group.create_task(scheduler(paths.kubeconfigs / "scheduler.conf", clock))
        config = paths.kubeconfigs / "controller-manager.conf"
        group.create_task(controller_manager(config, paths.pki / "ca.crt", settings.cluster_cidr, clock))


async def kubelet(paths: Paths, settings: ClusterSettings, clock: Clock) -> None:
    """The kubelet over the native runtime and the bridge network."""
    from steersman.cluster import node
    from steersman.kubelet import run as kubelet_run

    config = node.kubelet_config(paths, settings)
    async with client_for(paths.kubeconfigs / "kubelet.conf", "kubelet") as client, node.runtime(paths, settings, clock) as parts:
        await kubelet_run.run(config, client, parts.runtime, parts.images, clock)


async def proxy(paths: Paths, settings: ClusterSettings, clock: Clock) -> None:
    from steersman.proxy import run as proxying

    options = proxying.Options(
        node_name=settings.node_name,
        node_ips=(settings.advertise_address,),
        cluster_cidr=settings.cluster_cidr,
        service_cidr=settings.service_cidr,
    )
    async with client_for(paths.kubeconfigs / "proxy.conf", "kube-proxy") as client:
        await proxying.run(client, options, clock)


async def dns(paths: Paths, settings: ClusterSettings, clock: Clock) -> None:
    from steersman.dns import run as naming

    options = naming.Options(
        node_name=settings.node_name,
        address=settings.advertise_address,
        port=settings.dns_port,
        domain=settings.cluster_domain,
    )
    async with client_for(paths.kubeconfigs / "dns.conf", "dns") as client:
        await naming.run(client, options, clock)


async def node_parts(paths: Paths, settings: ClusterSettings, clock: Clock) -> None:
    """Kubelet, proxy and DNS on one loop."""
    async with asyncio.TaskGroup() as group:
        group.create_task(kubelet(paths, settings, clock))
        group.create_task(proxy(paths, settings, clock))
        group.create_task(dns(paths, settings, clock))


def run_part(part: Callable[[Paths, ClusterSettings, Clock], Awaitable[None]], paths: Paths, settings: ClusterSettings) -> None:
    """A part's process from beginning to end."""
    clock = RealClock()
    run_until_told(lambda: part(paths, settings, clock))
