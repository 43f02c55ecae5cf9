"""The columnar decision equals a plain loop over nodes written straight from the formulas, on random clusters that change."""

from __future__ import annotations

import random

import pytest

from steersman.machinery.meta import Obj
from steersman.scheduler.cycle import Cycle, Placed
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.podinfo import PodInfo, PodInfos
from steersman.scheduler.profiles import default_profile

GI = 1024**3
ZONES = ("a", "b", "c")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def random_node(rng: random.Random, name: str) -> Obj:
    taints = [
        {"key": f"t{rng.randrange(2)}", "value": "v", "effect": rng.choice(EFFECTS)} for _ in range(rng.choice((0, 0, 1, 2)))
    ]
    labels = {"name": name} | ({"zone": rng.choice(ZONES)} if rng.random() < 0.8 else {})
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": taints, "unschedulable": rng.random() < 0.1},
        "status": {
            "allocatable": {
                "cpu": str(rng.choice((0, 2, 4, 7))),
                "memory": f"{rng.choice((3, 8, 15))}Gi",
                "pods": str(rng.choice((3, 10))),
                **({"example.com/gpu": "2"} if rng.random() < 0.3 else {}),
            },
            "images": [{"names": ["app:1"], "sizeBytes": 700 * 1024 * 1024}] if rng.random() < 0.5 else [],
        },
    }


def random_pod(rng: random.Random, number: int) -> Obj:
    requests = {}
    if rng.random() < 0.8:
        requests["cpu"] = f"{rng.choice((0, 100, 333, 1500))}m"
    if rng.random() < 0.7:
        requests["memory"] = f"{rng.choice((100, 1000, 3000))}Mi"
    if rng.random() < 0.1:
        requests["example.com/gpu"] = "1"
    container: Obj = {"name": "c", "image": rng.choice(("app:1", "other:1")), "resources": {"requests": requests}}
    if rng.random() < 0.2:
        container["ports"] = [{"hostPort": rng.choice((80, 81))}]
    spec: Obj = {"containers": [container]}
    if rng.random() < 0.3:
        spec["nodeSelector"] = {"zone": rng.choice(ZONES)}
    if rng.random() < 0.3:
        preference = {"matchExpressions": [{"key": "zone", "operator": "In", "values": [rng.choice(ZONES)]}]}
        preferred = [{"weight": rng.randrange(1, 100), "preference": preference}]
        spec["affinity"] = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}
    if rng.random() < 0.4:
        spec["tolerations"] = [{"key": f"t{rng.randrange(2)}", "operator": "Exists"}]
    return {"metadata": {"name": f"p{number}", "namespace": "x", "uid": f"u{number}"}, "spec": spec}


class Naive:
    """The same decision, one node at a time, with Python's own integers."""

    def __init__(self) -> None:
        self.nodes: dict[str, Obj] = {}
        self.pods: dict[str, list[PodInfo]] = {}

    def best(self, pod: PodInfo) -> set[str]:
        fitting = [name for name in self.nodes if self._fits(pod, name)]
        totals = self._totals(pod, fitting)
        return {name for name in fitting if totals[name] == max(totals.values())}

    def _allocatable(self, name: str, resource: str) -> int:
        text = self.nodes[name]["status"]["allocatable"].get(resource, "0")
        if resource == "cpu":
            return int(text) * 1000
        return int(text[:-2]) * GI if text.endswith("Gi") else int(text)

    def _used(self, name: str, resource: str) -> int:
        return sum(pod.demand.requests.get(resource, 0) for pod in self.pods.get(name, ()))

    @staticmethod
    def _tolerated(pod: PodInfo, taint: Obj) -> bool:
        return any(item["key"] == taint["key"] for item in pod.spec.get("tolerations", ()))

    def _fits(self, pod: PodInfo, name: str) -> bool:
        node, here = self.nodes[name], self.pods.get(name, [])
        labels = node["metadata"]["labels"]
        hard = [taint for taint in node["spec"]["taints"] if taint["effect"] != "PreferNoSchedule"]
        ports = {port.port for other in here for port in other.demand.ports}
        return (
            not node["spec"]["unschedulable"]
            and all(self._tolerated(pod, taint) for taint in hard)
            and all(labels.get(key) == value for key, value in pod.spec.get("nodeSelector", {}).items())
            and not any(port.port in ports for port in pod.demand.ports)
            and len(here) < self._allocatable(name, "pods")
            and all(
                amount <= self._allocatable(name, resource) - self._used(name, resource)
                for resource, amount in pod.demand.requests.items()
            )
        )

    def _totals(self, pod: PodInfo, names: list[str]) -> dict[str, int]:
        soft = {
            name: sum(
                taint["effect"] == "PreferNoSchedule" and not self._tolerated(pod, taint)
                for taint in self.nodes[name]["spec"]["taints"]
            )
            for name in names
        }
        liked = {name: self._preference(pod, name) for name in names}
        most_soft, most_liked = max(soft.values(), default=0), max(liked.values(), default=0)
        return {
            name: 3 * (100 - 100 * soft[name] // most_soft if most_soft else 100)
            + 2 * (100 * liked[name] // most_liked if most_liked else 0)
            + self._least_allocated(pod, name)
            + self._balanced(pod, name)
            + self._image(pod, name)
            for name in names
        }

    def _preference(self, pod: PodInfo, name: str) -> int:
        preferred = (
            pod.spec.get("affinity", {}).get("nodeAffinity", {}).get("preferredDuringSchedulingIgnoredDuringExecution", ())
        )
        zone = self.nodes[name]["metadata"]["labels"].get("zone")
        return sum(item["weight"] for item in preferred if zone in item["preference"]["matchExpressions"][0]["values"])

    def _least_allocated(self, pod: PodInfo, name: str) -> int:
        here = self.pods.get(name, [])
        wanted = {
            "cpu": pod.demand.scored_cpu + sum(other.demand.scored_cpu for other in here),
            "memory": pod.demand.scored_memory + sum(other.demand.scored_memory for other in here),
        }
        scores = []
        for resource, requested in wanted.items():
            has = self._allocatable(name, resource)
            if has:
                scores.append((has - requested) * 100 // has if requested <= has else 0)
        return sum(scores) // len(scores) if scores else 0

    def _balanced(self, pod: PodInfo, name: str) -> int:
        if not pod.demand.requests.keys() & {"cpu", "memory"}:
            return 0

        def balance(extra: bool) -> int:
            parts = []
            for resource in ("cpu", "memory"):
                has = self._allocatable(name, resource)
                used = self._used(name, resource) + (pod.demand.requests.get(resource, 0) if extra else 0)
                if has:
                    parts.append(min(1.0, used / has))
            deviation = abs(parts[0] - parts[1]) / 2 if len(parts) == 2 else 0.0
            return int((1 - deviation) * 100)

        return 50 + (50 + balance(True) - balance(False)) // 2

    def _image(self, pod: PodInfo, name: str) -> int:
        if pod.spec["containers"][0]["image"] != "app:1" or not self.nodes[name]["status"]["images"]:
            return 0
        holders = sum(bool(node["status"]["images"]) for node in self.nodes.values())
        found = int(700 * 1024**2 * (holders / len(self.nodes)))
        floor, ceiling = 23 * 1024**2, 1000 * 1024**2
        return 100 * (min(max(found, floor), ceiling) - floor) // (ceiling - floor)


@pytest.mark.parametrize("seed", range(12))
def test_every_decision_is_one_that_the_plain_loop_would_make(seed: int) -> None:
    rng = random.Random(seed)
    table, naive, infos = NodeTable(), Naive(), PodInfos()
    cycle = Cycle(default_profile(), table, rng)
    kinds = [random_pod(rng, number) for number in range(8)]
    placed: dict[str, str] = {}

    def set_node(name: str) -> None:
        naive.nodes[name] = random_node(rng, name)
        table.set_node(naive.nodes[name])

    # Some tables outgrow their first columns.
    for number in range(12 if seed % 3 else 70):
        set_node(f"n{number}")
    for number in range(150):
        dice = rng.random()
        if dice < 0.08:
            set_node(f"n{rng.randrange(90)}")
        elif dice < 0.13 and len(naive.nodes) > 3:
            gone = rng.choice(sorted(naive.nodes))
            del naive.nodes[gone]
            table.remove_node(gone)
        elif dice < 0.35 and placed:
            uid = rng.choice(sorted(placed))
            where = placed.pop(uid)
            naive.pods[where] = [pod for pod in naive.pods[where] if pod.uid != uid]
            table.remove_pod(uid)
        else:
            kind = rng.choice(kinds)
            info = infos.make({**kind, "metadata": {"name": f"q{number}", "namespace": "x", "uid": f"q{number}"}})
            outcome, best = cycle.schedule(info), naive.best(info)
            assert (outcome.node in best) if isinstance(outcome, Placed) else not best, (outcome, best)
            if isinstance(outcome, Placed):
                table.add_pod(info, outcome.node)
                naive.pods.setdefault(outcome.node, []).append(info)
                placed[info.uid] = outcome.node
