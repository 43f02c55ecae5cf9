"""Preemption: where room is made and who must go for it; the words when none can be; places kept for nominated pods."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from steersman.machinery.meta import Obj
from steersman.scheduler.cycle import Cycle, Placed, Rejected
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.nominations import Nominations
from steersman.scheduler.podinfo import PodInfo, PodInfos
from steersman.scheduler.profiles import default_profile
from steersman.scheduler.surroundings import Surroundings

INFOS = PodInfos()
HOST, ZONE = "kubernetes.io/hostname", "zone"
_numbers = itertools.count()


def pod(
    name: str = "", cpu: int = 0, *, priority: int = 0, labels: Obj | None = None, status: Obj | None = None, **spec: Any
) -> PodInfo:
    name = name or f"p{next(_numbers)}"
    ports = [{"hostPort": port} for port in spec.pop("ports", ())]
    spec["containers"] = [{"name": "c", "ports": ports, "resources": {"requests": {"cpu": str(cpu)} if cpu else {}}}]
    metadata = {"name": name, "namespace": "x", "uid": f"uid-{name}", "labels": labels or {}}
    return INFOS.make({"metadata": metadata, "spec": {**spec, "priority": priority}, "status": status or {}})


def node(name: str, cpu: int = 4, **parts: Any) -> Obj:
    labels = {HOST: name, ZONE: name[0], **parts.pop("labels", {})}
    allocatable = {"cpu": str(cpu), "memory": "8Gi", "pods": "10"}
    return {"metadata": {"name": name, "labels": labels}, "spec": parts, "status": {"allocatable": allocatable}}


def budget(name: str, allowed: int, disrupted: tuple[str, ...] = (), **labels: str) -> Obj:
    status = {"disruptionsAllowed": allowed, "disruptedPods": dict.fromkeys(disrupted, "2026-01-01T00:00:00Z")}
    return {"metadata": {"name": name, "namespace": "x"}, "spec": {"selector": {"matchLabels": labels}}, "status": status}


class World:
    def __init__(self, *nodes: Obj, seed: int = 1) -> None:
        self.table, self.around, self.nominations = NodeTable(), Surroundings(), Nominations()
        for item in nodes:
            self.table.set_node(item)
        self.cycle = Cycle(default_profile(), self.table, random.Random(seed), self.around, self.nominations)

    def on(self, name: str, *pods: PodInfo) -> World:
        for item in pods:
            self.table.add_pod(item, name)
        return self

    def rejected(self, info: PodInfo) -> Rejected:
        before = {name: {**self.table.pods_on(row)} for row, name in enumerate(self.table.names())}
        outcome = self.cycle.schedule(info)
        after = {name: {**self.table.pods_on(row)} for row, name in enumerate(self.table.names())}
        assert isinstance(outcome, Rejected)
        assert before == after, "trying out leaves no trace"
        return outcome

    def victims(self, info: PodInfo) -> tuple[str | None, set[str]]:
        decision = self.rejected(info).decision
        return decision.node, {victim.key[1] for victim in decision.victims}


def anti_affinity(key: str, **labels: str) -> Obj:
    term = {"topologyKey": key, "labelSelector": {"matchLabels": labels}}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def started(hour: int) -> Obj:
    return {"startTime": f"2026-01-01T{hour:02}:00:00Z"}


def test_the_least_important_pods_that_make_room_are_chosen_and_others_spared() -> None:
    world = World(node("a")).on("a", pod("low", 2), pod("mid", 2, priority=1), pod("tiny"))
    assert world.victims(pod(cpu=2, priority=5)) == ("a", {"low"})
    assert world.victims(pod(cpu=3, priority=5)) == ("a", {"low", "mid"})
    assert world.rejected(pod(cpu=2, priority=5)).message == "0/1 nodes are available: 1 Insufficient cpu."


def test_of_equally_important_pods_the_one_that_started_last_goes() -> None:
    world = World(node("a")).on("a", pod("old", 2, status=started(1)), pod("new", 2, status=started(2)))
    assert world.victims(pod(cpu=2, priority=1)) == ("a", {"new"})
    assert World(node("a")).on("a", pod("old", 2, status=started(1)), pod("starting", 2)).victims(pod(cpu=2, priority=1)) == (
        "a",
        {"starting"},
    )


@pytest.mark.parametrize(
    ("on_a", "on_b", "chosen"),
    [
        ([pod("a1", 4, priority=2)], [pod("b1", 4, priority=1)], "b"),
        ([pod("a2", 3, priority=1), pod("a3", 1, priority=1)], [pod("b2", 4, priority=1)], "b"),
        ([pod("a4", 3, priority=-9), pod("a5", 1, priority=-9)], [pod("b4", 4, priority=-9)], "b"),
        ([pod("a6", 4, status=started(1))], [pod("b6", 4, status=started(2))], "b"),
        ([pod("a7", 4, priority=2)], [pod("b7", 4, priority=1, labels={"app": "kept"})], "a"),
    ],
    ids=["lowest highest priority", "fewest", "fewest of negative priority", "latest start", "no broken budget"],
)
def test_the_node_where_it_hurts_least_is_chosen(on_a: list[PodInfo], on_b: list[PodInfo], chosen: str) -> None:
    for seed in range(4):
        world = World(node("a"), node("b"), seed=seed).on("a", *on_a).on("b", *on_b)
        world.around.set_budget(None, budget("kept", 0, app="kept"))
        assert world.victims(pod(cpu=4, priority=5))[0] == chosen


def test_pods_whose_budget_is_used_up_are_spared_if_others_can_go() -> None:
    web = [pod(f"web{number}", 1, labels={"app": "web"}, status=started(number)) for number in range(3)]
    world = World(node("a")).on("a", *web, pod("other", 1, priority=1))
    world.around.set_budget(None, budget("web", 1, app="web"))
    # One of the three may go; taken in order of importance that is the first, the others would break the budget.
    assert world.victims(pod(cpu=2, priority=5)) == ("a", {"web0", "other"})
    world.around.set_budget(None, budget("web", 1, ("web1", "web2"), app="web"))
    assert world.victims(pod(cpu=2, priority=5)) == ("a", {"web1", "web2"})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"cpu": 3}, "preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, "
                     "2 Preemption is not helpful for scheduling."),
        ({"cpu": 3, "priority": 5, "ports": [80]}, "preemption: 0/3 nodes are available: 1 node(s) didn't have free ports "
                     "for the requested pod ports, 2 Preemption is not helpful for scheduling."),
        ({"cpu": 3, "priority": 5, "preemptionPolicy": "Never"}, "preemption: not eligible due to preemptionPolicy=Never."),
        ({"cpu": 9, "priority": 5}, "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."),
    ],
)  # fmt: skip
def test_it_is_told_why_preemption_does_not_help(spec: dict[str, Any], message: str) -> None:
    tainted = node("t", taints=[{"key": "k", "effect": "NoSchedule"}])
    world = World(node("a"), tainted, node("c", unschedulable=True))
    world.on("a", pod(cpu=2), pod(cpu=1, priority=9, ports=[80]))
    outcome = world.rejected(pod(**spec))
    assert outcome.message.partition(" no new claims to deallocate, preemption: ")[2] == message.removeprefix("preemption: ")
    # Not eligible: whatever the pod was promised stays. Nothing found: it is taken back.
    assert outcome.decision.node == (None if "not eligible" in message else "")


def test_a_pod_whose_victims_are_still_ending_waits_for_them() -> None:
    ending = {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]}
    victim = pod("victim", 4, status=ending)
    victim.obj["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    world = World(node("a"), node("b")).on("a", victim).on("b", pod("bystander", 4))
    preemptor = pod(cpu=4, priority=1, status={"nominatedNodeName": "a"})
    outcome = world.rejected(preemptor)
    assert outcome.message.endswith("preemption: not eligible due to a terminating pod on the nominated node.")
    assert (outcome.decision.node, outcome.decision.victims) == (None, ())


def test_host_ports_anti_affinity_and_spread_can_be_cured_by_removing_pods() -> None:
    world = World(node("a1"), node("a2")).on("a1", pod("port", ports=[80]), pod("app", labels={"app": "x"}, priority=1))
    world.on("a2", pod("hog", 4, priority=9))
    assert world.victims(pod(cpu=1, ports=[80], priority=5)) == ("a1", {"port"})
    assert world.victims(pod(cpu=1, affinity=anti_affinity(ZONE, app="x"), priority=5)) == ("a1", {"app"})
    theirs = World(node("a1")).on("a1", pod("lonely", affinity=anti_affinity(HOST, app="x")))
    assert theirs.victims(pod(labels={"app": "x"}, priority=1)) == ("a1", {"lonely"})
    constraint = {
        "maxSkew": 1, "topologyKey": HOST, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "x"}},
    }  # fmt: skip
    spread = World(node("a1"), node("a2")).on("a1", pod("s", labels={"app": "x"})).on("a2", pod("hog2", 4, priority=9))
    assert spread.victims(pod(cpu=1, labels={"app": "x"}, topologySpreadConstraints=[constraint], priority=5)) == ("a1", {"s"})


def test_a_place_kept_for_a_nominated_pod_is_free_only_for_pods_of_higher_priority() -> None:
    world = World(node("a"))
    nominee = pod("nominee", 3, priority=5)
    world.nominations.set(nominee, "a")
    assert isinstance(world.cycle.schedule(nominee), Placed), "its own place"
    assert isinstance(world.cycle.schedule(pod(cpu=2, priority=6)), Placed)
    assert isinstance(world.cycle.schedule(pod(cpu=1, priority=5)), Placed), "both fit"
    refused = world.rejected(pod(cpu=2, priority=5))
    assert refused.message.startswith("0/1 nodes are available: 1 Insufficient cpu.")
    assert refused.plugins == {"NodeResourcesFit"}
    world.nominations.remove(nominee.uid)
    assert isinstance(world.cycle.schedule(pod(cpu=2, priority=5)), Placed)


def test_room_is_made_for_nominated_pods_as_well() -> None:
    world = World(node("a")).on("a", pod("one", 2), pod("two", 2, priority=1))
    world.nominations.set(pod("nominee", 2, priority=9), "a")
    assert world.victims(pod(cpu=2, priority=5)) == ("a", {"one", "two"})


class Naive:
    """The rules on plain lists: cpu, host ports, and one kind of anti-affinity within a zone."""

    def __init__(self, world: World, cpu: dict[str, int]) -> None:
        self.pods = {name: list(world.table.pods_on(row).values()) for row, name in enumerate(world.table.names())}
        self.cpu, self.world = cpu, world

    def fits(self, info: PodInfo, where: str, gone: set[str]) -> bool:
        here = [other for other in self.pods[where] if other.uid not in gone]
        zone = [other for name in self.pods if name[0] == where[0] for other in self.pods[name] if other.uid not in gone]
        used = sum(other.demand.requests.get("cpu", 0) for other in here) + info.demand.requests.get("cpu", 0)
        ports = {port.port for other in here for port in other.demand.ports}
        apart = any(other.group.labels.get("app") == "x" for other in zone) and "affinity" in info.spec
        apart |= any("affinity" in other.spec for other in zone) and info.group.labels.get("app") == "x"
        room = used <= self.cpu[where] * 1000 and len(here) < 10
        return room and not apart and not ports & {port.port for port in info.demand.ports}

    def candidate(self, info: PodInfo, where: str) -> tuple[tuple[object, ...], set[str]] | None:
        lower = [other for other in self.pods[where] if other.priority < info.priority]
        lower.sort(key=lambda other: (-other.priority, other.obj["status"]["startTime"]))
        gone = {other.uid for other in lower}
        if not lower or not self.fits(info, where, gone):
            return None
        allowed = {item["metadata"]["name"]: item["status"]["disruptionsAllowed"] for item in self.world.around.budgets("x")}
        breaking = []
        for other in lower:
            app = other.group.labels.get("app", "")
            if app in allowed:
                allowed[app] -= 1
                if allowed[app] < 0:
                    breaking.append(other)
        violations = 0
        for other in [*breaking, *(item for item in lower if item not in breaking)]:
            if self.fits(info, where, gone - {other.uid}):
                gone -= {other.uid}
            else:
                violations += other in breaking
        victims = [other for other in lower if other.uid in gone]
        highest = max((other.priority for other in victims), default=-(2**31))
        total = sum(other.priority + 2**31 for other in victims)
        start = min((other.obj["status"]["startTime"] for other in victims if other.priority == highest), default="~")
        return (violations, highest, total, len(victims), [-ord(letter) for letter in start]), gone


@pytest.mark.parametrize("seed", range(25))
def test_victims_are_those_that_the_rules_name_on_random_clusters(seed: int) -> None:
    rng = random.Random(seed)
    cpu = {f"{zone}{number}": rng.choice((2, 4, 6)) for zone in "abc" for number in range(3)}
    world = World(*(node(name, size) for name, size in cpu.items()), seed=seed)
    for app in rng.sample(("x", "y"), rng.randrange(3)):
        world.around.set_budget(None, budget(app, rng.randrange(3), app=app))
    tried = 0

    def some(priority: int) -> PodInfo:
        spec: Obj = {"ports": [80]} if rng.random() < 0.15 else {}
        if rng.random() < 0.1:
            spec["affinity"] = anti_affinity(ZONE, app="x")
        labels = {"app": rng.choice("xyz")} if rng.random() < 0.5 else {}
        return pod(cpu=rng.choice((0, 1, 2, 3)), priority=priority, labels=labels, status=started(rng.randrange(24)), **spec)

    for _ in range(120):
        info = some(rng.randrange(6))
        naive = Naive(world, cpu)
        fitting = [name for name in cpu if naive.fits(info, name, set())]
        outcome = world.cycle.schedule(info)
        if isinstance(outcome, Placed):
            assert outcome.node in fitting
            world.on(outcome.node, info)
            continue
        assert not fitting
        tried += 1
        found = {name: candidate for name in cpu if (candidate := naive.candidate(info, name)) is not None}
        if not found:
            assert (outcome.decision.node, outcome.decision.victims) == ("", ())
            continue
        chosen = outcome.decision.node or ""
        assert found[chosen][0] == min(cost for cost, _ in found.values())
        assert {victim.uid for victim in outcome.decision.victims} == found[chosen][1]
        if rng.random() < 0.7:
            for victim in outcome.decision.victims:
                world.table.remove_pod(victim.uid)
    assert tried > 10


def test_more_than_thirty_distinct_resources_are_told_each() -> None:
    names = [f"example.com/r{number:02}" for number in range(70)]
    world = World(node("a"))
    requests = dict.fromkeys(names, "1")
    obj = {
        "metadata": {"name": "p", "namespace": "x", "uid": "u"},
        "spec": {"containers": [{"resources": {"requests": requests}}]},
    }
    message = world.rejected(INFOS.make(obj)).message
    listed = ", ".join(f"1 Insufficient {name}" for name in names)
    assert message.startswith(f"0/1 nodes are available: {listed}. no new claims to deallocate, preemption: ")
