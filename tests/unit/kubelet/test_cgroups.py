"""Cgroups of pods, in a folder that looks like a cgroup v1 mount."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from steersman.cri.messages import Resources
from steersman.kubelet.cgroups import NO_QUOTA, Cgroups

if TYPE_CHECKING:
    from tests.unit.kubelet.conftest import World


def mount(folder: Path) -> Path:
    for controller in ("cpu", "memory", "pids", "devices", "hugetlb"):
        (folder / "cgroup" / controller).mkdir(parents=True)
    return folder / "cgroup"


def test_limits_are_written_to_the_controllers_they_belong_to(tmp_path: Path) -> None:
    top = mount(tmp_path)
    Cgroups(top, "/kp").apply("/kp/burstable/podu1", Resources(cpu_shares=512, cpu_quota=50000, memory_limit=1 << 20))
    pod = "kp/burstable/podu1"
    assert (top / "cpu" / pod / "cpu.shares").read_text() == "512"
    assert (top / "cpu" / pod / "cpu.cfs_quota_us").read_text() == "50000"
    assert (top / "memory" / pod / "memory.limit_in_bytes").read_text() == "1048576"
    assert not (top / "devices" / pod).exists() and not (top / "hugetlb" / pod).exists()


def test_a_quota_that_is_no_more_is_taken_back(tmp_path: Path) -> None:
    top = mount(tmp_path)
    cgroups, quota = Cgroups(top, "/kp"), top / "cpu/kp/podu1/cpu.cfs_quota_us"
    for given, expected in ((50_000, "50000"), (0, "50000"), (NO_QUOTA, "-1")):
        cgroups.apply("/kp/podu1", Resources(cpu_quota=given))
        assert quota.read_text() == expected


def test_only_pods_with_huge_pages_have_a_group_for_them(tmp_path: Path) -> None:
    top = mount(tmp_path)
    Cgroups(top, "/kp").apply("/kp/podu1", Resources(cpu_shares=2, huge_pages=(("2MB", 2 << 20),)))
    assert (top / "hugetlb/kp/podu1/hugetlb.2MB.limit_in_bytes").read_text() == "2097152"


def test_a_pods_cgroup_goes_from_every_controller_and_no_other_pods_with_it(tmp_path: Path) -> None:
    top = mount(tmp_path)
    for controller in ("cpu", "memory", "devices"):
        for uid in ("u1", "u2"):
            (top / controller / "kp" / "besteffort" / f"pod{uid}" / "c").mkdir(parents=True)
    Cgroups(top, "kp").remove_pod("u1")
    left = sorted(path.name for path in top.glob("*/kp/besteffort/pod*"))
    assert left == ["podu2"] * 3


def test_what_a_killed_runtime_forgot_in_a_pods_cgroup_is_ended_but_not_the_node_itself(tmp_path: Path) -> None:
    top = mount(tmp_path)
    group = top / "memory" / "kp" / "podu1" / "c"
    group.mkdir(parents=True)
    with subprocess.Popen(["sleep", "1000"]) as forgotten:
        (group / "cgroup.procs").write_text(f"{forgotten.pid}\n{os.getpid()}\n")
        Cgroups(top, "kp").remove("kp/podu1")
        try:
            assert forgotten.wait(timeout=60) == -signal.SIGKILL
        finally:
            forgotten.kill()


def test_the_sweep_leaves_pods_of_another_cluster_below_the_same_root_alone(world: World, tmp_path: Path) -> None:
    top = mount(tmp_path)
    world.config = dataclasses.replace(world.config, enforce_cgroups=True, cgroup_mount=top)
    theirs, ours = (top / "memory/kubepods/burstable" / name for name in ("podtheirs", "podours"))
    for path in (theirs, ours):
        path.mkdir(parents=True)
    world.config.pod_dir("ours").mkdir(parents=True)

    async def scenario() -> None:
        async with world.kubelet():
            await world.until(lambda: not ours.exists())
            await world.clock.advance(500)

    asyncio.run(scenario())
    assert theirs.is_dir()
    assert not world.config.pod_dir("ours").exists()
