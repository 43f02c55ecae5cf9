"""Pods that take all they can get and will not go: a fork bomb, a flood of logs, programs that no signal reaches.

The bomb is bounded by `podPidsLimit` of this folder's node, and is only lit when the kernel has been seen to enforce it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.alone import NODE, Alone
from tests.e2e.harness import Stopwatch, eventually
from tests.robustness.pods.specs import HELLO

from steersman.kubelet.resources import cgroup_parent
from steersman.machinery.meta import Obj, condition, dig

pytestmark = pytest.mark.root

STAYS = "trap '' TERM INT HUP; while :; do sleep 1000; done"


def start(cluster: Alone, name: str, script: str, *, grace_s: int = 1, container: Obj | None = None, **spec: Any) -> Obj:
    """The pod, once it runs."""
    main = {"name": "main", "image": HELLO, "imagePullPolicy": "Never", "command": ["sh", "-c", script], **(container or {})}
    whole = {"terminationGracePeriodSeconds": grace_s, "containers": [main], **spec}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": whole}
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(pod))
    eventually(lambda: dig(cluster.get("pod", name), "status", "phase") == "Running", what=f"{name} runs")
    found: Obj = cluster.get("pod", name)
    return found


def cgroup(cluster: Alone, pod: Obj) -> Path:
    """Its own, where processes are counted."""
    top = Path("/sys/fs/cgroup")
    below = top if (top / "cgroup.controllers").exists() else top / "pids"
    return below / cgroup_parent(pod, cluster.settings.cgroup_root).strip("/")


def processes(folder: Path) -> list[int]:
    return [int(line) for file in folder.rglob("cgroup.procs") for line in file.read_text().split()]


def several(folder: Path) -> set[int]:
    """The processes of a pod that has more than its pause process and a shell, or soon will."""
    found: set[int] = eventually(lambda: len(seen := set(processes(folder))) >= 3 and seen, what=str(folder))
    return found


def state(pid: int) -> str:
    """As in ps: T is stopped; Z is dead, though the machine's first process may not have looked yet; X is not there."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def end(cluster: Alone, name: str, within_s: float) -> None:
    """Delete it; it is gone in time and has left no process."""
    pod, watch = cluster.get("pod", name), Stopwatch()
    left = processes(cgroup(cluster, pod))
    assert left
    cluster.kubectl("delete", "pod", name)
    assert watch.seconds < within_s
    # Those that were reparented to nobody of the pod as well.
    assert not cgroup(cluster, pod).exists()
    eventually(lambda: not [pid for pid in left if state(pid) not in "ZX"], what="no process is left")


@pytest.fixture
def neighbour(cluster: Alone) -> Iterator[str]:
    """It must notice nothing."""
    probe = {"exec": {"command": ["true"]}, "periodSeconds": 1, "timeoutSeconds": 60}
    start(cluster, "neighbour", "echo here; exec sleep 1000", container={"livenessProbe": probe})
    yield "neighbour"
    pod = cluster.get("pod", "neighbour")
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    assert (condition(cluster.get("node", NODE), "Ready") or {})["status"] == "True"
    cluster.kubectl("delete", "pod", "neighbour")


def well(cluster: Alone, neighbour: str) -> None:
    assert cluster.kubectl("exec", neighbour, "--", "echo", "well") == "well\n"
    eventually(lambda: cluster.kubectl("logs", neighbour) == "here\n")


def test_a_fork_bomb_stays_within_its_pod(cluster: Alone, neighbour: str) -> None:
    # It is lit from outside, by a file, after its bounds have been looked at.
    # A shell ends when it cannot fork; this does not.
    script = """while [ ! -e /lit ]; do sleep 0.2; done; exec awk 'BEGIN { while (1) system("sleep 1000 &") }'"""
    pod = start(cluster, "bomb", script, container={"resources": {"limits": {"cpu": "300m"}}})
    bounds = cgroup(cluster, pod)
    assert int((bounds / "pids.max").read_text()) == cluster.pids_limit <= 40
    within = [int(file.read_text()) for file in bounds.glob("*/pids.max") if file.read_text().strip() != "max"]
    assert within and max(within) <= cluster.pids_limit
    cluster.kubectl("exec", "bomb", "--", "touch", "/lit")
    most = eventually(lambda: (count := int((bounds / "pids.current").read_text())) > cluster.pids_limit // 2 and count)
    assert most <= cluster.pids_limit
    eventually(
        lambda: [it for it in bounds.rglob("pids.events") if it.read_text().split() != ["max", "0"]],
        what="the kernel has refused forks",
    )
    well(cluster, neighbour)
    assert int((bounds / "pids.current").read_text()) <= cluster.pids_limit
    node = f"/api/v1/nodes/{NODE}/proxy"

    def told() -> int:
        pods = json.loads(cluster.kubectl("get", "--raw", f"{node}/stats/summary"))["pods"]
        return int({it["podRef"]["name"]: it for it in pods}["bomb"]["process_stats"]["process_count"])

    assert 1 <= eventually(told) <= cluster.pids_limit
    end(cluster, "bomb", within_s=60)


def test_a_flood_of_logs_is_bounded_and_others_are_read_as_ever(cluster: Alone, neighbour: str) -> None:
    pod = start(cluster, "flood", "while [ ! -e /stop ]; do yes 0123456789012345678901234567890123456789 | head -n 50000; done; "
                "echo over; exec sleep 1000")  # fmt: skip
    folder = Path(f"/var/log/pods/default_flood_{pod['metadata']['uid']}/main")
    if not folder.exists():
        folder = next(cluster.state.rglob(f"default_flood_{pod['metadata']['uid']}/main"))
    eventually(lambda: len(list(folder.iterdir())) == 3, what="its log was rotated as often as is kept")
    watch = Stopwatch()
    lines = cluster.kubectl("logs", "flood", "--tail=20").splitlines()
    assert len(lines) >= 20 and set(lines[1:-1]) == {"0123456789012345678901234567890123456789"}
    assert watch.seconds < 30
    well(cluster, neighbour)
    status = Path(f"/proc/{cluster.parts['kubelet'].process.pid}/status").read_text()
    assert int(status.partition("VmRSS:")[2].split()[0]) < 300 * 1024
    cluster.kubectl("exec", "flood", "--", "touch", "/stop")
    eventually(lambda: "over" in cluster.kubectl("logs", "flood", "--tail=1"))
    assert len(list(folder.iterdir())) <= 4
    end(cluster, "flood", within_s=60)


HANGS = {"lifecycle": {"preStop": {"exec": {"command": ["sleep", "1000"]}}}}
DAEMONS = "for each in 1 2 3; do setsid sh -c 'setsid sleep 1000 & sleep 1000' & done; "
STUBBORN = {
    "deaf": ({}, {}, STAYS),
    "pre-stop-hangs": (HANGS, {}, STAYS),
    "daemons": ({}, {}, DAEMONS + STAYS),
    "daemons-shared": ({}, {"shareProcessNamespace": True}, DAEMONS + STAYS),
    "daemons-host-pid": ({}, {"hostPID": True}, DAEMONS + STAYS),
    "zombies": ({}, {}, "for each in 1 2 3 4 5; do (sh -c 'exit 0' & exec sleep 1000) & done; " + STAYS),
    "stopped": ({}, {}, "sleep 1000 & kill -STOP $!; " + STAYS),
    "stopped-shared": ({}, {"shareProcessNamespace": True}, "sleep 1000 & kill -STOP $!; " + STAYS),
}


def test_who_ignores_every_signal_is_killed_after_the_grace_period(cluster: Alone, neighbour: str) -> None:
    """All at once: each waits for its own grace period of a second, and the two that a CRI stop has at least."""
    made = {}
    for name, (container, spec, script) in STUBBORN.items():
        made[name] = start(cluster, name, script, container=container, **spec)
    left = {name: several(cgroup(cluster, pod)) for name, pod in made.items()}
    for name in ("stopped", "stopped-shared"):
        assert "T" in map(state, left[name]), name
    watch = Stopwatch()
    cluster.kubectl("delete", "pod", *STUBBORN)
    assert watch.seconds < 60
    for name, pod in made.items():
        assert not cgroup(cluster, pod).exists(), name
    everybody = {pid for pids in left.values() for pid in pids}
    eventually(lambda: not [pid for pid in everybody if state(pid) not in "ZX"], what="no process is left")
    well(cluster, neighbour)


def test_orphans_of_a_shared_process_namespace_end_with_their_pod_alone(cluster: Alone, neighbour: str) -> None:
    """A container that ends and leaves a daemon behind is over, and starts anew."""
    # It ends when it is told to: that it runs has been seen by then.
    script = "setsid sleep 1000 & while [ ! -e /over ]; do sleep 0.1; done; exit 1"
    pod = start(cluster, "leaves-daemons", script, shareProcessNamespace=True, restartPolicy="Never")
    cluster.kubectl("exec", "leaves-daemons", "--", "touch", "/over")
    status = eventually(lambda: (it := cluster.get("pod", "leaves-daemons")["status"])["phase"] == "Failed" and it)
    assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 1
    eventually(lambda: not cgroup(cluster, pod).exists() or not processes(cgroup(cluster, pod)), what="its daemon is gone")
    cluster.kubectl("delete", "pod", "leaves-daemons")
