"""1,000 Deployments of 10 pods on 100 simulated nodes: `python -m bench convergence`, root (a network namespace of its own).

`python -m bench.convergence STATE_DIR` is the client inside the namespace, which prints one line of JSON. The baseline is that
client creating as many pods itself, one after the other on 16 connections, which nobody then acts on.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tools.throwaway import Cluster

from bench.report import Figure, Report
from bench.usage import cpu_s
from steersman.api.resources import DEPLOYMENTS, PODS
from steersman.client.rest import RestClient
from steersman.cluster.process import client_for
from steersman.cluster.procs import pss
from steersman.machinery.meta import Obj, name_of

_NODES, _DEPLOYMENTS, _REPLICAS = 100, 1000, 10
_CONNECTIONS = 16
_PATIENCE_S = 900.0
_PARTS = ("apiserver", "control", "nodes")


def measure(report: Report) -> None:
    if os.geteuid() != 0:
        report.skip("1,000 Deployments", "needs root, for a network namespace")
        return
    cluster = Cluster(f"stm-bench-{os.getpid()}")
    try:
        cluster.steersman("up", "--simulated-nodes", str(_NODES))
        before = {part: cpu_s(cluster.pid(part)) for part in _PARTS}
        said = cluster.run(sys.executable, "-m", "bench.convergence", str(cluster.state), timeout_s=_PATIENCE_S + 60)
        found: dict[str, Any] = json.loads(said.splitlines()[-1])
        pods = _DEPLOYMENTS * _REPLICAS
        took = found["converged_s"]
        report.add(Figure("1,000 Deployments x 10 pods to available", took, "s", found["bare_s"], f"creating {pods:,} pods"))
        report.add(Figure("... pods per second", pods / took, "/s"))
        for part in _PARTS:
            pid = cluster.pid(part)
            report.add(Figure(f"... processor time of {part}", cpu_s(pid) - before[part], "s"))
            report.add(Figure(f"... memory of {part} then (PSS)", pss(pid) / 1e6, "MB"))
    finally:
        cluster.remove()


def main() -> int:
    print(json.dumps(asyncio.run(_measure(Path(sys.argv[1])))))
    return 0


async def _measure(state: Path) -> dict[str, float]:
    async with client_for(state / "kubeconfig" / "admin.conf", "bench") as client:
        converged = await _converged(client)
        begin = time.perf_counter()
        await _each(_DEPLOYMENTS * _REPLICAS, lambda number: client.create(PODS, _unwanted_pod(number)))
        return {"converged_s": converged, "bare_s": time.perf_counter() - begin}


async def _converged(client: RestClient) -> float:
    """Seconds from the first create until each Deployment's status says that all its pods are available."""
    version = str((await client.list(DEPLOYMENTS, "default"))["metadata"]["resourceVersion"])
    waiting = set(range(_DEPLOYMENTS))

    async def create() -> None:
        await _each(_DEPLOYMENTS, lambda number: client.create(DEPLOYMENTS, deployment(number)))

    async with asyncio.timeout(_PATIENCE_S), asyncio.TaskGroup() as group:
        begin = time.perf_counter()
        group.create_task(create())
        async for event in client.watch(DEPLOYMENTS, "default", resource_version=version):
            if event.type != "BOOKMARK" and event.object.get("status", {}).get("availableReplicas", 0) == _REPLICAS:
                waiting.discard(int(name_of(event.object).removeprefix("web-")))
            if not waiting:
                return time.perf_counter() - begin
    raise RuntimeError(f"{len(waiting)} Deployments did not become available")


async def _each(count: int, act: Callable[[int], Awaitable[object]]) -> None:
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await act(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(_CONNECTIONS):
            group.create_task(work())


def _template(app: str) -> Obj:
    container = {"name": "app", "image": "registry.example/web:1", "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}}
    return {"metadata": {"labels": {"app": app}}, "spec": {"containers": [container]}}


def deployment(number: int) -> Obj:
    app = f"web-{number}"
    spec = {"replicas": _REPLICAS, "selector": {"matchLabels": {"app": app}}, "template": _template(app)}
    return {"metadata": {"name": app, "namespace": "default"}, "spec": spec}


def _unwanted_pod(number: int) -> Obj:
    """No scheduler of this name runs."""
    made = _template("bare")
    return {
        "metadata": {**made["metadata"], "name": f"bare-{number}", "namespace": "default"},
        "spec": {**made["spec"], "schedulerName": "nobody"},
    }


if __name__ == "__main__":
    sys.exit(main())
