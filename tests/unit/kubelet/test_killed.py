"""What a kubelet finds that was killed in the middle of its work, or whose pods' first processes were: nothing of it leaks."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.unit.kubelet.conftest import pod
from tests.unit.kubelet.test_cgroups import mount

from steersman.cri.messages import SandboxState

if TYPE_CHECKING:
    from tests.unit.kubelet.conftest import World


def running(world: World) -> bool:
    return bool(world.api.pod()["status"]["phase"] == "Running")


def lose_sandbox(world: World) -> None:
    """Its first process is gone; network and address are still held."""
    [(sandbox_id, found)] = world.runtime.sandboxes.items()
    world.runtime.sandboxes[sandbox_id] = replace(found, state=SandboxState.NOT_READY, ips=())


def test_a_lost_sandbox_is_stopped_before_the_next_is_made_so_that_its_address_is_free(world: World) -> None:
    async def scenario() -> None:
        async with world.kubelet():
            world.create()
            await world.until(lambda: running(world))
            world.runtime.exit("app", 137)
            lose_sandbox(world)
            await world.until(lambda: world.runtime.log.count("sandbox web") == 2)
            again = [number for number, line in enumerate(world.runtime.log) if line == "sandbox web"][1]
            assert "stop sandbox s1" in world.runtime.log[:again]

    asyncio.run(scenario())


def test_a_half_made_sandbox_of_a_deleted_pod_is_stopped_before_the_pods_volumes_and_cgroup_go(world: World) -> None:
    async def scenario() -> None:
        async with world.kubelet():
            world.create()
            await world.until(lambda: running(world))
        world.runtime.containers.clear()
        lose_sandbox(world)
        world.delete()
        async with world.kubelet():
            await world.until(lambda: not world.runtime.sandboxes)
        assert world.runtime.log[-2:] == ["stop sandbox s1", "remove sandbox s1"]

    asyncio.run(scenario())


def test_a_pod_deleted_while_the_kubelet_was_away_is_stopped_without_any_time_passing(world: World) -> None:
    async def scenario() -> None:
        async with world.kubelet():
            world.create()
            await world.until(lambda: running(world))
        world.api.drop("pods", "default", "web")
        before = world.clock.monotonic()
        async with world.kubelet():
            await world.until(lambda: not world.runtime.sandboxes)
            assert world.clock.monotonic() - before < 1

    asyncio.run(scenario())


def test_the_cgroup_of_a_pod_of_which_only_a_sandbox_is_left_goes_whatever_its_class_was(world: World, tmp_path: Path) -> None:
    top = mount(tmp_path)
    world.config = replace(world.config, enforce_cgroups=True, cgroup_mount=top)
    limits = {"cpu": "100m", "memory": "64Mi"}
    container = {"name": "app", "image": "busybox:1", "imagePullPolicy": "IfNotPresent", "resources": {"requests": limits}}

    async def scenario() -> None:
        async with world.kubelet():
            made = pod(containers=[container])
            world.api.put("pods", {**made, "status": {**made["status"], "qosClass": "Burstable"}})
            await world.until(lambda: running(world))
        # As a cgroup's files go with it, which those of a folder do not.
        groups = [path for path in top.glob("*/kubepods/burstable/podu1") if path.is_dir()]
        assert groups
        for file in [file for group in groups for file in group.iterdir()]:
            file.unlink()
        world.api.drop("pods", "default", "web")
        async with world.kubelet():
            await world.until(lambda: not world.runtime.sandboxes)
            await world.settle()
        assert not [path for path in groups if path.exists()]

    asyncio.run(scenario())


def test_the_logs_of_a_pod_of_which_only_the_folder_is_left_are_swept(world: World) -> None:
    folder, other = world.config.pod_log_dir("default", "web", "gone"), world.config.pod_log_dir("default", "web", "theirs")
    for path in (folder / "app", other):
        path.mkdir(parents=True)
    (folder / "app" / "0.log").touch()
    assert world.config.container_logs_dir is not None
    world.config.container_logs_dir.mkdir()
    link = world.config.container_logs_dir / "web_default_app-c1.log"
    link.symlink_to(folder / "app" / "0.log")
    world.config.pod_dir("gone").mkdir(parents=True)

    async def scenario() -> None:
        async with world.kubelet():
            await world.until(lambda: not world.config.pod_dir("gone").exists())

    asyncio.run(scenario())
    assert not folder.exists() and not link.is_symlink() and other.exists()
