"""Cgroup version 2, in folders that look like one: the machines that run these tests have version 1."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from steersman.cri.messages import Resources
from steersman.cri.native.cgroups import Cgroups as RuntimeCgroups
from steersman.cri.native.spec import linux_resources
from steersman.kubelet.cgroups import NO_QUOTA, Cgroups
from steersman.kubelet.resources import cpu_weight

if TYPE_CHECKING:
    from tests.unit.kubelet.conftest import World

_CONTROLLERS = "cpuset cpu io memory hugetlb pids rdma\n"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """New folders come with the files that the kernel would put there."""
    top = tmp_path / "cgroup"
    plain = Path.mkdir

    def mkdir(path: Path, *args: Any, **more: Any) -> None:
        plain(path, *args, **more)
        if top in (path, *path.parents):
            for each in (path, *path.parents):
                (each / "cgroup.controllers").write_text(_CONTROLLERS)
                if each == top:
                    break

    monkeypatch.setattr(Path, "mkdir", mkdir)
    top.mkdir()
    return top


def test_limits_are_written_in_version_twos_words(tree: Path) -> None:
    limits = Resources(cpu_shares=512, cpu_quota=50_000, memory_limit=1 << 20, pids_limit=100)
    Cgroups(tree, "/kp").apply("/kp/burstable/podu1", limits)
    pod = tree / "kp/burstable/podu1"
    expected = {"cpu.weight": "59", "cpu.max": "50000 100000", "memory.max": "1048576", "pids.max": "100"}
    assert {name: (pod / name).read_text() for name in expected} == expected
    for folder in (tree, tree / "kp", tree / "kp/burstable"):
        assert (folder / "cgroup.subtree_control").read_text() == "+cpuset +cpu +memory +pids +hugetlb"


def test_a_quota_that_is_no_more_is_taken_back(tree: Path) -> None:
    cgroups, maximum = Cgroups(tree, "/kp"), tree / "kp/podu1/cpu.max"
    cgroups.apply("/kp/podu1", Resources(cpu_quota=NO_QUOTA))
    assert not maximum.exists()  # a new group has none
    cgroups.apply("/kp/podu1", Resources(cpu_quota=50_000))
    cgroups.apply("/kp/podu1", Resources(cpu_shares=100))
    assert maximum.read_text() == "50000 100000"
    cgroups.apply("/kp/podu1", Resources(cpu_quota=NO_QUOTA))
    assert maximum.read_text() == "max 100000"


def test_huge_pages_are_limited_also_while_they_are_only_reserved(tree: Path) -> None:
    pod = tree / "kp/podu1"
    pod.mkdir(parents=True)
    (pod / "hugetlb.2MB.rsvd.max").write_text("max")
    Cgroups(tree, "/kp").apply("/kp/podu1", Resources(huge_pages=(("1GB", 0), ("2MB", 4 << 20))))
    found = {path.name: path.read_text() for path in pod.glob("hugetlb.*")}
    assert found == {"hugetlb.1GB.max": "0", "hugetlb.2MB.max": "4194304", "hugetlb.2MB.rsvd.max": "4194304"}


@pytest.mark.parametrize(
    ("shares", "weight"), [(0, 1), (2, 1), (102, 17), (512, 59), (1024, 100), (2048, 174), (262144, 10000), (300000, 10000)]
)
def test_weights_follow_the_runtimes_curve(shares: int, weight: int) -> None:
    assert cpu_weight(shares) == weight


def test_memory_in_use_leaves_out_what_could_be_dropped(tree: Path) -> None:
    (tree / "kp").mkdir()
    (tree / "kp" / "memory.current").write_text("5000\n")
    (tree / "kp" / "memory.stat").write_text("anon 1\ninactive_file 2000\n")
    assert Cgroups(tree, "/kp").memory_in_use("/kp") == 3000
    assert Cgroups(tree, "/kp").memory_in_use("/none") is None


def test_the_runtime_finds_its_processes_and_what_was_killed(tree: Path) -> None:
    cgroups = RuntimeCgroups(str(tree))
    assert cgroups.v2
    cgroups.add("/pod/c", os.getppid())
    assert cgroups.pids("/pod/c") == [os.getppid()]
    (tree / "pod/c/memory.events").write_text("low 0\noom 3\noom_kill 2\noom_group_kill 1\n")
    assert (cgroups.oom_kills("/pod/c"), cgroups.oom_kills("/none")) == (2, 0)
    (tree / "pod/c/cgroup.kill").write_text("")
    cgroups.kill("/pod/c")
    assert (tree / "pod/c/cgroup.kill").read_text() == "1"


def test_the_oci_runtime_is_told_of_files_and_of_no_swap() -> None:
    given = Resources(memory_limit=1 << 20, unified=(("memory.oom.group", "1"),))
    made = linux_resources(given, v2=True)
    assert made["memory"] == {"limit": 1 << 20, "swap": 1 << 20}
    assert made["unified"] == {"memory.oom.group": "1"}
    assert "unified" not in linux_resources(given, v2=False)


@pytest.mark.parametrize(
    ("single", "swap", "expected"),
    [
        (False, False, (("memory.oom.group", "1"),)),
        (True, False, ()),
        (True, True, (("memory.swap.max", "0"),)),
        (False, True, (("memory.oom.group", "1"), ("memory.swap.max", "0"))),
    ],
)
def test_containers_die_as_a_whole_unless_the_node_says_otherwise_and_are_not_swapped_out(
    world: World, tree: Path, single: bool, swap: bool, expected: tuple[tuple[str, str], ...]
) -> None:
    (tree / "kubepods").mkdir()
    if swap:  # the kernel accounts for it
        (tree / "kubepods/memory.swap.max").write_text("max")
    configuration = {**world.config.configuration, "singleProcessOOMKill": single}
    world.config = replace(world.config, cgroup_mount=tree, configuration=configuration)

    async def scenario() -> None:
        async with world.kubelet():
            world.create()
            await world.until(lambda: bool(world.runtime.configs))
            (made,) = world.runtime.configs.values()
            assert made.resources.unified == expected

    asyncio.run(scenario())
