"""The scheduler's pure core: 5,000 pods onto 5,000 nodes, no API. The baseline is a Python loop over all nodes for every pod."""

from __future__ import annotations

import random
import time

from bench.report import Figure, Report
from steersman.machinery.meta import Obj
from steersman.scheduler.cycle import Cycle, Placed
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.podinfo import PodInfos
from steersman.scheduler.profiles import default_profile

_NODES, _PODS, _NAIVE_PODS = 5000, 5000, 50
_CPU_MILLI, _MEMORY_MI, _POD_LIMIT = 4000, 32 * 1024, 110
_POD_MEMORY_MI = 500

_APART = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}}
_EVEN = {**_APART, "topologyKey": "topology.kubernetes.io/zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
_RELATIONS: dict[str, Obj] = {
    "spread over zones": {"topologySpreadConstraints": [_EVEN]},
    "one per node": {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [_APART]}}},
}


def measure(report: Report) -> None:
    naive = _naive()
    for kinds, what in ((1, "alike"), (100, "of 100 kinds")):
        rate = _placed(kinds, {})
        report.add(Figure(f"scheduler core: pods {what} onto 5,000 nodes", rate, "/s", naive, "a Python loop over all nodes"))
    for what, spec in _RELATIONS.items():
        report.add(Figure(f"scheduler core: pods {what}", _placed(1, spec), "/s", naive, "a Python loop, of resources only"))


def node(number: int) -> Obj:
    labels = {"kubernetes.io/hostname": f"node-{number}", "topology.kubernetes.io/zone": f"z{number % 3}"}
    allocatable = {"cpu": f"{_CPU_MILLI}m", "memory": f"{_MEMORY_MI}Mi", "pods": str(_POD_LIMIT), "ephemeral-storage": "100Gi"}
    return {"metadata": {"name": f"node-{number}", "labels": labels}, "spec": {}, "status": {"allocatable": allocatable}}


def pod(number: int, kinds: int, spec: Obj) -> Obj:
    requests = {"cpu": f"{100 + number % kinds}m", "memory": f"{_POD_MEMORY_MI}Mi"}
    container = {"name": "c", "image": "registry.k8s.io/pause:3.10", "resources": {"requests": requests}}
    metadata = {"name": f"pod-{number}", "namespace": "default", "uid": f"uid-{number}", "labels": {"app": "web"}}
    return {"metadata": metadata, "spec": {"containers": [container], **spec}}


def _placed(kinds: int, spec: Obj) -> float:
    """Pods per second, all of which must find a node."""
    table, infos = NodeTable(), PodInfos()
    for number in range(_NODES):
        table.set_node(node(number))
    cycle = Cycle(default_profile(), table, random.Random(1))
    pods = [pod(number, kinds, spec) for number in range(_PODS)]
    begin = time.perf_counter()
    for obj in pods:
        info = infos.make(obj)
        outcome = cycle.schedule(info)
        if not isinstance(outcome, Placed):
            raise RuntimeError(f"{obj['metadata']['name']} found no node: {outcome}")
        table.add_pod(info, outcome.node)
    return _PODS / (time.perf_counter() - begin)


def _naive() -> float:
    """Only what fits (processor, memory, number of pods) and the least requested node: less than the core does."""
    used = [(0, 0, 0)] * _NODES
    begin = time.perf_counter()
    for number in range(_NAIVE_PODS):
        cpu = 100 + number % 100
        best, best_score = -1, -1.0
        for index, (used_cpu, used_memory, pods) in enumerate(used):
            left_cpu, left_memory = _CPU_MILLI - used_cpu - cpu, _MEMORY_MI - used_memory - _POD_MEMORY_MI
            if left_cpu < 0 or left_memory < 0 or pods >= _POD_LIMIT:
                continue
            score = left_cpu / _CPU_MILLI + left_memory / _MEMORY_MI
            if score > best_score:
                best, best_score = index, score
        used_cpu, used_memory, pods = used[best]
        used[best] = (used_cpu + cpu, used_memory + _POD_MEMORY_MI, pods + 1)
    return _NAIVE_PODS / (time.perf_counter() - begin)
