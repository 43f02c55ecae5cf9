"""Volumes by claim, on real folders: what a pod waits for, where a claim leads, and folders that go when the cluster says so."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import random
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.fakes.client import FakeClient

from steersman.api.resources import NODES
from steersman.cri.messages import Device
from steersman.kubelet import pods
from steersman.kubelet.localpath import LocalPaths
from steersman.kubelet.objects import ObjectCache, TokenCache
from steersman.kubelet.volumes import persistentclaim
from steersman.kubelet.volumes.manager import MountFailed, VolumeManager
from steersman.loop import localpath
from steersman.loop.volumes import PROVISIONED_BY
from steersman.machinery.clock import VirtualClock
from steersman.machinery.meta import Obj, annotations_of

if TYPE_CHECKING:
    from tests.unit.kubelet.conftest import World

VOLUME = "pvc-00000000-0000-4000-8000-000000000001"
NODE = {"metadata": {"name": "n1", "labels": {"kubernetes.io/hostname": "n1"}}}


def claim(name: str = "data", **changes: Any) -> Obj:
    made: Obj = {
        "metadata": {"name": name, "namespace": "default", "uid": "c1"},
        "spec": {"volumeName": VOLUME},
        "status": {"phase": "Bound"},
    }
    for part, change in changes.items():
        made[part] = {**made[part], **change}
    return made


def volume(path: Path, *, hostname: str = "n1", ours: bool = True, uid: str = "c1", **spec: Any) -> Obj:
    wanted = [{"key": "kubernetes.io/hostname", "operator": "In", "values": [hostname]}]
    source = spec or {"local": {"path": str(path)}}
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": wanted}]}}
    ref = {"namespace": "default", "name": "data", "uid": uid}
    annotations = {PROVISIONED_BY: localpath.NAME} if ours else {}
    metadata = {"name": VOLUME, "annotations": annotations}
    return {"metadata": metadata, "spec": {**source, "nodeAffinity": affinity, "claimRef": ref if uid else None}}


def pod(**spec: Any) -> Obj:
    volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]
    containers = [{"name": "c", "volumeMounts": [{"name": "d", "mountPath": "/d"}]}]
    return {
        "metadata": {"name": "web", "namespace": "default", "uid": "u1"},
        "spec": {"containers": containers, "volumes": volumes, **spec},
    }


def set_up(world: World, asked: Obj, local_paths: Path | None = None) -> Path | str:
    """The path of volume `d`, or why there is none."""

    async def scenario() -> Path | str:
        objects = ObjectCache(world.api, world.clock)
        config = dataclasses.replace(world.config, local_path_dir=local_paths)
        tokens = TokenCache(world.api, world.clock, random.Random(1))
        manager = VolumeManager(config, objects, tokens, world.clock, dict, lambda: NODE)
        try:
            return (await manager.set_up(asked))["d"]
        except MountFailed as error:
            return str(error)

    return asyncio.run(scenario())


@pytest.mark.parametrize("source", ["local", "hostPath"])
def test_a_block_volume_leads_to_its_device(world: World, tmp_path: Path, source: str) -> None:
    device = next((path for path in sorted(Path("/dev").iterdir()) if path.is_block_device()), None)
    if device is None:
        pytest.skip("there is no block device here")
    (tmp_path / "disk").symlink_to(device)
    asked = pod(containers=[{"name": "c", "volumeDevices": [{"name": "d", "devicePath": "/dev/xvda"}]}])
    world.api.put("persistentvolumeclaims", claim())
    for name, expected in (
        ("disk", tmp_path / "disk"),
        ("", f'MapVolume.MapPodDevice failed for volume "{VOLUME}" : path "{tmp_path}": is not a block device'),
        ("none", f'MapVolume.MapPodDevice failed for volume "{VOLUME}" : path "{tmp_path}/none": no such file or directory'),
    ):
        spec: Obj = {source: {"path": str(tmp_path / name)}, "volumeMode": "Block"}
        world.api.put("persistentvolumes", volume(tmp_path, **spec))
        assert set_up(world, asked) == expected


@pytest.mark.parametrize(("read_only", "permissions"), [(False, "mrw"), (True, "r")])
def test_a_container_gets_the_device_of_a_block_volume(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_only: bool, permissions: str
) -> None:
    monkeypatch.setattr(persistentclaim, "_device", lambda path, volume: path)
    world.api.put("persistentvolumeclaims", claim())
    made = volume(tmp_path, ours=False, local={"path": "/dev/disk"}, volumeMode="Block")
    made["spec"].pop("nodeAffinity")
    world.api.put("persistentvolumes", made)

    async def scenario() -> None:
        async with world.kubelet():
            spec = {"name": "c", "image": "busybox:1", "volumeDevices": [{"name": "d", "devicePath": "/dev/xvda"}]}
            ref = {"claimName": "data", "readOnly": read_only}
            world.create(containers=[spec], volumes=[{"name": "d", "persistentVolumeClaim": ref}])
            await world.until(lambda: bool(world.runtime.configs))

    asyncio.run(scenario())
    (config,) = world.runtime.configs.values()
    assert config.devices == (Device("/dev/xvda", "/dev/disk", permissions),)


def test_a_claim_leads_to_the_folder_of_its_volume_which_is_made_at_first_use(world: World, tmp_path: Path) -> None:
    local = tmp_path / "local"
    world.api.put("persistentvolumeclaims", claim())
    world.api.put("persistentvolumes", volume(local / VOLUME))
    assert set_up(world, pod(), local) == local / VOLUME
    assert stat.S_IMODE((local / VOLUME).stat().st_mode) == 0o777
    (local / VOLUME / "kept").touch()
    group = set_up(world, pod(securityContext={"fsGroup": 7}), local)
    assert group == local / VOLUME and (local / VOLUME / "kept").stat().st_gid == 7


def test_the_group_gets_the_folder_and_not_the_link_that_leads_there(world: World, tmp_path: Path) -> None:
    folder, link = tmp_path / "folder", tmp_path / "link"
    folder.mkdir(0o755)
    link.symlink_to(folder)
    world.api.put("persistentvolumeclaims", claim())
    world.api.put("persistentvolumes", volume(link, ours=False))
    assert set_up(world, pod(securityContext={"fsGroup": 7})) == link
    assert (folder.stat().st_gid, stat.S_IMODE(folder.stat().st_mode)) == (7, 0o2775)


def test_only_folders_of_the_provisioner_are_made(world: World, tmp_path: Path) -> None:
    world.api.put("persistentvolumeclaims", claim())
    for made in (volume(tmp_path / "local" / VOLUME, ours=False), volume(tmp_path / "elsewhere")):
        world.api.put("persistentvolumes", made)
        path = made["spec"]["local"]["path"]
        text = f'MountVolume.NewMounter initialization failed for volume "{VOLUME}" : path "{path}" does not exist'
        assert set_up(world, pod(), tmp_path / "local") == text
    assert not (tmp_path / "local").exists() and not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (claim(status={"phase": "Pending"}), "PVC is not bound"),
        (claim(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}), "PVC is being deleted"),
        (claim("other"), 'failed to fetch PVC from API server: persistentvolumeclaims "data" not found'),
        (claim(spec={"volumeName": "none"}), 'failed to get PersistentVolume "none": persistentvolumes "none" not found'),
        (
            claim(metadata={"uid": "c2"}),
            f'found PersistentVolume object "{VOLUME}" but its spec.claimRef.UID is "c1", expected "c2"',
        ),
    ],
    ids=["unbound", "deleted", "missing", "no volume", "another's volume"],
)
def test_a_pod_waits_until_the_claim_is_its_own_and_bound(world: World, tmp_path: Path, made: Obj, why: str) -> None:
    world.api.put("persistentvolumeclaims", made)
    world.api.put("persistentvolumes", volume(tmp_path))
    lead = "Unable to attach or mount volumes: unmounted volumes=[d], unattached volumes=[], failed to process volumes=[d]"
    assert set_up(world, pod()) == f"{lead}: error processing PVC default/data: {why}"


def test_a_pod_that_runs_keeps_a_claim_that_is_being_deleted(world: World, tmp_path: Path) -> None:
    world.api.put("persistentvolumeclaims", claim(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}))
    world.api.put("persistentvolumes", volume(tmp_path))
    assert set_up(world, {**pod(), "status": {"phase": "Running"}}) == tmp_path


def test_a_volume_of_another_node_is_not_mounted(world: World, tmp_path: Path) -> None:
    world.api.put("persistentvolumeclaims", claim())
    world.api.put("persistentvolumes", volume(tmp_path, hostname="n2"))
    text = f'MountVolume.NodeAffinity check failed for volume "{VOLUME}" : no matching NodeSelectorTerms'
    assert set_up(world, pod()) == text


def test_a_claim_may_lead_to_a_path_of_the_host(world: World, tmp_path: Path) -> None:
    world.api.put("persistentvolumeclaims", claim())
    world.api.put("persistentvolumes", volume(tmp_path, hostPath={"path": str(tmp_path), "type": "Directory"}))
    assert set_up(world, pod()) == tmp_path


def test_an_ephemeral_volume_is_the_claim_made_for_this_pod(world: World, tmp_path: Path) -> None:
    world.api.put("persistentvolumes", volume(tmp_path))
    asked = pod(volumes=[{"name": "d", "ephemeral": {"volumeClaimTemplate": {}}}])
    world.api.put("persistentvolumeclaims", claim("web-d"))
    assert 'PVC "default/web-d" was not created for pod "default/web" (pod is not owner)' in str(set_up(world, asked))
    owner = {"kind": "Pod", "name": "web", "uid": "u1", "controller": True}
    world.api.put("persistentvolumeclaims", claim("web-d", metadata={"ownerReferences": [owner]}))
    assert set_up(world, asked) == tmp_path


def test_a_pod_can_forbid_its_containers_to_write_to_a_claim() -> None:
    volumes = [
        {"name": "a", "persistentVolumeClaim": {"claimName": "a", "readOnly": True}},
        {"name": "b", "persistentVolumeClaim": {"claimName": "b"}},
    ]
    assert pods.read_only_volumes(pod(volumes=volumes)) == {"a"}


def test_the_node_removes_the_folders_it_is_asked_to_and_no_others(tmp_path: Path) -> None:
    local = tmp_path / "local"
    for name in (VOLUME, "other"):
        (local / name / "deep").mkdir(parents=True)
    (tmp_path / "linked").mkdir()
    (local / VOLUME / "link").symlink_to(tmp_path / "linked")

    async def scenario() -> None:
        api, clock = FakeClient(), VirtualClock()
        asked = {localpath.removal_key(name): localpath.ASKED for name in (VOLUME, "other", "..")}
        node = api.put(NODES, {"metadata": {"name": "n1", "annotations": asked}})
        agent = LocalPaths(local, "n1", api, clock)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(agent.run())
            agent.node_changed(None, node)
            while dict(localpath.removals(await api.get(NODES, "n1")))[VOLUME] != localpath.DONE:
                await clock.sleep(0)
            answers = annotations_of(await api.get(NODES, "n1"))
            assert answers[localpath.removal_key("other")] == localpath.ASKED
            running.cancel()

    asyncio.run(scenario())
    assert os.listdir(local) == ["other"] and (tmp_path / "linked").is_dir()
