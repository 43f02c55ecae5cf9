"""A whole cluster in a network namespace of its own: start-up, pods, exec, and what it costs to do nothing. Needs root."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import time
from typing import Any

from tools.throwaway import Cluster

from bench.report import Figure, Report
from bench.usage import cpu_s
from steersman.cluster.procs import pss

_PARTS = ("supervisor", "apiserver", "control", "node")
_SETTLE_S = 60.0
_IDLE_S = 30.0


def measure(report: Report) -> None:
    lacks = [program for program in ("conmon", "crun", "nft") if shutil.which(program) is None]
    if os.geteuid() != 0 or lacks:
        report.skip("a whole cluster", f"needs root and {', '.join(lacks) or 'nothing else'}")
        return
    cluster = Cluster(f"stm-bench-{os.getpid()}")
    try:
        fresh = _up(cluster)
        report.add(Figure("up: a fresh cluster to node Ready", fresh, "s", goal="3 s"))
        again = []
        for _ in range(3):
            cluster.steersman("down")
            again.append(_up(cluster))
        report.add(Figure("up: an existing cluster to node Ready", statistics.median(again), "s", goal="3 s"))
        cluster.steersman("example", "--image-only", "1")
        _measure_idle(report, cluster)
        _measure_pods(report, cluster)
    finally:
        cluster.remove()


def _up(cluster: Cluster) -> float:
    begin = time.perf_counter()
    cluster.up()
    return time.perf_counter() - begin


def _measure_idle(report: Report, cluster: Cluster) -> None:
    """Before any pod: memory after a minute of rest, then processor time over half a minute."""
    time.sleep(_SETTLE_S)
    memory = {part: pss(cluster.pid(part)) / 1e6 for part in _PARTS}
    before = {part: cpu_s(cluster.pid(part)) for part in _PARTS}
    time.sleep(_IDLE_S)
    used = {part: 100 * (cpu_s(cluster.pid(part)) - before[part]) / _IDLE_S for part in _PARTS}
    report.add(Figure("idle: memory of everything (PSS)", sum(memory.values()), "MB", upstream="661 MB", goal="160 MB"))
    for part, size in memory.items():
        report.add(Figure(f"idle: memory of the {part} (PSS)", size, "MB"))
    control = used["apiserver"] + used["control"]
    report.add(Figure("idle: CPU of the control plane", control, "%", upstream="2.8 %", goal="0.5 %"))
    report.add(Figure("idle: CPU of everything", sum(used.values()), "%"))


def _measure_pods(report: Report, cluster: Cluster) -> None:
    """The measuring client runs inside the namespace too: only there is the API server at its address."""
    said = cluster.run(sys.executable, "-m", "bench.pods", str(cluster.state), timeout_s=300)
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    bare = found["bare_s"]
    bare_is = "crun run of one bare container"
    single = statistics.median(found["single_s"])
    report.add(Figure("create to Running, image present", single, "s", bare, bare_is, "0.20-0.26 s", "0.12 s"))
    report.add(Figure("50 pods at once to Running", found["many_up_s"], "s", 50 * bare, f"50 x {bare_is}", "7.9 s", "4 s"))
    report.add(Figure("50 pods deleted at once", found["many_down_s"], "s", upstream="7.2 s", goal="3 s"))
    report.add(Figure("memory per pod beside its own processes", found["pod_mb"], "MB", upstream="12 MB", goal="3 MB"))
    exec_s = statistics.median(found["exec_s"])
    report.add(Figure("exec true, through the API", exec_s, "s", found["bare_exec_s"], "crun exec"))
