"""The CPU manager inside a kubelet: pods that are refused, containers that are confined, a start that is not possible."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.kubelet.conftest import pod

from steersman.kubelet.configuration.effective import apply
from steersman.kubelet.cpumanager import checkpoint, manager
from steersman.kubelet.cpumanager.checkpoint import BadState, State
from steersman.kubelet.cpumanager.topology import Topology, Where

if TYPE_CHECKING:
    from tests.unit.kubelet.conftest import World

_FOUR = Topology({cpu: Where(cpu, 0, 0) for cpu in range(4)})


def static(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cgroup").mkdir(exist_ok=True)
    monkeypatch.setattr(manager.start, "__defaults__", (lambda: _FOUR,))
    given = {"cpuManagerPolicy": "static", "reservedSystemCPUs": "0", "clusterDNS": ["10.96.0.10"]}
    made = apply(world.config, {**given, "registerNode": True})
    capacity = {"cpu": "100", "memory": "8Gi", "pods": "110"}
    made = replace(made, enforce_cgroups=True, cgroup_mount=tmp_path / "cgroup", capacity=capacity)
    world.config = replace(made, resolv_conf=world.config.resolv_conf, healthz_port=0)


def guaranteed(name: str, cpu: str) -> dict[str, Any]:
    amounts = {"cpu": cpu, "memory": "1Mi"}
    container = {"name": name, "image": "busybox:1", "resources": {"requests": amounts, "limits": amounts}}
    made = pod(name, f"u-{name}", [container])
    made["status"]["qosClass"] = "Guaranteed"
    return made


def test_what_is_shared_shrinks_under_running_containers_and_grows_again(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    static(world, tmp_path, monkeypatch)

    def cpus(name: str) -> str:
        made = [key for key, each in world.runtime.containers.items() if each.name == name]
        return world.runtime.configs[made[-1]].resources.cpuset_cpus if made else ""

    async def scenario() -> None:
        async with world.kubelet():
            world.create()
            await world.until(lambda: cpus("app") == "0-3")
            world.api.put("pods", guaranteed("own", "2"))
            await world.until(lambda: cpus("own") == "1-2" and cpus("app") == "0,3", 5)
            assert world.runtime.configs[world.runtime.named("own").id].resources.cpu_quota == 0
            world.api.drop("pods", "default", "own")
            await world.until(lambda: cpus("app") == "0-3", 60)

    asyncio.run(scenario())


def test_a_full_disk_ends_no_kubelet_that_notes_who_has_which_cpus(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pod's own turn was tried again; what looks after all pods beside it took the kubelet with it."""
    static(world, tmp_path, monkeypatch)
    save, full = checkpoint.save, [False]

    def saved(path: Path, policy: str, state: State) -> None:
        if full[0]:
            raise OSError(28, "No space left on device", str(path))
        save(path, policy, state)

    monkeypatch.setattr(checkpoint, "save", saved)

    def cpus() -> str:
        return world.runtime.configs[world.runtime.named("app").id].resources.cpuset_cpus

    async def scenario() -> None:
        async with world.kubelet():
            world.create()
            await world.until(lambda: bool(world.runtime.containers))
            world.api.put("pods", guaranteed("own", "2"))
            await world.until(lambda: cpus() == "0,3", 5)
            full[0] = True
            world.api.drop("pods", "default", "own")
            await world.clock.advance(60)
            assert cpus() == "0,3"
            full[0] = False
            await world.until(lambda: cpus() == "0-3", 60)

    asyncio.run(scenario())


def test_a_pod_with_cpus_of_its_own_has_no_quota_and_others_have(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    static(world, tmp_path, monkeypatch)
    (tmp_path / "cgroup/cpu").mkdir()

    async def scenario() -> None:
        async with world.kubelet():
            for name, cpu in (("own", "2"), ("part", "500m")):
                world.api.put("pods", guaranteed(name, cpu))
            await world.until(lambda: len(world.runtime.containers) == 2)

    asyncio.run(scenario())
    quotas = {path.parent.name: path.read_text() for path in tmp_path.glob("cgroup/cpu/kubepods/pod*/cpu.cfs_quota_us")}
    assert quotas == {"podu-part": "50000"}


def test_a_pod_that_wants_more_than_is_left_is_refused(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    static(world, tmp_path, monkeypatch)

    async def scenario() -> None:
        async with world.kubelet():
            world.api.put("pods", guaranteed("own", "4"))
            await world.until(lambda: world.api.pod("own")["status"]["phase"] == "Failed")
            status = world.api.pod("own")["status"]
            assert status["reason"] == "UnexpectedAdmissionError"
            assert "Allocate failed due to not enough cpus available to satisfy request: requested=4" in status["message"]

    asyncio.run(scenario())


def test_pods_keep_their_cpus_over_a_restart_and_lose_them_if_they_ended_meanwhile(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    static(world, tmp_path, monkeypatch)
    file = world.config.root_dir / "cpu_manager_state"

    async def scenario() -> None:
        async with world.kubelet():
            world.api.put("pods", guaranteed("first", "1"))
            world.api.put("pods", guaranteed("second", "1"))
            await world.until(lambda: file.read_text().count('"u-') == 2)
            await world.until(lambda: len(world.runtime.containers) == 2)
        world.api.drop("pods", "default", "first")
        async with world.kubelet():
            await world.until(lambda: "u-first" not in file.read_text())
            assert '"u-second":{"second":"' in file.read_text()

    asyncio.run(scenario())


def test_a_kubelet_does_not_start_over_a_file_of_another_policy(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    static(world, tmp_path, monkeypatch)
    world.config.root_dir.mkdir(parents=True)
    (world.config.root_dir / "cpu_manager_state").write_text('{"policyName":"none","defaultCpuSet":"","checksum":1353318690}')
    with pytest.raises(BadState, match='configured policy "static" differs from state checkpoint policy "none"'):
        manager.start(world.config)
