"""Volumes on a real folder: the atomic writer, the written types, hostPath checks, emptyDir."""

from __future__ import annotations

import asyncio
import os
import random
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from steersman.kubelet.objects import ObjectCache, TokenCache
from steersman.kubelet.volumes import atomic, subpath
from steersman.kubelet.volumes.atomic import File
from steersman.kubelet.volumes.base import Request, VolumeFault, VolumePlugin
from steersman.kubelet.volumes.emptydir import EmptyDirVolume
from steersman.kubelet.volumes.files import ConfigMapVolume, ProjectedVolume
from steersman.kubelet.volumes.hostpath import HostPathVolume
from steersman.machinery.meta import Obj

if TYPE_CHECKING:
    from tests.unit.kubelet.conftest import World

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_an_update_swaps_all_files_at_once_and_an_equal_one_does_nothing(tmp_path: Path) -> None:
    assert atomic.write(tmp_path, {"a": File(b"1", 0o644), "d/b": File(b"2", 0o400)}, NOW)
    assert os.readlink(tmp_path / "a") == "..data/a"
    assert os.readlink(tmp_path / "d") == "..data/d"
    first = os.readlink(tmp_path / "..data")
    assert first.startswith("..2026_01_02_03_04_05.")
    assert stat.S_IMODE((tmp_path / "d/b").stat().st_mode) == 0o400
    assert not atomic.write(tmp_path, {"a": File(b"1", 0o644), "d/b": File(b"2", 0o400)}, NOW)
    assert atomic.write(tmp_path, {"a": File(b"3", 0o644)}, NOW)
    assert (tmp_path / "a").read_bytes() == b"3"
    assert sorted(os.listdir(tmp_path)) == sorted(["..data", os.readlink(tmp_path / "..data"), "a"])
    assert os.readlink(tmp_path / "..data") != first


@pytest.mark.parametrize("path", ["/abs", "a/../b", "..a", "a" * 5000], ids=["absolute", "parent", "dots", "long"])
def test_paths_that_could_escape_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(VolumeFault, match="invalid path"):
        atomic.write(tmp_path, {path: File(b"", 0o644)}, NOW)


def set_up(world: World, plugin: VolumePlugin, volume: Obj, **spec: object) -> Path:
    async def scenario() -> Path:
        pod: Obj = {"metadata": {"name": "web", "namespace": "default", "uid": "u1", "labels": {"a": "b"}}, "spec": spec}
        objects = ObjectCache(world.api, world.clock)
        tokens = TokenCache(world.api, world.clock, random.Random(1))
        directory = world.config.pod_dir("u1") / "v"
        return await plugin.set_up(Request(pod, volume, directory, objects, tokens, NOW, {"memory": 1 << 20}))

    return asyncio.run(scenario())


def modes(root: Path) -> dict[str, tuple[str, int]]:
    return {
        name: ((root / name).read_text(), stat.S_IMODE((root / name).stat().st_mode))
        for name in os.listdir(root)
        if not name.startswith("..")
    }


def test_config_maps_show_their_keys_or_the_chosen_items(world: World) -> None:
    cm = {"metadata": {"name": "cm", "namespace": "default"}, "data": {"x": "1", "y": "2"}, "binaryData": {"z": "Mw=="}}
    world.api.put("configmaps", cm)
    whole = set_up(world, ConfigMapVolume(), {"configMap": {"name": "cm", "defaultMode": 0o440}})
    assert modes(whole) == {"x": ("1", 0o440), "y": ("2", 0o440), "z": ("3", 0o440)}
    items = [{"key": "y", "path": "why", "mode": 0o400}]
    some = set_up(world, ConfigMapVolume(), {"configMap": {"name": "cm", "items": items}})
    assert modes(some) == {"why": ("2", 0o400)}
    with pytest.raises(VolumeFault, match="references non-existent config key: q"):
        set_up(world, ConfigMapVolume(), {"configMap": {"name": "cm", "items": [{"key": "q", "path": "q"}]}})
    assert modes(set_up(world, ConfigMapVolume(), {"configMap": {"name": "none", "optional": True}})) == {}


def test_a_projected_volume_joins_token_ca_and_namespace(world: World) -> None:
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
    containers = [{"name": "a", "securityContext": {"runAsUser": 1000}}]
    volume = {"projected": {"sources": sources, "defaultMode": 0o644}}
    root = set_up(world, ProjectedVolume(), volume, containers=containers)
    assert modes(root) == {"token": ("token-1", 0o600), "ca.crt": ("CA", 0o644), "namespace": ("default", 0o644)}
    assert (root / "token").stat().st_uid == 1000
    grouped = set_up(world, ProjectedVolume(), volume, containers=containers, securityContext={"fsGroup": 7})
    assert stat.S_IMODE((grouped / "token").stat().st_mode) == 0o640
    assert ((grouped / "token").stat().st_uid, (grouped / "token").stat().st_gid) == (1000, 7)
    mixed = set_up(world, ProjectedVolume(), volume, containers=[*containers, {"name": "b"}], securityContext={"fsGroup": 7})
    assert stat.S_IMODE((mixed / "token").stat().st_mode) == 0o640


def test_a_token_is_renewed_at_four_fifths_of_its_life(world: World) -> None:
    async def scenario() -> None:
        tokens = TokenCache(world.api, world.clock, random.Random(1))
        pod: Obj = {"metadata": {"name": "web", "namespace": "default", "uid": "u1"}, "spec": {}}
        seen = [await tokens.get(pod, [], 3600)]
        for seconds in (2800, 100):
            await world.clock.advance(seconds)
            seen.append(await tokens.get(pod, [], 3600))
        assert seen == ["token-1", "token-1", "token-2"]

    asyncio.run(scenario())


def test_pods_that_come_together_share_reads_but_later_ones_see_newer_objects(world: World) -> None:
    from steersman.api.resources import CONFIG_MAPS

    async def scenario() -> None:
        cache = ObjectCache(world.api, world.clock)
        for uid in ("u1", "u2", "u3"):
            cache.register(uid)
        async with asyncio.TaskGroup() as group:
            for uid in ("u1", "u2", "u3"):
                group.create_task(cache.get(CONFIG_MAPS, "default", "kube-root-ca.crt", uid))
        assert len(world.api.calls) == 1
        await world.clock.advance(1)
        cache.register("u4")
        await cache.get(CONFIG_MAPS, "default", "kube-root-ca.crt", "u4")
        await cache.get(CONFIG_MAPS, "default", "kube-root-ca.crt", "u1")
        assert len(world.api.calls) == 2
        await world.clock.advance(61)
        await cache.get(CONFIG_MAPS, "default", "kube-root-ca.crt", "u1")
        assert len(world.api.calls) == 3

    asyncio.run(scenario())


def test_an_empty_dir_is_open_to_all_and_belongs_to_the_fs_group(world: World) -> None:
    root = set_up(world, EmptyDirVolume(), {"emptyDir": {}})
    assert stat.S_IMODE(root.stat().st_mode) == 0o777
    asyncio.run(EmptyDirVolume().tear_down(root))
    assert not root.exists()
    root = set_up(world, EmptyDirVolume(), {"emptyDir": {}}, securityContext={"fsGroup": 99})
    assert (stat.S_IMODE(root.stat().st_mode), root.stat().st_gid) == (0o2777, 99)


@pytest.mark.parametrize(
    ("kind", "name", "refusal"),
    [
        ("", "missing", None), ("Directory", "dir", None), ("Directory", "file", "is not a directory"),
        ("File", "dir", "is not a file"), ("DirectoryOrCreate", "new/deep", None), ("FileOrCreate", "fresh", None),
        ("Socket", "file", "is not a socket file"), ("Directory", "missing", "is not a directory"),
    ],
)  # fmt: skip
def test_host_paths_are_checked(world: World, tmp_path: Path, kind: str, name: str, refusal: str | None) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").touch()
    volume = {"hostPath": {"path": str(tmp_path / name), "type": kind}}
    if refusal:
        with pytest.raises(VolumeFault, match=f"hostPath type check failed: .*{refusal}"):
            set_up(world, HostPathVolume(), volume)
    else:
        assert set_up(world, HostPathVolume(), volume) == tmp_path / name


@pytest.mark.parametrize("relative", ["../x", "/abs", "link"])
def test_a_sub_path_cannot_leave_its_volume(tmp_path: Path, relative: str) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume" / "link").symlink_to("/etc")
    with pytest.raises(VolumeFault):
        subpath.bind(tmp_path / "volume", relative, tmp_path / "target")


def test_a_volume_that_is_read_only_gets_no_folders(tmp_path: Path) -> None:
    with pytest.raises(VolumeFault, match="'new' does not exist, and its volume is read-only"):
        subpath.bind(tmp_path, "new", tmp_path / "target", writable=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.root
def test_a_sub_path_is_bound_to_the_folder_it_was_opened_as(tmp_path: Path) -> None:
    from steersman.kubelet.volumes import mounts

    volume = tmp_path / "volume"
    volume.mkdir()
    target = subpath.bind(volume, "deep/er", tmp_path / "target" / "0")
    try:
        (volume / "deep/er/f").write_text("x")
        assert (target / "f").read_text() == "x"
    finally:
        mounts.unmount_below(tmp_path / "target")
    assert not os.path.ismount(target)


@pytest.mark.root
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_restarted_container_gets_its_sub_path_anew_and_the_volume_is_not_touched(tmp_path: Path, kind: str) -> None:
    from steersman.kubelet.volumes import mounts

    volume, target = tmp_path / "volume", tmp_path / "target" / "0"
    volume.mkdir()
    part = volume / "part"
    part.touch() if kind == "file" else part.mkdir()
    try:
        for _ in range(3):
            os.utime(part, (10, 10))
            subpath.bind(volume, "part", target)
            assert part.stat().st_mtime == 10
        assert mounts.mounts_below(target) == [target]
        part.unlink() if kind == "file" else part.rmdir()
        part.mkdir() if kind == "file" else part.touch()
        subpath.bind(volume, "part", target)
        assert target.is_dir() == part.is_dir()
    finally:
        mounts.unmount_below(tmp_path / "target")


@pytest.mark.root
def test_an_empty_dir_in_memory_keeps_the_sticky_bit_of_tmpfs_and_its_sub_paths_have_it_too(world: World) -> None:
    from steersman.kubelet.volumes import mounts

    root = set_up(world, EmptyDirVolume(), {"emptyDir": {"medium": "Memory"}}, securityContext={"fsGroup": 123})
    target = root.parent / "target"
    try:
        assert (stat.S_IMODE(root.stat().st_mode), root.stat().st_gid) == (0o3777, 123)
        found = subpath.bind(root, "sub", target).stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o3777, 0, 123)
    finally:
        mounts.unmount_below(root.parent)


def test_a_sub_path_is_not_made_through_a_link_that_was_put_there_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume, elsewhere = tmp_path / "volume", tmp_path / "elsewhere"
    volume.mkdir()
    elsewhere.mkdir()
    resolve = os.path.realpath

    def raced(path: Path) -> str:
        """A container swaps the folder right after it was looked at."""
        found = resolve(path)
        if path == volume / "a" / "b" and not (volume / "a").is_symlink():
            (volume / "a").symlink_to(elsewhere)
        return found

    monkeypatch.setattr(os.path, "realpath", raced)
    with pytest.raises(VolumeFault):
        subpath.bind(volume, "a/b", tmp_path / "target")
    assert not list(elsewhere.iterdir())
