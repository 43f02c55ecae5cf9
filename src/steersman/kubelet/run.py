"""The kubelet put together: everything it does runs in one task group here; on cancellation containers go on."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from steersman.api.resources import NODES, PODS, SERVICES
from steersman.client.events import EventRecorder
from steersman.client.informer import Informer
from steersman.client.interface import Client
from steersman.cri.interface import ImageService, Runtime, RuntimeFault
from steersman.cri.messages import ContainerState
from steersman.kubelet import nodeinfo, systemoom
from steersman.kubelet.backoff import Backoff
from steersman.kubelet.cgroups import Cgroups
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.containers import ContainerStarter
from steersman.kubelet.cpumanager import manager as cpumanager
from steersman.kubelet.credentials.accounts import PodAccounts
from steersman.kubelet.credentials.plugins import Plugin, Plugins
from steersman.kubelet.eviction.manager import Evictions
from steersman.kubelet.eviction.measuring import Meter
from steersman.kubelet.eviction.signals import settings
from steersman.kubelet.garbage.containers import ContainerCollector
from steersman.kubelet.garbage.images import ImageCollector, policy
from steersman.kubelet.httpcheck import NetworkReach, Reach
from steersman.kubelet.images import ImageManager, Pace
from steersman.kubelet.kit import NodeFacts
from steersman.kubelet.localpath import LocalPaths
from steersman.kubelet.logrotation import LogRotation
from steersman.kubelet.measured import measured
from steersman.kubelet.naming import parse_resolv_conf
from steersman.kubelet.node import NodeAgent
from steersman.kubelet.objects import ObjectCache, TokenCache
from steersman.kubelet.parts import Parts
from steersman.kubelet.pleg import Pleg
from steersman.kubelet.pods import is_mirror
from steersman.kubelet.probes.manager import ProbeManager
from steersman.kubelet.runtimehealth import RuntimeHealth
from steersman.kubelet.staticpods.keeper import StaticPods
from steersman.kubelet.staticpods.mirrors import Mirrors
from steersman.kubelet.statuswriter import StatusWriter
from steersman.kubelet.terminating import Stopper
from steersman.kubelet.usernamespaces import UserNamespaces
from steersman.kubelet.view import CONTAINER_LABEL
from steersman.kubelet.volumes.csi.parts import Csi
from steersman.kubelet.volumes.manager import VolumeManager
from steersman.kubelet.workers import PodWorkers
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj

if TYPE_CHECKING:
    from steersman.kubelet.certificates import Rotation
    from steersman.kubelet.server.pages import Checks

log = logging.getLogger(__name__)


async def run(
    config: KubeletConfig,
    client: Client,
    runtime: Runtime,
    images: ImageService,
    clock: Clock,
    *,
    rng: random.Random | None = None,
    ready: asyncio.Event | None = None,
    reach: Reach | None = None,
    rotation: Rotation | None = None,
) -> None:
    """Be the kubelet of one node until cancelled. `ready` is set once the Node shows Ready.

    rotation: keeps the serving certificate, whose files `config` names, fresh.
    reach: how probes and hooks get to containers; None: through the node's network.
    """
    rng = rng or random.Random()
    recorder = EventRecorder(client, "kubelet", config.node_name, clock)
    facts = NodeFacts(apparmor=not config.watch_resources or nodeinfo.apparmor_enabled())
    cpus = cpumanager.start(config)
    if config.enable_server and config.tls_cert_file is not None:
        # Who has no server has no metrics either, and may be one of thousands.
        runtime, images = measured(runtime, facts.counts, clock), measured(images, facts.counts, clock)
    async with asyncio.TaskGroup() as group:
        kubelet = _assemble(config, client, runtime, images, clock, rng, recorder, facts, reach or NetworkReach(), cpus, group)
        if config.healthz_port > 0:
            from steersman.kubelet.server import healthz

            group.create_task(healthz.serve(config, kubelet.checks(), clock))
        if config.tls_cert_file is None or not config.enable_server:
            await kubelet.run(ready)
            return
        # Imported here: a kubelet without its server (tests, simulated nodes) does not need it.
        from steersman.kubelet.server.app import KubeletServer

        server = KubeletServer(
            config,
            client,
            runtime,
            images,
            clock,
            kubelet.workers,
            kubelet.parts.probes,
            kubelet.checks(),
            kubelet.mirrors.mirror_uid,
            facts.counts,
            kubelet.parts.volumes,
        )
        await server.start()
        try:
            kubelet.agent.port = server.port
            await kubelet.run(ready)
            if rotation is not None:
                await rotation.keep_serving(server.reload)
            await asyncio.Event().wait()
        finally:
            await server.stop()


def _assemble(
    config: KubeletConfig,
    client: Client,
    runtime: Runtime,
    images: ImageService,
    clock: Clock,
    rng: random.Random,
    recorder: EventRecorder,
    facts: NodeFacts,
    reach: Reach,
    cpus: cpumanager.CPUManager,
    group: asyncio.TaskGroup,
) -> Kubelet:
    workers = PodWorkers(group)
    services = Informer(client, SERVICES, clock=clock)
    objects, tokens = ObjectCache(client, clock), TokenCache(client, clock, rng)
    objects.follow(group, workers.refresh)
    pace = Pace(clock, config.max_parallel_image_pulls, config.registry_pull_qps, config.registry_burst)
    accounts = PodAccounts(objects, tokens)
    plugins = Plugins([Plugin(each, clock, accounts) for each in config.image_credential_providers])
    image_manager = ImageManager(images, recorder, clock, pace, plugins, facts.counts)
    pleg = Pleg(runtime, clock, workers.poke, config.relist_s, facts.counts)
    health = RuntimeHealth(runtime, facts, clock, lambda: pleg.idle_s)

    def all_services() -> Iterable[Obj] | None:
        return services if services.synced.is_set() else None

    # Called later only: the agent needs the parts.
    csi = Csi(config, client, clock, facts, lambda: agent.report_soon(), recorder.event) if config.plugins else None
    parts = Parts(
        config=config,
        runtime=runtime,
        clock=clock,
        rng=rng,
        recorder=recorder,
        node=facts,
        pleg=pleg,
        health=health,
        statuses=StatusWriter(client, clock, group),
        objects=objects,
        tokens=tokens,
        images=image_manager,
        volumes=VolumeManager(
            config, objects, tokens, clock, lambda: facts.allocatable, lambda: facts.node, csi=csi.volumes if csi else None
        ),  # fmt: skip
        probes=ProbeManager(runtime, reach, clock, recorder, group, workers.probed, rng),
        cgroups=Cgroups(config.cgroup_mount, config.cgroup_root, active=config.enforce_cgroups),
        starter=ContainerStarter(config, runtime, image_manager, objects, recorder, clock, facts, all_services, reach, cpus),
        stopper=Stopper(runtime, recorder, clock, reach),
        backoff=Backoff(10.0, config.max_crash_loop_backoff_s),
        user_namespaces=UserNamespaces(config),
        cpus=cpus,
        active_pods=workers.active,
        retry_resizes=workers.retry_resizes,
        look_at_node=lambda: agent.look(),
    )
    workers.parts = parts
    agent = NodeAgent(config, client, runtime, images, clock, recorder, facts, health, rng)
    static = StaticPods(config, clock, recorder, workers)
    mirrors = Mirrors(
        client,
        clock,
        parts.statuses,
        facts,
        wanted=lambda: [pod for uid, pod in static.pods.items() if uid in workers.by_uid],
        held=workers.static_named,
        complete=lambda: workers.synced and static.complete,
    )
    static.on_change(mirrors.wake)
    workers.static_changed = mirrors.wake
    return Kubelet(config, client, clock, parts, workers, services, agent, recorder, group, static, mirrors, images, csi)


@dataclass(slots=True)
class Kubelet:
    """The assembled kubelet."""

    config: KubeletConfig
    client: Client
    clock: Clock
    parts: Parts
    workers: PodWorkers
    services: Informer
    agent: NodeAgent
    recorder: EventRecorder
    group: asyncio.TaskGroup
    static: StaticPods
    mirrors: Mirrors
    image_service: ImageService
    csi: Csi | None

    def checks(self) -> Checks:
        """What /healthz looks at."""
        from steersman.kubelet.server import pages

        return pages.checks(self.config, lambda: self.parts.pleg.idle_s)

    async def run(self, ready: asyncio.Event | None) -> None:
        """Start in order: facts, static pods, Node, watches, pods. Returns after starting; the group keeps it alive."""
        parts, group, name = self.parts, self.group, self.config.node_name
        try:
            parts.node.resolv_conf = parse_resolv_conf(self.config.resolv_conf.read_text())
        except OSError as error:
            log.warning("resolv.conf not read path=%s error=%s", self.config.resolv_conf, error)
        group.create_task(self.recorder.run())
        await self.agent.learn()
        parts.cgroups.set_up()
        await self._forget_unstarted()
        # Before the API server is needed: it may be one of them.
        self.static.begin(group)
        group.create_task(parts.pleg.run(self._sweep))
        await self.agent.register()
        nodes = Informer(self.client, NODES, clock=self.clock, field_selector=f"metadata.name={name}")
        self.agent.follow(nodes, group, self.workers.poke_all)
        if self.config.local_path_dir is not None:
            local_paths = LocalPaths(self.config.local_path_dir, name, self.client, self.clock)
            nodes.add_handler(local_paths.node_changed)
            group.create_task(local_paths.run())
        pod_informer = Informer(self.client, PODS, clock=self.clock, field_selector=f"spec.nodeName={name}")
        for informer in (nodes, self.services, pod_informer):
            group.create_task(informer.run())
        group.create_task(self.agent.run())
        if self.csi is not None:
            self.csi.start(group, self.workers.poke_all)
            nodes.add_handler(self.csi.node_changed)
        if self.config.watch_resources:
            self._watch_resources()
        if parts.cpus.active:
            group.create_task(parts.cpus.run(parts.runtime, self.clock, self.workers.running, self.workers.living))
        if self.config.shutdown:
            group.create_task(self._await_shutdown())
        group.create_task(LogRotation(self.config, parts.runtime, self.clock, self.workers).run())
        await self.services.synced.wait()
        pod_informer.add_handler(self._pod_changed)
        await pod_informer.synced.wait()
        self.workers.synced = True
        # What runs without a pod, since one was deleted while nobody looked, is found now and not ten seconds later.
        self.parts.pleg.relist_soon()
        group.create_task(self.workers.retry_resizes_forever())
        group.create_task(self.mirrors.run())
        if ready is not None:
            await self.agent.ready.wait()
            ready.set()

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        """The API's pods of this node; mirrors only show what the node's own files say."""
        if any(pod is not None and is_mirror(pod) for pod in (old, new)):
            self.mirrors.changed(old, new)
        else:
            self.workers.handle(old, new)

    def _watch_resources(self) -> None:
        """Of the machine: what is left over is removed, and pods end when it runs short."""
        config, parts, clock = self.config, self.parts, self.clock
        collector = ImageCollector(
            policy(config.configuration), parts.runtime, self.image_service, clock, self.recorder, parts.node,
            lambda: (worker.pod for worker in self.workers),
        )  # fmt: skip
        self.group.create_task(collector.run())
        dead = ContainerCollector(
            parts.runtime, clock, lambda: self.workers.by_uid if self.workers.synced and self.static.complete else None,
            config.pod_logs_dir, config.container_logs_dir,
        )  # fmt: skip
        self.group.create_task(dead.run())
        meter = Meter(config, parts.runtime, self.image_service, parts.cgroups)
        evictions = Evictions(
            settings(config.configuration), meter, parts.runtime, collector, clock, self.recorder,
            parts.node, lambda: self.workers, self.agent.report_soon,
        )  # fmt: skip
        self.group.create_task(evictions.run())
        self.group.create_task(systemoom.watch(self.recorder, lambda: parts.node.node))

    async def _await_shutdown(self) -> None:
        """Graceful shutdown of the node, where there is somebody to tell of it."""
        from steersman.kubelet.shutdown.manager import Shutdown

        config, parts = self.config, self.parts
        try:
            from steersman.kubelet.shutdown.logind import Logind
        except ImportError:
            log.warning("graceful node shutdown is configured, but not possible: pip install 'steersman[shutdown]'")
            return
        shutdown = Shutdown(
            config.shutdown, parts.node, self.clock, self.recorder, lambda: self.workers, self.agent.report_soon
        )  # fmt: skip
        await shutdown.run(lambda: Logind(config.system_bus))

    async def _forget_unstarted(self) -> None:
        """What an earlier life of this kubelet made and was killed before starting never ran: it must not count as a run."""
        runtime = self.parts.runtime
        try:
            for container in await runtime.list_containers():
                if container.state is ContainerState.CREATED and CONTAINER_LABEL in container.labels:
                    await runtime.remove_container(container.id)
        except RuntimeFault as error:
            log.warning("containers never started were not removed error=%s", error)

    async def _sweep(self) -> None:
        """After each relist: nothing may run that neither the API nor the node's own files know."""
        if not self.static.complete:
            return
        try:
            await self.workers.sweep(self.parts.pleg.views)
        except RuntimeFault as error:
            log.warning("sweep failed error=%s", error)
