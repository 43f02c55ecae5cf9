"""5,000 simulated nodes that do nothing but say that they live: `python -m bench heartbeats`, root (a network namespace).

One process holds all 5,000 kubelets; what their leases cost the API server is told beside it.
BENCH_NODES asks for another number.
"""

from __future__ import annotations

import os
import time

from tools.throwaway import Cluster

from bench import room
from bench.report import Figure, Report
from bench.usage import cpu_s, idle_python
from steersman.cluster.procs import pss

_NODES = 5000
_SETTLE_S, _IDLE_S = 60.0, 30.0
_START_S = 600.0
_LEASE_S = 10.0
"""Between two renewals of a node's lease."""


def measure(report: Report) -> None:
    if os.geteuid() != 0:
        report.skip("heartbeats", "needs root, for a network namespace")
        return
    nodes = int(os.environ.get("BENCH_NODES", _NODES))
    cluster = Cluster(f"stm-bench-{os.getpid()}")
    try:
        begin = time.perf_counter()
        cluster.steersman("up", "--simulated-nodes", str(nodes), timeout_s=_START_S)
        cluster.kubectl("wait", "--for=condition=Ready", "nodes", "--all", f"--timeout={_START_S:.0f}s", timeout_s=_START_S)
        report.add(Figure(f"{nodes:,} simulated nodes from nothing to Ready", time.perf_counter() - begin, "s"))
        time.sleep(_SETTLE_S)
        _measure_idle(report, cluster, nodes)
    finally:
        cluster.remove()


def _measure_idle(report: Report, cluster: Cluster, nodes: int) -> None:
    pids = {part: cluster.pid(part) for part in ("nodes", "apiserver", "control")}
    before = {part: cpu_s(pid) for part, pid in pids.items()}
    time.sleep(_IDLE_S)
    used = {part: cpu_s(pid) - before[part] for part, pid in pids.items()}
    bare_cpu, bare_mb = idle_python(_IDLE_S)
    bare_is = "an idle Python process with an event loop"
    for part, pid in pids.items():
        of = "the process of all kubelets" if part == "nodes" else part
        report.add(Figure(f"{nodes:,} heartbeating: CPU of {of}", 100 * used[part] / _IDLE_S, "%", bare_cpu, bare_is))
        report.add(Figure(f"{nodes:,} heartbeating: PSS of {of}", pss(pid) / 1e6, "MB", bare_mb, bare_is))
    beats = nodes * _IDLE_S / _LEASE_S
    report.add(Figure("... a heartbeat, in the kubelets' process", 1e6 * used["nodes"] / beats, "us"))
    report.add(Figure("... a heartbeat, in the API server", 1e6 * used["apiserver"] / beats, "us"))
    print(room.load(), flush=True)
