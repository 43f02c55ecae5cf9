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
from steersman.kubelet import extended, nodeinfo
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

MAX_IMAGE_NAMES = 5
_ATTACH_ANNOTATION = "volumes.kubernetes.io/controller-managed-attach-detach"
_PRESSURES = (
    ("MemoryPressure", "HasSufficientMemory", "has sufficient memory available",
     "HasInsufficientMemory", "has insufficient memory available"),
    ("DiskPressure", "HasNoDiskPressure", "has no disk pressure", "HasDiskPressure", "has disk pressure"),
    ("PIDPressure", "HasSufficientPID", "has sufficient PID available",
     "HasInsufficientPID", "has insufficient PID available"),
)  # fmt: skip
"""(condition, reason and message when all is well, and when it is not): `Kubelet` goes before, in events `Node`."""


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
        conditions = [item for item in old.get("conditions") or () if item["type"] not in _OWN]
        for kind, well, so, ill, message in _PRESSURES:
            reason, text = (ill, message) if kind in self._facts.pressures else (well, so)
            status = "True" if kind in self._facts.pressures else "False"
            conditions.append(_condition(old, kind, status, f"Kubelet{reason}", f"kubelet {text}", format_time(now)))
        problems = self._health.problems()
        if problems:
            text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
            conditions.append(_condition(old, "Ready", "False", "KubeletNotReady", text, format_time(now)))
        else:
            text = "kubelet is posting ready status"
            conditions.append(_condition(old, "Ready", "True", "KubeletReady", text, format_time(now)))
        return {
            "capacity": capacity,
            "allocatable": {
                **nodeinfo.allocatable(config, capacity),
                **extended.allocatable(dig(self._facts.node or {}, "status", default={}), capacity),
            },
            "addresses": addresses,
            "conditions": conditions,
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.port}},
            "nodeInfo": self._system_info(),
            "images": await self._image_list(),
            "runtimeHandlers": [{"name": "", "features": self._features()}],
            "features": {"supplementalGroupsPolicy": False},
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
        largest = sorted(found, key=lambda image: (-image.size_bytes, image.id))
        if self._config.node_status_max_images >= 0:
            largest = largest[: self._config.node_status_max_images]
        self._images_shown = [
            {"names": list(image.repo_digests + image.repo_tags)[:MAX_IMAGE_NAMES], "sizeBytes": image.size_bytes}
            for image in largest
            if image.repo_digests or image.repo_tags
        ]
        return self._images_shown

    async def _report(self) -> None:
        """Send the status if it changed or is due. Raises StatusError, ConnectionError."""
        old = self._reported
        status = await self._status(old)
        due_s = self._config.node_status_report_frequency_s * self._rng.uniform(0.5, 1.5)
        now_s = self._clock.monotonic()
        if _ours(status, status) == _ours(old, status) and now_s - self._reported_s < due_s:
            return
        patch = {key: value for key, value in status.items() if key not in ("conditions", "addresses")}
        if status["addresses"] != old.get("addresses"):
            patch["addresses"] = [{"$patch": "replace"}, *status["addresses"]]
        patch["conditions"] = [item for item in status["conditions"] if item["type"] in _OWN]
        patch = {key: value for key, value in patch.items() if key == "conditions" or (value or None) != (old.get(key) or None)}
        name = self._config.node_name
        answer = await self._client.patch(NODES, name, {"status": patch}, kind="strategic", subresource="status")
        self._reported_s = now_s
        if resource_version_of(answer) >= self._reported_version:
            # Else somebody has written since, and the news of that was faster than this answer.
            self._reported, self._reported_version = answer.get("status") or {}, resource_version_of(answer)
        self._note_changes(answer, old)

    def _note_changes(self, node: Obj, old: Obj) -> None:
        """Events for conditions that flipped."""
        for kind, well, _, ill, _ in _PRESSURES:
            new, known = condition(node, kind), condition(old.get("conditions"), kind)
            if new is not None and new["status"] != (known["status"] if known is not None else "False"):
                reason = f"Node{ill if new['status'] == 'True' else well}"
                self._recorder.event(node, "Normal", reason, f"Node {self._config.node_name} status is now: {reason}")
        ready = condition(node, "Ready")
        before = condition(old.get("conditions"), "Ready")
        if ready is None:
            return
        if ready["status"] == "True":
            self.ready.set()
        if before is None or before["status"] != ready["status"]:
            reason = "NodeReady" if ready["status"] == "True" else "NodeNotReady"
            self._recorder.event(node, "Normal", reason, f"Node {self._config.node_name} status is now: {reason}")

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
        given = ""

        def changed(_: Obj | None, node: Obj | None) -> None:
            nonlocal given
            if node is None:
                # Not believed at once: the next report finds out.
                self._reported_s = float("-inf")
                return
            self._facts.node = node
            if (version := resource_version_of(node)) > self._reported_version:
                self._reported_version = version
                # Somebody else has written: a node that was silent for too long is given up, and must hear of it to object.
                seen = node.get("status") or {}
                self._reported = {**self._reported, **{key: seen.get(key) or empty for key, empty in _SHARED.items()}}
            if not extended.is_settled(node.get("status") or {}, self._capacity()):
                self._news.set()
            cidr = dig(node, "spec", "podCIDR", default="")
            if cidr and cidr != given:
                given = cidr
                group.create_task(self._give_range(cidr, network_up))

        informer.add_handler(changed)

    async def _take_range(self, cidr: str) -> None:
        """Raises RuntimeFault."""
        await self._runtime.update_runtime_config(cidr)
        await self._health.check()

    async def _give_range(self, cidr: str, network_up: Callable[[], None]) -> None:
        told = ""
        while True:
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


_SHARED: dict[str, Obj | list[Obj]] = {"conditions": [], "capacity": {}, "allocatable": {}}
"""What others write into as well."""
_OWN = frozenset(("MemoryPressure", "DiskPressure", "PIDPressure", "Ready"))


def _condition(old: Obj, kind: str, status: str, reason: str, message: str, now: str) -> Obj:
    found = condition(old.get("conditions"), kind)
    moved = found["lastTransitionTime"] if found is not None and found["status"] == status else now
    return {
        "type": kind,
        "status": status,
        "lastHeartbeatTime": now,
        "lastTransitionTime": moved,
        "reason": reason,
        "message": message,
    }


def _ours(status: Obj, made: Obj) -> Obj:
    """The part of a status that the kubelet makes, without heartbeats; of capacities those that are in `made`.

    Others add resources to a Node (device plugins, administrators): they are no reason to write. Nor is an empty list (of
    images), which the API shows as none.
    """
    conditions = [
        {key: value for key, value in item.items() if key != "lastHeartbeatTime"}
        for item in status.get("conditions") or ()
        if item["type"] in _OWN
    ]
    amounts = {
        key: {name: (status.get(key) or {}).get(name) for name in made.get(key) or ()} for key in ("capacity", "allocatable")
    }
    known = ("addresses", "daemonEndpoints", "nodeInfo", "images", "volumesInUse")
    return {"conditions": conditions, **amounts, **{key: status.get(key) or None for key in known}}
