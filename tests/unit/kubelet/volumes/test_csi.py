"""CSI volumes against a driver of our own over real gRPC: registration, stage and publish in order, what is undone and when."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from tests.fakes.client import FakeClient
from tests.fakes.csidriver import NAME, FolderDriver

from steersman.api.resources import (
    CSI_DRIVERS,
    CSI_NODES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    SECRETS,
    VOLUME_ATTACHMENTS,
)
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.kit import NodeFacts
from steersman.kubelet.objects import ObjectCache, TokenCache
from steersman.kubelet.server.diskuse import DiskUse
from steersman.kubelet.server.volumestats import VolumeStats
from steersman.kubelet.volumes.base import Request, Unattached, VolumeFault
from steersman.kubelet.volumes.csi import layout
from steersman.kubelet.volumes.csi.attachment import Attachments
from steersman.kubelet.volumes.csi.messages import Present, fields, message
from steersman.kubelet.volumes.csi.parts import Csi
from steersman.kubelet.volumes.csi.wanted import Wanted, gives_group, persistent
from steersman.kubelet.volumes.manager import MountFailed, VolumeManager
from steersman.kubelet.worker import PodWorker
from steersman.loop.attachments import attachment_name
from steersman.machinery.clock import RealClock, VirtualClock
from steersman.machinery.errors import Forbidden
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, annotations_of, labels_of

HANDLE, VOLUME = "vol-1", "pv-1"


class Api(FakeClient):
    """Gives out tokens that say only when they end."""

    async def create(self, resource: Resource, obj: Obj, namespace: str = "", *, name: str = "", subresource: str = "") -> Obj:
        if subresource != "token":
            return await super().create(resource, obj, namespace, name=name, subresource=subresource)
        token = ".".join(("e30", base64.urlsafe_b64encode(b'{"exp":1893456000}').decode().rstrip("="), "x"))
        return {"status": {"token": token, "expirationTimestamp": "2030-01-01T00:00:00Z"}}


@dataclass
class Node:
    """A node with CSI, in a folder."""

    root: Path
    api: FakeClient = field(default_factory=Api)
    facts: NodeFacts = field(default_factory=NodeFacts)
    clock: RealClock = field(default_factory=RealClock)
    events: list[tuple[str, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.facts.node = self.api.put(NODES, {"metadata": {"name": "n1", "uid": "nu", "labels": {"zone": "a"}}})
        self.api.put(CSI_DRIVERS, {"metadata": {"name": NAME}, "spec": {"attachRequired": False}})
        claim = {"metadata": {"name": "data", "namespace": "default", "uid": "c1"}, "spec": {"volumeName": VOLUME}}
        self.api.put(PERSISTENT_VOLUME_CLAIMS, {**claim, "status": {"phase": "Bound"}})
        self.volume()

    def told(self, about: Obj, type: str, reason: str, message: str) -> None:
        self.events.append((about["metadata"]["name"], reason, message))

    def volume(self, spec: Obj | None = None, **csi: Any) -> None:
        source = {"driver": NAME, "volumeHandle": HANDLE, "volumeAttributes": {"a": "b"}, **csi}
        ref = {"namespace": "default", "name": "data", "uid": "c1"}
        made = {"csi": source, "claimRef": ref, "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}}
        self.api.put(PERSISTENT_VOLUMES, {"metadata": {"name": VOLUME}, "spec": {**made, **(spec or {})}})

    def driver_says(self, **spec: Any) -> None:
        self.api.put(CSI_DRIVERS, {"metadata": {"name": NAME}, "spec": {"attachRequired": False, **spec}})

    @property
    def driver(self) -> FolderDriver:
        return FolderDriver(self.root / "driver", self.root / "plugins_registry")

    @asynccontextmanager
    async def kubelet(self) -> AsyncIterator[VolumeManager]:
        """The volumes' part of a kubelet; started anew each time."""
        config = KubeletConfig(node_name="n1", root_dir=self.root, secrets_in_memory=False)
        csi = Csi(config, self.api, self.clock, self.facts, lambda: None, self.told)
        objects, tokens = ObjectCache(self.api, self.clock), TokenCache(self.api, self.clock, random.Random(1))
        manager = VolumeManager(config, objects, tokens, self.clock, dict, csi=csi.volumes)
        async with asyncio.TaskGroup() as group:
            stop = group.create_task(_serve(csi))
            try:
                yield manager
            finally:
                stop.cancel()

    async def until(self, seen: Callable[[], object]) -> None:
        async with asyncio.timeout(120):
            while not seen():
                await self.clock.sleep(0.01)

    def staging(self) -> Path:
        return layout.staging(self.root, NAME, HANDLE)

    def published(self, uid: str = "u1", name: str = VOLUME) -> Path:
        return self.root / "pods" / uid / "volumes" / "kubernetes.io~csi" / name / "mount"


async def _serve(csi: Csi, wake: Callable[[], None] = lambda: None) -> None:
    async with asyncio.TaskGroup() as group:
        csi.start(group, wake)
        await asyncio.Event().wait()


def pod(uid: str = "u1", **spec: Any) -> Obj:
    volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]
    metadata = {"name": f"web-{uid}", "namespace": "default", "uid": uid}
    return {"metadata": metadata, "spec": {"containers": [], "volumes": volumes, "serviceAccountName": "sa", **spec}}


def inline(**csi: Any) -> Obj:
    return pod(volumes=[{"name": "d", "csi": {"driver": NAME, "volumeAttributes": {"a": "b"}, **csi}}])


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


async def why(manager: VolumeManager, asked: Obj) -> str:
    with pytest.raises(MountFailed) as failure:
        await manager.set_up(asked)
    return "; ".join(failure.value.messages)


async def waits(manager: VolumeManager, uid: str = "u1") -> list[str]:
    """The volumes that are still being attached; of others there is nothing to tell."""
    with pytest.raises(MountFailed) as failure:
        await manager.set_up(pod(uid))
    assert failure.value.messages == []
    return failure.value.pending


async def made(node: Node) -> Request:
    objects, tokens = ObjectCache(node.api, node.clock), TokenCache(node.api, node.clock, random.Random(1))
    return Request(pod(), pod()["spec"]["volumes"][0], node.root / "d", objects, tokens, node.clock.now())


def drivers_shown(node: Node) -> list[Obj] | None:
    table = node.api.tables.get((CSI_NODES.group, CSI_NODES.plural))
    found = table.objects.get(("", "n1")) if table is not None else None
    return None if found is None else list(found["spec"]["drivers"])


def grown(node: Node, size: str = "2Gi") -> None:
    """The storage has become larger; the node's part of it is left."""
    node.volume({"capacity": {"storage": size}}, nodeExpandSecretRef={"name": "s", "namespace": "ns"})
    conditions = [{"type": "FileSystemResizePending", "status": "True"}, {"type": "Unused", "status": "True"}]
    metadata = {"name": "data", "namespace": "default", "uid": "c1"}
    status = {"phase": "Bound", "capacity": {"storage": "1Gi"}, "conditions": conditions}
    status |= {"allocatedResourceStatuses": {"storage": "NodeResizePending"}}
    spec = {"volumeName": VOLUME, "resources": {"requests": {"storage": size}}}
    node.api.put(PERSISTENT_VOLUME_CLAIMS, {"metadata": metadata, "spec": spec, "status": status})


async def shown_claim(node: Node) -> Obj:
    return dict((await node.api.get(PERSISTENT_VOLUME_CLAIMS, "data", "default"))["status"])


@pytest.mark.parametrize("running", [True, False], ids=["while it is in use", "before it is"])
def test_a_claim_that_grew_is_brought_to_its_size_and_says_so(node: Node, running: bool) -> None:
    async def scenario() -> None:
        driver = node.driver
        driver.capabilities = (1, 3)
        driver.start()
        node.api.put(SECRETS, {"metadata": {"name": "s", "namespace": "ns"}, "data": {"k": base64.b64encode(b"v").decode()}})
        async with node.kubelet() as manager:
            await node.until(lambda: driver.told)
            if running:
                await manager.set_up(pod())
            assert "NodeExpandVolume" not in driver.methods
            grown(node)
            await manager.set_up(pod())
            assert driver.methods == ["NodeStageVolume", "NodePublishVolume", "NodeExpandVolume"]
            call = driver.last("NodeExpandVolume")
            assert [call.text(number) for number in (1, 2, 4)] == [HANDLE, str(node.published()), str(node.staging())]
            assert fields(fields(call.request)[1][3][0])[0] == {1: 2 << 30} and call.map(6) == {"k": "v"}
            status = await shown_claim(node)
            assert (status["capacity"], status["allocatedResourceStatuses"]) == ({"storage": "2Gi"}, {})
            assert [each["type"] for each in status["conditions"]] == ["Unused"]
            text = f'MountVolume.NodeExpandVolume succeeded for volume "{VOLUME}"'
            assert node.events == [(name, "FileSystemResizeSuccessful", text) for name in ("web-u1", "data")]
            await manager.set_up(pod())
            assert driver.methods.count("NodeExpandVolume") == 1
            await manager.tear_down("u1")
        driver.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("code", "state", "told"),
    [
        (grpc.StatusCode.INTERNAL, "NodeResizePending", 2),
        (grpc.StatusCode.OUT_OF_RANGE, "NodeResizeInfeasible", 2),
        (grpc.StatusCode.FAILED_PRECONDITION, "NodeResizePending", 0),
    ],
)
def test_a_volume_that_cannot_grow_keeps_no_pod_from_running_and_is_tried_again(
    node: Node, code: grpc.StatusCode, state: str, told: int
) -> None:
    async def scenario() -> None:
        driver = node.driver
        driver.capabilities = (1, 3)
        driver.fail["NodeExpandVolume"] = (code, "no")
        driver.start()
        node.api.put(SECRETS, {"metadata": {"name": "s", "namespace": "ns"}, "data": {}})
        grown(node)
        async with node.kubelet() as manager:
            await node.until(lambda: driver.told)
            for _ in range(2):
                assert await manager.set_up(pod()) == {"d": node.published()}
            status = await shown_claim(node)
            assert (status["capacity"]["storage"], status["allocatedResourceStatuses"]) == ("1Gi", {"storage": state})
            assert [(name, reason) for name, reason, _ in node.events] == [("web-u1", "VolumeResizeFailed")] * told
            driver.fail.clear()
            await manager.set_up(pod())
            assert (await shown_claim(node))["capacity"]["storage"] == "2Gi"
        driver.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize(("can", "read_only"), [(False, False), (True, True)])
def test_a_volume_that_the_node_need_not_or_may_not_grow_is_left_alone(node: Node, can: bool, read_only: bool) -> None:
    async def scenario() -> None:
        driver = node.driver
        driver.capabilities = (1, 3) if can else (1,)
        driver.start()
        grown(node)
        asked = pod(volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "data", "readOnly": read_only}}])
        async with node.kubelet() as manager:
            await node.until(lambda: driver.told)
            for _ in range(2):
                await manager.set_up(asked)
            assert "NodeExpandVolume" not in driver.methods and node.events == []
        driver.stop()

    asyncio.run(scenario())


def block_device() -> Path:
    """One of this machine's; only looked at."""
    for path in sorted(Path("/dev").iterdir()):
        if path.is_block_device():
            return path
    pytest.skip("there is no block device here")


def test_a_block_volume_is_a_device_and_is_undone_like_any(node: Node) -> None:
    async def scenario() -> None:
        driver = node.driver
        driver.device = block_device()
        driver.start()
        try:
            async with node.kubelet() as manager:
                await node.until(lambda: drivers_shown(node))
                node.volume({"volumeMode": "Block"}, fsType="ext4")
                asked = pod(securityContext={"fsGroup": 5})
                path = (await manager.set_up(asked))["d"]
                assert path == node.published() and path.is_block_device()
                block = message(Present(1, b""), (3, message((1, 7))))
                for method, number in (("NodeStageVolume", 4), ("NodePublishVolume", 5)):
                    assert fields(driver.last(method).request)[1][number] == [block]
                await manager.tear_down("u1")
                assert not node.published().parent.exists() and not node.staging().exists()
                driver.device = Path("/dev/null")
                text = await why(manager, asked)
                assert text.startswith(f'MapVolume.MapPodDevice failed for volume "{VOLUME}" :') and "is no block device" in text
                driver.fail["NodeStageVolume"] = (grpc.StatusCode.INTERNAL, "no")
                assert (await why(manager, asked)).startswith("MapVolume.SetUpDevice failed")
        finally:
            driver.stop()

    asyncio.run(scenario())


class Set:
    """A worker, as far as statistics look at it."""

    def __init__(self, pod: Obj) -> None:
        self.pod, self.uid = pod, pod["metadata"]["uid"]


def test_a_driver_that_can_says_how_full_its_volumes_are_and_is_asked_once_a_minute(node: Node) -> None:
    async def scenario() -> None:
        driver = node.driver
        driver.capabilities = (1, 2)
        driver.start()
        try:
            async with node.kubelet() as manager:
                await node.until(lambda: drivers_shown(node))
                asked = pod()
                await manager.set_up(asked)
                config = KubeletConfig(node_name="n1", root_dir=node.root)
                stats = VolumeStats(config, node.clock, DiskUse(node.clock), manager)
                (shown,) = await stats.of_pod(asked, "u1")
                assert shown.pop("time")
                assert shown == {
                    "availableBytes": 900, "capacityBytes": 1000, "usedBytes": 100, "inodesFree": 43, "inodes": 50,
                    "inodesUsed": 7, "name": "d", "pvcRef": {"name": "data", "namespace": "default"},
                }  # fmt: skip
                other = pod("u2")
                await manager.set_up(other)
                claims = await stats.of_claims([cast(PodWorker, Set(each)) for each in (asked, other)])
                assert [(*key, found["usedBytes"]) for key, found in claims.items()] == [("default", "data", 100)]
                assert driver.methods.count("NodeGetVolumeStats") == 1
                call = driver.last("NodeGetVolumeStats")
                assert [call.text(number) for number in (1, 2, 3)] == [HANDLE, str(node.published()), str(node.staging())]
        finally:
            driver.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize("fails", [False, True])
def test_without_a_driver_that_can_tell_a_volumes_filesystem_does(node: Node, fails: bool) -> None:
    async def scenario() -> None:
        driver = node.driver
        driver.capabilities = (1, 2) if fails else (1,)
        driver.fail["NodeGetVolumeStats"] = (grpc.StatusCode.INTERNAL, "disk on fire")
        driver.start()
        try:
            async with node.kubelet() as manager:
                await node.until(lambda: drivers_shown(node))
                await manager.set_up(pod())
                config = KubeletConfig(node_name="n1", root_dir=node.root)
                shown = await VolumeStats(config, node.clock, DiskUse(node.clock), manager).of_pod(pod(), "u1")
                whole = os.statvfs(node.root)
                expected = [] if fails else [whole.f_blocks * whole.f_frsize]
                assert [each["capacityBytes"] for each in shown] == expected
        finally:
            driver.stop()

    asyncio.run(scenario())


def test_a_driver_that_registers_is_shown_to_the_cluster_until_its_socket_goes(node: Node) -> None:
    async def scenario() -> None:
        driver = node.driver
        driver.topology, driver.max_volumes = {"topology.example/rack": "r1"}, 7
        async with node.kubelet():
            await node.until(lambda: drivers_shown(node) == [])
            driver.start()
            await node.until(lambda: driver.told)
            assert driver.told == [(True, "")]
            entry = {"name": NAME, "nodeID": "node-id-1", "topologyKeys": ["topology.example/rack"], "allocatable": {"count": 7}}
            assert drivers_shown(node) == [entry]
            shown = await node.api.get(NODES, "n1")
            assert labels_of(shown) == {"zone": "a", "topology.example/rack": "r1"}
            assert json.loads(annotations_of(shown)["csi.volume.kubernetes.io/nodeid"]) == {NAME: "node-id-1"}
            owner = (await node.api.get(CSI_NODES, "n1"))["metadata"]["ownerReferences"]
            assert [(each["kind"], each["uid"]) for each in owner] == [("Node", "nu")]
            driver.stop()
            await node.until(lambda: drivers_shown(node) == [])
            driver.node_id = "node-id-2"
            driver.start()
            await node.until(lambda: len(driver.told) == 2)
            assert [each["nodeID"] for each in drivers_shown(node) or ()] == ["node-id-2"]
        driver.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"versions": ("0.3.0", "2.0")}, "None of the CSI versions reported by this driver are supported"),
        ({"topology": {"zone": "b"}}, 'driver reported "zone":"b" but existing label is "zone":"a"'),
        ({"node_id": ""}, "node info has no node ID"),
    ],
    ids=["version", "topology", "no node ID"],
)
def test_a_driver_that_cannot_be_used_is_told_why(node: Node, change: dict[str, Any], text: str) -> None:
    async def scenario() -> None:
        driver = node.driver
        for key, value in change.items():
            setattr(driver, key, value)
        driver.start()
        async with node.kubelet() as manager:
            await node.until(lambda: driver.told)
            assert driver.told[0][0] is False and text in driver.told[0][1]
            assert drivers_shown(node) == []
            assert "not found in the list of registered CSI drivers" in await why(manager, pod())
        driver.stop()

    asyncio.run(scenario())


def test_a_volume_is_staged_once_and_published_for_every_pod_and_undone_the_same_way(node: Node) -> None:
    async def scenario() -> None:
        driver = node.driver
        driver.start()
        node.api.put(SECRETS, {"metadata": {"name": "s", "namespace": "ns"}, "data": {"key": "dmFsdWU="}})
        ref = {"name": "s", "namespace": "ns"}
        node.volume({"mountOptions": ["noatime"]}, fsType="xfs", nodeStageSecretRef=ref, nodePublishSecretRef=ref)
        async with node.kubelet() as manager:
            await node.until(lambda: driver.told)
            assert await manager.set_up(pod("u1")) == {"d": node.published("u1")}
            assert await manager.set_up(pod("u2")) == {"d": node.published("u2")}
            assert driver.methods == ["NodeStageVolume", "NodePublishVolume"] * 2
            stage, publish = driver.last("NodeStageVolume"), driver.last("NodePublishVolume")
            assert (stage.text(1), stage.text(3)) == (HANDLE, str(node.staging()))
            assert (stage.map(5), stage.map(6)) == ({"key": "value"}, {"a": "b"})
            assert b"xfs" in stage.request and b"noatime" in stage.request
            assert (publish.text(3), publish.text(4)) == (str(node.staging()), str(node.published("u2")))
            assert (publish.map(7), publish.map(8), publish.number(6)) == ({"key": "value"}, {"a": "b"}, 0)
            note = json.loads((node.published("u1").parent / "vol_data.json").read_text())
            expected = {"driverName": NAME, "nodeName": "n1", "specVolID": VOLUME, "volumeHandle": HANDLE}
            assert note == {**expected, "volumeLifecycleMode": "Persistent"}
            await manager.tear_down("u1")
            assert driver.methods[4:] == ["NodeUnpublishVolume"] and not node.published("u1").parent.exists()
            await manager.tear_down("u2")
            assert driver.methods[5:] == ["NodeUnpublishVolume", "NodeUnstageVolume"]
            assert not node.staging().parent.exists()
            await manager.tear_down("u2")
            assert len(driver.methods) == 7, "what is undone is not undone again"
        driver.stop()

    asyncio.run(scenario())


def test_a_kubelet_that_was_started_anew_undoes_what_an_earlier_one_did(node: Node) -> None:
    async def scenario() -> None:
        driver = node.driver
        driver.start()
        async with node.kubelet() as manager:
            await node.until(lambda: driver.told)
            await manager.set_up(pod())
        async with node.kubelet() as manager:
            await node.until(lambda: len(driver.told) == 2)
            await manager.tear_down("u1")
            assert driver.methods[2:] == ["NodeUnpublishVolume", "NodeUnstageVolume"]
            await manager.set_up(pod())
            await manager.tear_down("u1")
            # As if the kubelet had ended between the two.
            node.staging().mkdir(parents=True)
            layout.Note(NAME, HANDLE, VOLUME).write(node.staging().parent)
            await manager.tear_down("u1")
        async with node.kubelet():
            await node.until(lambda: not node.staging().exists())
            assert driver.methods.count("NodeUnstageVolume") == 3
        driver.stop()

    asyncio.run(scenario())


def test_a_driver_without_staging_is_only_asked_to_publish(node: Node) -> None:
    async def scenario() -> None:
        driver = node.driver
        driver.capabilities = ()
        driver.start()
        async with node.kubelet() as manager:
            await node.until(lambda: driver.told)
            await manager.set_up(pod())
            await manager.tear_down("u1")
            assert driver.methods == ["NodePublishVolume", "NodeUnpublishVolume"]
            assert driver.last("NodePublishVolume").text(3) == ""
        driver.stop()

    asyncio.run(scenario())


def test_an_inline_volume_needs_a_driver_that_takes_them_and_is_told_of_the_pod(node: Node) -> None:
    async def scenario() -> None:
        driver = node.driver
        driver.start()
        async with node.kubelet() as manager:
            await node.until(lambda: driver.told)
            refusal = f"volume mode \"Ephemeral\" not supported by driver {NAME} (only supports ['Persistent'])"
            assert refusal in await why(manager, inline())
            node.driver_says(volumeLifecycleModes=["Ephemeral"], podInfoOnMount=True)
            assert await manager.set_up(inline(readOnly=True)) == {"d": node.published(name="d")}
            publish = driver.last("NodePublishVolume")
            lead = "csi.storage.k8s.io"
            expected = {"a": "b", f"{lead}/pod.name": "web-u1", f"{lead}/pod.namespace": "default", f"{lead}/pod.uid": "u1"}
            assert publish.map(8) == {**expected, f"{lead}/serviceAccount.name": "sa", f"{lead}/ephemeral": "true"}
            assert publish.text(1) == layout.ephemeral_handle("u1", "d") and publish.number(6) == 1
            await manager.tear_down("u1")
            assert driver.methods == ["NodePublishVolume", "NodeUnpublishVolume"]
        driver.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("NodeStageVolume", f'MountVolume.MountDevice failed for volume "{VOLUME}" : rpc error: code = Internal desc = no disk'),
        ("NodePublishVolume", f'MountVolume.SetUp failed for volume "{VOLUME}" : rpc error: code = Internal desc = no disk'),
    ],
)
def test_what_the_driver_says_against_it_is_in_the_event_and_it_is_undone_all_the_same(
    node: Node, method: str, text: str
) -> None:
    async def scenario() -> None:
        driver = node.driver
        driver.start()
        driver.fail[method] = grpc.StatusCode.INTERNAL, "no disk"
        async with node.kubelet() as manager:
            await node.until(lambda: driver.told)
            assert await why(manager, pod()) == text
            await manager.tear_down("u1")
            assert driver.methods[-2:] == ["NodeUnpublishVolume", "NodeUnstageVolume"]
        driver.stop()

    asyncio.run(scenario())


def test_a_pod_does_not_end_before_its_volume_is_unpublished(node: Node) -> None:
    async def scenario() -> None:
        driver = node.driver
        driver.start()
        async with node.kubelet() as manager:
            await node.until(lambda: driver.told)
            await manager.set_up(pod())
            driver.fail["NodeUnpublishVolume"] = grpc.StatusCode.INTERNAL, "busy"
            with pytest.raises(OSError, match="UnmountVolume.TearDown failed .* busy"):
                await manager.tear_down("u1")
            assert node.published().parent.exists() and "NodeUnstageVolume" not in driver.methods
            driver.fail.clear()
            await manager.tear_down("u1")
            assert driver.methods[-2:] == ["NodeUnpublishVolume", "NodeUnstageVolume"]
        driver.stop()

    asyncio.run(scenario())


def test_an_attachable_volume_waits_for_its_attachment_and_is_in_use_until_it_is_unstaged(node: Node) -> None:
    async def scenario() -> None:
        driver = node.driver
        driver.start()
        node.driver_says(attachRequired=True)
        name = attachment_name(HANDLE, NAME, "n1")
        async with node.kubelet() as manager:
            await node.until(lambda: driver.told)
            for _ in range(2):
                assert await waits(manager) == ["d"]
                assert node.facts.volumes_in_use == (f"kubernetes.io/csi/{NAME}^{HANDLE}",)
            status = {"attached": True, "attachmentMetadata": {"device": "sdb"}}
            node.api.put(VOLUME_ATTACHMENTS, {"metadata": {"name": name}, "status": status})
            await manager.set_up(pod())
            assert driver.last("NodeStageVolume").map(2) == driver.last("NodePublishVolume").map(2) == {"device": "sdb"}
            node.facts.volumes_in_use = ()
        async with node.kubelet() as manager:
            assert node.facts.volumes_in_use, "a kubelet that was started anew knows"
            await node.until(lambda: len(driver.told) == 2)
            await manager.tear_down("u1")
            assert node.facts.volumes_in_use == ()
        driver.stop()

    asyncio.run(scenario())


def test_a_driver_that_wants_it_publishes_again_with_fresh_tokens(node: Node) -> None:
    async def scenario() -> None:
        driver = node.driver
        driver.start()
        tokens = [{"audience": "vault", "expirationSeconds": 600}]
        node.driver_says(requiresRepublish=True, tokenRequests=tokens)
        async with node.kubelet() as manager:
            await node.until(lambda: driver.told)
            await manager.set_up(pod())
            await manager.set_up(pod())
            assert driver.methods.count("NodePublishVolume") == 2
            given = json.loads(driver.last("NodePublishVolume").map(8)["csi.storage.k8s.io/serviceAccount.tokens"])
            assert list(given) == ["vault"] and given["vault"]["token"].startswith("e30.")
            assert given["vault"]["expirationTimestamp"] == "2030-01-01T00:00:00Z"
            node.driver_says()
            await manager.tear_down("u1")
        driver.stop()

    asyncio.run(scenario())


def test_a_volume_is_waited_for_before_its_attachment_may_be_asked_for(node: Node) -> None:
    async def scenario() -> None:
        driver = node.driver
        driver.start()
        node.driver_says(attachRequired=True)
        name = attachment_name(HANDLE, NAME, "n1")
        async with node.kubelet() as manager:
            await node.until(lambda: driver.told)
            node.api.put(VOLUME_ATTACHMENTS, {"metadata": {"name": name}, "status": {"attached": True}})
            # Claim, volume, CSIDriver; then the attachment.
            node.api.fail_next("get", None, None, None, Forbidden("no relationship found between node 'n1' and this object"))
            assert await waits(manager) == ["d"]
            assert await manager.set_up(pod()) == {"d": node.published()}
        driver.stop()

    asyncio.run(scenario())


def test_an_attachment_that_does_not_come_is_told_every_two_minutes_with_its_reason(node: Node) -> None:
    async def scenario() -> None:
        clock, told = VirtualClock(), 0
        attachments = Attachments(node.api, clock, node.facts, node.root, lambda: None)
        request = await made(node)
        wanted = persistent(request, await request.objects.read(PERSISTENT_VOLUMES, "", VOLUME))
        for passed, expected in ((0, ""), (119, ""), (1, "context deadline exceeded"), (119, ""), (1, "no such disk"), (2, "")):
            await clock.advance(passed)
            if expected == "no such disk":
                node.api.put(VOLUME_ATTACHMENTS, {"metadata": {"name": "a"}, "status": {"attachError": {"message": expected}}})
            with pytest.raises(VolumeFault) as failure:
                await attachments.look(wanted, "a", "u1")
            assert getattr(failure.value, "pending", False) is not bool(expected)
            assert str(failure.value) == (expected or "it is not attached yet")
            told += bool(expected)
        assert told == 2 and attachments.waiting

    asyncio.run(scenario())


def test_a_pod_that_goes_lets_go_of_what_it_waited_for_unless_another_waits_too(node: Node) -> None:
    async def scenario() -> None:
        driver = node.driver
        driver.start()
        node.driver_says(attachRequired=True)
        async with node.kubelet() as manager:
            await node.until(lambda: driver.told)
            for uid in ("u1", "u2"):
                assert await waits(manager, uid) == ["d"]
            await manager.tear_down("u1")
            assert node.facts.volumes_in_use
            await manager.tear_down("u2")
            assert node.facts.volumes_in_use == ()
        driver.stop()

    asyncio.run(scenario())


def test_a_volume_that_is_not_attached_keeps_no_other_of_the_pod_waiting(node: Node) -> None:
    async def scenario() -> None:
        driver = node.driver
        driver.start()
        node.driver_says(attachRequired=True)
        async with node.kubelet() as manager:
            await node.until(lambda: driver.told)
            asked = pod()
            asked["spec"]["volumes"].append({"name": "e", "emptyDir": {}})
            with pytest.raises(MountFailed) as failure:
                await manager.set_up(asked)
            assert (failure.value.messages, failure.value.pending) == ([], ["d"])
            assert str(failure.value) == 'volume "d" is not attached yet'
            assert list(manager.paths("u1")) == ["e"]
        driver.stop()

    asyncio.run(scenario())


def test_pods_that_wait_are_woken_when_the_node_shows_another_volume(node: Node) -> None:
    async def scenario() -> None:
        config = KubeletConfig(node_name="n1", root_dir=node.root)
        csi, woken = Csi(config, node.api, node.clock, node.facts, lambda: None, node.told), 0
        shown: Obj = {"status": {"volumesAttached": [{"name": "v", "devicePath": ""}]}}

        def wake() -> None:
            nonlocal woken
            woken += 1

        async with asyncio.TaskGroup() as group:
            serving = group.create_task(_serve(csi, wake))
            await node.clock.sleep(0)
            csi.node_changed({}, shown)
            assert woken == 0, "nobody waits"
            request = await made(node)
            wanted = persistent(request, await request.objects.read(PERSISTENT_VOLUMES, "", VOLUME))
            with pytest.raises(Unattached):
                await csi._attachments.look(wanted, "a", "u1")
            csi.node_changed(shown, {**shown, "spec": {}})
            assert woken == 0
            csi.node_changed({}, shown)
            assert woken == 1
            serving.cancel()

    asyncio.run(scenario())


def test_a_plugin_that_does_not_answer_or_is_of_no_known_type_keeps_nobody_else_from_registering(node: Node) -> None:
    async def scenario() -> None:
        stale = node.root / "plugins_registry" / "a.sock"
        driver, other = node.driver, FolderDriver(node.root / "other", node.root / "plugins_registry", name="b", type="Toaster")
        driver.start()
        other.start()
        shutil.copy2("/dev/null", stale.parent / "file.sock")
        with socket.socket(socket.AF_UNIX) as bound, tempfile.TemporaryDirectory() as short:
            bound.bind(f"{short}/a.sock")
            os.replace(f"{short}/a.sock", stale)
            async with node.kubelet():
                await node.until(lambda: driver.told and other.told)
                assert driver.told == [(True, "")]
                assert "no handler registered for plugin type: Toaster" in other.told[0][1]
                assert [each["name"] for each in drivers_shown(node) or ()] == [NAME]
        driver.stop()
        other.stop()

    asyncio.run(scenario())


def test_secrets_may_be_larger_than_what_the_driver_takes_at_once(node: Node) -> None:
    async def scenario() -> None:
        driver = node.driver
        driver.start()
        value = "x" * 700_000
        node.api.put(
            SECRETS, {"metadata": {"name": "s", "namespace": "ns"}, "data": {"k": base64.b64encode(value.encode()).decode()}}
        )
        node.volume(nodePublishSecretRef={"name": "s", "namespace": "ns"})
        async with node.kubelet() as manager:
            await node.until(lambda: driver.told)
            await manager.set_up(pod())
            assert driver.last("NodePublishVolume").map(7) == {"k": value}
        driver.stop()

    asyncio.run(scenario())


def test_without_its_driver_a_volume_is_not_given_up(node: Node) -> None:
    async def scenario() -> None:
        driver = node.driver
        driver.start()
        async with node.kubelet() as manager:
            await node.until(lambda: driver.told)
            await manager.set_up(pod())
            driver.stop()
            await node.until(lambda: drivers_shown(node) == [])
            with pytest.raises(OSError, match=f"driver name {NAME} not found in the list of registered CSI drivers"):
                await manager.tear_down("u1")
            driver.start()
            await node.until(lambda: len(driver.told) == 2)
            await manager.tear_down("u1")
            assert driver.methods[-2:] == ["NodeUnpublishVolume", "NodeUnstageVolume"]
        driver.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("modes", "multi_writer", "number"),
    [
        (["ReadWriteOnce"], False, 1),
        (["ReadWriteOnce", "ReadWriteMany"], True, 7),
        (["ReadOnlyMany"], True, 3),
        (["ReadWriteMany"], False, 5),
        (["ReadWriteOncePod"], True, 6),
        (["ReadWriteOncePod"], False, 1),
        ([], False, 1),
    ],
)
def test_the_first_access_mode_is_the_protocols(modes: list[str], multi_writer: bool, number: int) -> None:
    wanted = Wanted(NAME, HANDLE, VOLUME, layout.PERSISTENT, "", {}, False, tuple(modes))
    assert wanted.access_mode(multi_writer) == number


@pytest.mark.parametrize(
    ("policy", "fs_type", "modes", "given"),
    [
        (None, "ext4", ["ReadWriteOnce"], True),
        (None, "", ["ReadWriteOnce"], False),
        (None, "ext4", ["ReadWriteMany"], False),
        ("File", "", ["ReadWriteMany"], True),
        ("None", "ext4", ["ReadWriteOnce"], False),
    ],
)
def test_the_driver_says_whether_files_are_given_to_the_pods_group(
    policy: str | None, fs_type: str, modes: list[str], given: bool
) -> None:
    csi_driver = {"spec": {"fsGroupPolicy": policy}} if policy else None
    wanted = Wanted(NAME, HANDLE, VOLUME, layout.PERSISTENT, fs_type, {}, False, tuple(modes))
    assert gives_group(wanted, csi_driver) is given
