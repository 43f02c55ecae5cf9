"""A node with as many pods as it may have: `python -m bench full`, root (a cluster in a network namespace of its own).

`python -m bench.nodefull STATE_DIR NODE_PID` is the client inside the namespace, which prints one line of JSON. 110 pods are 330
processes: room.py says how many of them this machine bears, and the names of the figures say how many there were.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from tools.throwaway import Cluster

from bench import room
from bench.pods import bare_container_s, created, deleted, helper_bytes, parts_bytes, until
from bench.report import Figure, Report
from bench.usage import cpu_s, idle_python
from steersman.api.resources import PODS
from steersman.client.rest import RestClient
from steersman.cluster.process import client_for
from steersman.cluster.procs import pss
from steersman.machinery.meta import Obj

_AT_ONCE, _FULL, _RESTARTS = 100, 110, 5
_SETTLE_S, _IDLE_S = 20.0, 30.0


def measure(report: Report) -> None:
    lacks = [program for program in ("conmon", "crun", "nft") if shutil.which(program) is None]
    if os.geteuid() != 0 or lacks:
        report.skip("a full node", f"needs root and {', '.join(lacks) or 'nothing else'}")
        return
    cluster = Cluster(f"stm-bench-{os.getpid()}")
    try:
        cluster.up()
        cluster.steersman("example", "--image-only", "1")
        node = str(cluster.pid("node"))
        said = cluster.run(sys.executable, "-m", "bench.nodefull", str(cluster.state), node, timeout_s=400)
        _tell(report, json.loads(said.splitlines()[-1]))
    finally:
        cluster.remove()


def _tell(report: Report, found: dict[str, Any]) -> None:
    many, full, bare = found["many"], found["full"], found["bare_s"]
    python_is = "an idle Python process with an event loop"
    for what, wanted in ((many, _AT_ONCE), (full, _FULL)):
        if what < wanted:
            report.skip(f"{wanted} pods", f"the machine bears {what}")
    report.add(
        Figure(f"{many} pods at once to Running", found["up_s"], "s", many * bare, f"{many} x crun run", goal="8 s (2 x 50)")
    )
    report.add(Figure(f"{many} pods deleted at once", found["down_s"], "s", goal="6 s (2 x 50)"))
    restart = statistics.median(found["restart_s"])
    report.add(Figure("container's end to Running again", restart, "s", bare, "crun run of one bare container"))
    cpu, memory = found["python_cpu"], found["python_mb"]
    report.add(Figure("kubelet process, no pods: CPU", found["empty_cpu"], "%", cpu, python_is))
    report.add(Figure(f"kubelet process, {full} idle pods: CPU", found["full_cpu"], "%", cpu, python_is))
    report.add(Figure(f"kubelet process, {full} idle pods: PSS", found["full_mb"], "MB", memory, python_is, "96 MB"))
    report.add(Figure("... of that, per pod", 1000 * found["grown_mb"] / full, "KB"))
    report.add(Figure(f"memory per pod, {full} pods, beside its own", found["pod_mb"], "MB", upstream="12 MB", goal="3 MB"))
    print(found["load"], flush=True)


def main() -> int:
    found = asyncio.run(_measure(Path(sys.argv[1]), int(sys.argv[2])))
    print(json.dumps(found))
    return 0


async def _measure(state: Path, node: int) -> dict[str, Any]:
    found: dict[str, Any] = {"many": room.pods(_AT_ONCE), "full": room.pods(_FULL)}
    async with client_for(state / "kubeconfig" / "admin.conf", "bench") as client:
        found["restart_s"] = [await _restarted(client, state, f"again-{number}") for number in range(_RESTARTS)]
        await deleted(client, [f"again-{number}" for number in range(_RESTARTS)])
        # Right beside what it is a baseline of: others use the machine, and not always as much.
        found["bare_s"] = bare_container_s()
        names = [f"many-{number}" for number in range(found["many"])]
        found["load"] = room.load()
        found["up_s"] = await created(client, names)
        found["down_s"] = await deleted(client, names)
        found["python_cpu"], found["python_mb"] = idle_python(_IDLE_S)
        found["empty_cpu"] = await _cpu_percent(node)
        before_mb, before = pss(node) / 1e6, parts_bytes(state)
        names = [f"full-{number}" for number in range(found["full"])]
        await created(client, names)
        found["full_cpu"] = await _cpu_percent(node)
        found["full_mb"] = pss(node) / 1e6
        found["grown_mb"] = found["full_mb"] - before_mb
        grown = max(0, parts_bytes(state) - before)
        found["pod_mb"] = (helper_bytes(state) + grown) / found["full"] / 1e6
        await deleted(client, names)
    return found


async def _restarted(client: RestClient, state: Path, name: str) -> float:
    """Seconds from a container's death until the API shows it running again: the first time there is no back-off."""
    await created(client, [name])
    shown = await client.get(PODS, name, "default")
    container = shown["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]

    async def kill() -> None:
        subprocess.run(["crun", f"--root={state}/run/containers/oci", "kill", container, "KILL"], check=True)

    def again(_: str, seen: Obj) -> bool:
        status = seen["status"]["containerStatuses"][0]
        return bool(status["restartCount"] == 1 and "running" in status["state"])

    return await until(client, {name}, kill, again)


async def _cpu_percent(pid: int) -> float:
    """Of one core, over half a minute, after what came before has settled."""
    await asyncio.sleep(_SETTLE_S)
    before = cpu_s(pid)
    await asyncio.sleep(_IDLE_S)
    return 100 * (cpu_s(pid) - before) / _IDLE_S


if __name__ == "__main__":
    sys.exit(main())
