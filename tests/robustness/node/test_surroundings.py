"""The checker finds each sort of thing that may leak: otherwise rounds without a finding would mean nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.e2e.harness import eventually
from tests.robustness.node import failpoints
from tests.robustness.node.surroundings import MARK, Place

pytestmark = pytest.mark.root

FILES = {
    "network namespace": "run/containers/netns/s1",
    "address": "network/addresses/10.244.0.2",
    "record": "containers/sandboxes/s1/record.json",
    "snapshot": "containers/snapshots/c1/upper/x",
    "bundle": "run/containers/bundles/c1/config.json",
    "exit file": "run/containers/exits/c1",
    "pod folder": "kubelet/pods/u1/volumes/x",
    "log folder": "pod-logs/default_p_u1/c/0.log",
}


def place(state: Path) -> Place:
    return Place(state, f"steersman-{state.name}", "/proc/self/ns/net")


def sorts(state: Path) -> set[str]:
    found = place(state)
    found.links_before = found.links()
    return set(found.held())


@pytest.mark.parametrize(("sort", "file"), FILES.items(), ids=FILES)
def test_a_file_left_behind_is_found(tmp_path: Path, sort: str, file: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).touch()
    assert sorts(tmp_path) == {sort}


def test_what_the_network_keeps_for_itself_is_no_leak(tmp_path: Path) -> None:
    (tmp_path / "network" / "addresses").mkdir(parents=True)
    (tmp_path / "network" / "addresses" / "last").write_text("7")
    (tmp_path / "network" / "hostports.json").write_text("{}")
    assert sorts(tmp_path) == set()


def test_a_host_port_left_behind_is_found(tmp_path: Path) -> None:
    (tmp_path / "network").mkdir()
    (tmp_path / "network" / "hostports.json").write_text('{"s1": []}')
    assert sorts(tmp_path) == {"host port"}


def test_an_interface_left_behind_is_found(tmp_path: Path) -> None:
    found = place(tmp_path)
    found.links_before = found.links() - {"lo"}
    assert found.held() == {"interface": ["lo"]}


def test_a_mount_left_behind_is_found(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path / "m"], check=True)
    try:
        assert sorts(tmp_path) == {"mount"}
    finally:
        subprocess.run(["umount", tmp_path / "m"], check=True)


def in_cgroup(state: Path) -> Path:
    """A container's cgroup of that place, in the hierarchy that accounts for processes."""
    top = Path("/sys/fs/cgroup/pids")
    return (top if top.is_dir() else top.parent) / place(state).cgroup / "besteffort" / "podu1" / "c1"


def remove_cgroup(folder: Path) -> None:
    for each in (folder, *folder.parents[:3]):
        each.rmdir()


def test_a_cgroup_left_behind_is_found(tmp_path: Path) -> None:
    folder = in_cgroup(tmp_path)
    folder.mkdir(parents=True)
    try:
        assert sorts(tmp_path) == {"cgroup"}
    finally:
        remove_cgroup(folder)


MONITORS: dict[str, Callable[[Path], list[str]]] = {
    "conmon": lambda state: ["conmon", "-b", f"{state}/run"],
    "oci": lambda state: ["crun", f"--root={state}/run", "create"],
}


@pytest.mark.parametrize("kind", MONITORS)
def test_a_monitor_or_runtime_left_behind_is_found(tmp_path: Path, kind: str) -> None:
    argv = MONITORS[kind](tmp_path)
    named = f"open('/proc/self/comm', 'w').write('{argv[0]}'); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", named, *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert [(each.kind, each.pid) for each in place(tmp_path).processes()] == [(kind, process.pid)]
        process.communicate("\n")


def test_a_containers_process_is_found_wherever_it_went_and_two_instances_at_once_are_told(tmp_path: Path) -> None:
    environment = {**os.environ, MARK: str(tmp_path), "WHO": "p.c0"}
    folder = in_cgroup(tmp_path)
    second = folder.with_name("c2")
    begun = []
    try:
        for path in (folder, second):
            path.mkdir(parents=True)
            process = subprocess.Popen(["sleep", "1000"], env=environment)
            begun.append(process)
            # It has begun when its environment is there: that is a moment after Popen knows of it.
            eventually(lambda: len(place(tmp_path).processes()) == len(begun))
            assert {each.who for each in place(tmp_path).processes()} == {"p.c0"}
            assert place(tmp_path).doubled() == []
            (path / "cgroup.procs").write_text(str(process.pid))
        assert place(tmp_path).doubled() == ["p.c0"]
    finally:
        for process in begun:
            process.kill()
            process.wait()
        second.rmdir()
        remove_cgroup(folder)


def test_a_failpoint_counts_what_passes_it_and_is_taken_away_before_it_kills(tmp_path: Path) -> None:
    file = tmp_path / failpoints.FILE
    armed = failpoints.Armed(file)
    armed.passed("a:before")
    victim = subprocess.Popen(["sleep", "1000"])
    file.write_text(f"a:before@2 {victim.pid} 0")
    for point in ("a:before", "a:after", "b:before"):
        armed.passed(point)
    assert victim.poll() is None and file.exists()
    armed.passed("a:before")
    assert victim.wait() == -9 and not file.exists()


def test_every_failpoint_is_in_the_code(tmp_path: Path) -> None:
    program = "from tests.robustness.node import failpoints; failpoints.put_in(lambda point: None)"
    subprocess.run([sys.executable, "-c", program], check=True)
