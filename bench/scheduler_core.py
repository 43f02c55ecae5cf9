"""How many pods per second the scheduler's pure core decides: 5,000 pods onto 5,000 nodes, no API.

python bench/scheduler_core.py [nodes] [pods] [kinds of pods]
"""

from __future__ import annotations

import random
import sys
import time

from steersman.machinery.meta import Obj
from steersman.scheduler.cycle import Cycle, Placed
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.podinfo import PodInfos
from steersman.scheduler.profiles import default_profile


def node(number: int) -> Obj:
    return {
        "metadata": {
            "name": f"node-{number}",
            "labels": {"kubernetes.io/hostname": f"node-{number}", "topology.kubernetes.io/zone": f"z{number % 3}"},
        },
        "spec": {},
        "status": {"allocatable": {"cpu": "4", "memory": "32Gi", "pods": "110", "ephemeral-storage": "100Gi"}},
    }


def pod(number: int, kinds: int) -> Obj:
    requests = {"cpu": f"{100 + number % kinds}m", "memory": "500Mi"}
    return {
        "metadata": {"name": f"pod-{number}", "namespace": "default", "uid": f"uid-{number}"},
        "spec": {"containers": [{"name": "c", "image": "registry.k8s.io/pause:3.10", "resources": {"requests": requests}}]},
    }


def main() -> None:
    nodes, pods, kinds = (int(value) for value in (sys.argv[1:] + ["5000", "5000", "1"][len(sys.argv) - 1 :]))
    table, infos = NodeTable(), PodInfos()
    start = time.perf_counter()
    for number in range(nodes):
        table.set_node(node(number))
    print(f"table of {nodes} nodes: {time.perf_counter() - start:.3f} s")
    cycle = Cycle(default_profile(), table, random.Random(1))
    objects = [pod(number, kinds) for number in range(pods)]
    start = time.perf_counter()
    placed = 0
    for obj in objects:
        info = infos.make(obj)
        outcome = cycle.schedule(info)
        if isinstance(outcome, Placed):
            table.add_pod(info, outcome.node)
            placed += 1
    taken = time.perf_counter() - start
    print(f"{placed} of {pods} pods ({kinds} kinds) placed in {taken:.3f} s: {pods / taken:.0f} pods/s")


if __name__ == "__main__":
    main()
