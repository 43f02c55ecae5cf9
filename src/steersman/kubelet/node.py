"""The Node object: registration, status, lease, and what the node learns back (podCIDR).

Source: upstream pkg/kubelet/kubelet_node_status.go, nodestatus/setters.go; component-helpers lease.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping

from steersman.api.resources import NODES
from steersman.client.informer import Informer
from steersman.client.interface import Client
from steersman.cri.interface import ImageService, Runtime, RuntimeFault
from steersman.kubelet import extended, nodeinfo, nodestatus
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.kit import NodeFacts, Recorder
from steersman.kubelet.lease import renew_forever
from steersman.kubelet.resources import amounts
from steersman.kubelet.runtimehealth import RuntimeHealth
from steersman.loop import localpath
from steersman.machinery.clock import Clock
from steersman.machinery.errors import AlreadyExists, NotFound, StatusError
from steersman.machinery.meta import Obj, condition, dig, format_time, labels_of, resource_version_of
from steersman.machinery.waiting import Backoff, within

log = logging.getLogger(__name__)

_ATTACH_ANNOTATION = "volumes.kubernetes.io/controller-managed-attach-detach"


class NodeAgent:
    """Keeps the Node object and `facts` current. `changed` is called when pods may do better now (network came up)."""

    def __init__(
        self,
        config: KubeletConfig,
        client: Client,
        runtime: Runtime,
        images: ImageService,
        clock: Clock,
        recorder: Recorder,
        facts: NodeFacts,
        health: RuntimeHealth,
        rng: random.Random,
    ) -> None:
        self._config, self._client, self._runtime, self._images = config, client, runtime, images
        self._clock, self._recorder, self._facts, self._rng = clock, recorder, facts, rng
        self._health = health
        self.port = config.port
        """Where the server listens; differs from the config's when that says 0."""
        self._runtime_version = ("", "")
        self._images_shown: list[Obj] = []
        self._news = asyncio.Event()
        self._reporting = asyncio.Lock()
        self._range = ""
        self._reported_s = float("-inf")
        self._reported: Obj = {}
        self._reported_version = 0
        self.ready = asyncio.Event()
        """Set once the Node shows Ready."""

    # --- registration ----------------------------------------------------------------------------------------------

    async def learn(self) -> None:
        """Fill the facts from the machine and the runtime; waits for the runtime to answer."""
        config, facts = self._config, self._facts
        while True:
            await self._health.check()
            try:
                self._runtime_version = await self._runtime.version()
                break
            except RuntimeFault:
                # The check above has said so.
                await self._clock.sleep(1)
        capacity = self._capacity()
        facts.runtime_name = self._runtime_version[0]
        facts.host_ips = (nodeinfo.node_ip(config),)
        facts.capacity = amounts(capacity)
        facts.allocatable = amounts(nodeinfo.allocatable(config, capacity))
        facts.memory_capacity = facts.capacity["memory"]

    async def register(self) -> None:
        """Create the Node, or bring an existing one's labels and annotations into line. Tries until it works."""
        if not self._config.register_node:
            # Somebody else does; its status is kept all the same.
            return
        backoff = Backoff(0.1, 7.0, rng=self._rng)
        while True:
            try:
                await self._register_once()
                return
            except (StatusError, ConnectionError) as error:
                log.warning("node not registered, will retry node=%s error=%s", self._config.node_name, error)
                await self._clock.sleep(backoff.next())

    async def _register_once(self) -> None:
        wanted = await self._wanted()
        try:
            self._facts.node = await self._client.create(NODES, wanted)
            self._reported = self._facts.node.get("status") or {}
            return
        except AlreadyExists:
            found = await self._client.get(NODES, self._config.node_name)
        labels, annotations = wanted["metadata"]["labels"], wanted["metadata"]["annotations"]
        have = dig(found, "metadata", "annotations", default=None) or {}
        if any(labels_of(found).get(key) != value for key, value in labels.items()) or any(
            have.get(key) != value for key, value in annotations.items()
        ):
            patch = {"metadata": {"labels": labels, "annotations": annotations}}
            found = await self._client.patch(NODES, self._config.node_name, patch)
        boot = self._system_info()["bootID"]
        if dig(found, "status", "nodeInfo", "bootID") not in (None, "", boot):
            text = f"Node {self._config.node_name} has been rebooted, boot id: {boot}"
            self._recorder.event(found, "Warning", "Rebooted", text)
        self._facts.node = found
        self._reported = found.get("status") or {}
        cidr = dig(found, "spec", "podCIDR", default="")
        if cidr:
            # Before the first report: a restarted kubelet must not call its node unready for want of what it can know.
            try:
                await self._take_range(cidr)
            except RuntimeFault as error:
                # Tried again once the node is followed.
                log.warning("runtime did not take the pod range cidr=%s error=%s", cidr, error)

    async def _wanted(self) -> Obj:
        config = self._config
        labels = {
            "kubernetes.io/hostname": config.node_name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": nodeinfo.architecture(),
            "beta.kubernetes.io/os": "linux",
            "beta.kubernetes.io/arch": nodeinfo.architecture(),
            **config.node_labels,
        }
        annotations = {_ATTACH_ANNOTATION: "true", **config.node_annotations}
        if config.local_path_dir is not None:
            annotations[localpath.DIRECTORY] = str(config.local_path_dir)
        node: Obj = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": config.node_name, "labels": labels, "annotations": annotations},
            "spec": {},
            "status": await self._status({}),
        }
        if config.provider_id:
            node["spec"]["providerID"] = config.provider_id
        if config.register_with_taints:
            node["spec"]["taints"] = list(config.register_with_taints)
        return node

    # --- status ----------------------------------------------------------------------------------------------------

    def _capacity(self) -> Mapping[str, str]:
        given = self._config.capacity
        return nodeinfo.capacity(self._config) if given is None else given

    def _system_info(self) -> Obj:
        given = self._config.node_info
        if given is None:
            return nodeinfo.system_info(self._runtime_version)
        return {**given, "containerRuntimeVersion": nodeinfo.runtime_version(self._runtime_version)}

    async def _status(self, old: Obj) -> Obj:
        config, now = self._config, self._clock.now()
        capacity, in_use = self._capacity(), self._facts.volumes_in_use
        addresses = [{"type": "InternalIP", "address": ip} for ip in self._facts.host_ips]
        addresses.append({"type": "Hostname", "address": config.node_name})
        return {
            "capacity": capacity,
            "allocatable": {
                **nodeinfo.allocatable(config, capacity),
                **extended.allocatable(dig(self._facts.node or {}, "status", default={}), capacity),
            },
            "addresses": addresses,
            "conditions": nodestatus.conditions(old, self._facts.pressures, self._health.problems(), format_time(now)),
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.port}},
            "nodeInfo": self._system_info(),
            "images": await self._image_list(),
            "runtimeHandlers": [{"name": "", "features": self._features()}],
            "features": {"supplementalGroupsPolicy": self._runtime.supplemental_groups_policy()},
            # Nobody has to be told that nothing is in use, unless something was.
            **({"volumesInUse": list(in_use)} if in_use or old.get("volumesInUse") else {}),
        }

    def _features(self) -> Obj:
        return {"recursiveReadOnlyMounts": True, "userNamespaces": self._runtime.user_namespaces()}

    async def _image_list(self) -> list[Obj]:
        """As last known, while the runtime does not answer: the status must not wait for it."""
        if not self._health.answers:
            return self._images_shown
        try:
            found = await self._images.list_images()
        except RuntimeFault as error:
            log.debug("images not listed error=%s", error)
            return self._images_shown
        self._images_shown = nodestatus.images(found, self._config.node_status_max_images)
        return self._images_shown

    async def _report(self) -> None:
        """Send the status if it changed or is due. Raises StatusError, ConnectionError."""
        # One after the other: what was seen earlier must not be sent later.
        async with self._reporting:
            await self._send_report()

    async def _send_report(self) -> None:
        old = self._reported
        status = await self._status(old)
        due_s = self._config.node_status_report_frequency_s * self._rng.uniform(0.5, 1.5)
        now_s = self._clock.monotonic()
        if nodestatus.same(old, status) and now_s - self._reported_s < due_s:
            return
        patch = nodestatus.patch(old, status)
        name = self._config.node_name
        answer = await self._client.patch(NODES, name, {"status": patch}, kind="strategic", subresource="status")
        self._reported_s = now_s
        if resource_version_of(answer) >= self._reported_version:
            # Else somebody has written since, and the news of that was faster than this answer.
            self._reported, self._reported_version = answer.get("status") or {}, resource_version_of(answer)
        self._note_changes(answer, old)

    def _note_changes(self, node: Obj, old: Obj) -> None:
        """Events for conditions that flipped."""
        for reason in nodestatus.turned(node, old):
            self._recorder.event(node, "Normal", reason, f"Node {self._config.node_name} status is now: {reason}")
        ready = condition(node, "Ready")
        if ready is not None and ready["status"] == "True":
            self.ready.set()

    def report_soon(self) -> None:
        """What the Node shows has changed."""
        self._news.set()

    async def run(self) -> None:
        """Registration is done; keep status and lease until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._report_forever())
            # As often as upstream: twice per update of the status.
            group.create_task(self._health.run(self._config.node_status_update_frequency_s / 2, self._news.set))
            group.create_task(renew_forever(self._client, self._clock, self._config, self._facts))

    async def _report_forever(self) -> None:
        if self._facts.node is not None:
            self._recorder.event(self._facts.node, "Normal", "Starting", "Starting kubelet.")
        until_ready = Backoff(0.1, 1.0, rng=self._rng)
        removed = False
        while True:
            try:
                await self._report()
            except NotFound:
                if self._config.register_again and self._config.register_node:
                    log.info("node was deleted, registering it again node=%s", self._config.node_name)
                    await self.register()
                elif not removed:
                    log.warning("node was removed from the cluster node=%s", self._config.node_name)
                    removed = True
            except (StatusError, ConnectionError) as error:
                log.warning("node status not sent node=%s error=%s", self._config.node_name, error)
            every_s = self._config.node_status_update_frequency_s if self.ready.is_set() else until_ready.next()
            await within(self._clock, every_s * (1 + 0.04 * self._rng.random()), self._news.wait)
            self._news.clear()
            if not self.ready.is_set():
                await self._health.check()

    # --- what the cluster tells the node ---------------------------------------------------------------------------

    def follow(self, informer: Informer, group: asyncio.TaskGroup, network_up: Callable[[], None]) -> None:
        """React to changes of the own Node: its pod range goes to the runtime. network_up: pods may have a network now."""

        def changed(_: Obj | None, node: Obj | None) -> None:
            if node is None:
                # Not believed at once: the next report finds out.
                self._reported_s = float("-inf")
                return
            self._facts.node = node
            if (version := resource_version_of(node)) > self._reported_version:
                self._reported_version = version
                # Somebody else has written: a node that was silent for too long is given up, and must hear of it to object.
                seen = node.get("status") or {}
                self._reported = {**self._reported, **{key: seen.get(key) or empty for key, empty in nodestatus.SHARED.items()}}
            if not extended.is_settled(node.get("status") or {}, self._capacity()):
                self._news.set()
            cidr = dig(node, "spec", "podCIDR", default="")
            if cidr and cidr != self._range:
                self._range = cidr
                group.create_task(self._give_range(cidr, network_up))

        informer.add_handler(changed)

    async def look(self) -> None:
        """Ask for the own Node: what the watch has told may be older than what others go by already."""
        try:
            node = await self._client.get(NODES, self._config.node_name)
        except (StatusError, ConnectionError) as error:
            log.warning("node not read node=%s error=%s", self._config.node_name, error)
            return
        self._facts.answered(node)

    async def _take_range(self, cidr: str) -> None:
        """Raises RuntimeFault."""
        await self._runtime.update_runtime_config(cidr)
        await self._health.check()

    async def _give_range(self, cidr: str, network_up: Callable[[], None]) -> None:
        told = ""
        while True:
            if cidr != self._range:
                # The node has another by now, which is given in its turn.
                return
            try:
                await self._take_range(cidr)
                break
            except RuntimeFault as error:
                if str(error) != told:
                    told = str(error)
                    log.warning("runtime did not take the pod range cidr=%s error=%s", cidr, error)
                await self._clock.sleep(1)
        try:
            await self._report()
        except (StatusError, ConnectionError) as error:
            log.warning("node status not sent node=%s error=%s", self._config.node_name, error)
        network_up()
