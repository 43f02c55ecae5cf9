"""PodTopologySpread and InterPodAffinity equal a plain loop over all pods and nodes, on random clusters that change."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from steersman.machinery.meta import Obj
from steersman.scheduler.cycle import Cycle, Placed
from steersman.scheduler.framework import Profile
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.plugins.default_binder import DefaultBinder
from steersman.scheduler.plugins.inter_pod_affinity.plugin import InterPodAffinity
from steersman.scheduler.plugins.pod_topology_spread.plugin import PodTopologySpread
from steersman.scheduler.plugins.priority_sort import PrioritySort
from steersman.scheduler.podinfo import PodInfos
from steersman.scheduler.surroundings import Surroundings

HOST, ZONE, RACK = "kubernetes.io/hostname", "topology.kubernetes.io/zone", "rack"
APPS, TIERS, SPACES = ("a", "b", "c"), ("x", "y"), ("one", "two")
SKEW, LABEL = (
    "node(s) didn't match pod topology spread constraints",
    "node(s) didn't match pod topology spread constraints (missing required label)",
)
NEAR, AWAY, THEIRS = (
    "node(s) didn't match pod affinity rules",
    "node(s) didn't match pod anti-affinity rules",
    "node(s) didn't satisfy existing pods anti-affinity rules",
)


def random_node(rng: random.Random, name: str) -> Obj:
    labels = {HOST: name, ZONE: rng.choice(("z1", "z2", "z3")), RACK: rng.choice("rst"), "disk": rng.choice(("ssd", "hdd"))}
    for key in (HOST, ZONE, RACK):
        if rng.random() < 0.1:
            del labels[key]
    taints = [{"key": "t", "value": "", "effect": "NoSchedule"}] if rng.random() < 0.15 else []
    return {"metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}, "status": {"allocatable": {"pods": "99"}}}


def random_selector(rng: random.Random) -> Obj:
    dice = rng.random()
    if dice < 0.6:
        return {"matchLabels": {"app": rng.choice(APPS)}}
    if dice < 0.8:
        return {"matchExpressions": [{"key": "tier", "operator": rng.choice(("Exists", "DoesNotExist"))}]}
    return {"matchExpressions": [{"key": "app", "operator": rng.choice(("In", "NotIn")), "values": rng.sample(APPS, 2)}]}


def random_constraint(rng: random.Random) -> Obj:
    hard = rng.random() < 0.6
    found: Obj = {
        "topologyKey": rng.choice((HOST, ZONE, RACK)),
        "maxSkew": rng.choice((1, 2)),
        "whenUnsatisfiable": "DoNotSchedule" if hard else "ScheduleAnyway",
        "labelSelector": random_selector(rng),
    }
    if hard and rng.random() < 0.3:
        found["minDomains"] = rng.choice((2, 4))
    if rng.random() < 0.3:
        found["nodeAffinityPolicy"] = "Ignore"
    if rng.random() < 0.3:
        found["nodeTaintsPolicy"] = "Honor"
    if rng.random() < 0.2:
        found["matchLabelKeys"] = ["tier"]
    return found


def random_term(rng: random.Random) -> Obj:
    found: Obj = {"topologyKey": rng.choice((HOST, ZONE, RACK)), "labelSelector": random_selector(rng)}
    dice = rng.random()
    if dice < 0.2:
        found["namespaces"] = [rng.choice(SPACES)]
    elif dice < 0.4:
        found["namespaceSelector"] = rng.choice(({}, {"matchLabels": {"team": "blue"}}))
    return found


def random_pod(rng: random.Random) -> Obj:
    labels = {"app": rng.choice(APPS)} | ({"tier": rng.choice(TIERS)} if rng.random() < 0.5 else {})
    spec: Obj = {"containers": []}
    if rng.random() < 0.5:
        spec["topologySpreadConstraints"] = [random_constraint(rng) for _ in range(rng.choice((1, 2)))]
    affinity: Obj = {}
    for section in ("podAffinity", "podAntiAffinity"):
        if rng.random() < 0.3:
            affinity[section] = {"requiredDuringSchedulingIgnoredDuringExecution": [random_term(rng)]}
        if rng.random() < 0.3:
            preferred = [{"weight": rng.randrange(1, 100), "podAffinityTerm": random_term(rng)} for _ in range(2)]
            affinity.setdefault(section, {})["preferredDuringSchedulingIgnoredDuringExecution"] = preferred
    if affinity:
        spec["affinity"] = affinity
    if rng.random() < 0.3:
        spec["nodeSelector"] = {"disk": "ssd"}
    if rng.random() < 0.3:
        spec["tolerations"] = [{"operator": "Exists"}]
    return {"metadata": {"namespace": rng.choice(SPACES), "labels": labels}, "spec": spec}


def selects(selector: Obj, labels: Mapping[str, str]) -> bool:
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for item in selector.get("matchExpressions", ()):
        value = labels.get(item["key"])
        held = {
            "In": value in item.get("values", ()),
            "NotIn": value not in item.get("values", ()),
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not held[item["operator"]]:
            return False
    return True


@dataclass
class Naive:
    """One node and one pod at a time."""

    nodes: dict[str, Obj]
    pods: dict[str, tuple[Obj, str]]
    teams: dict[str, dict[str, str]]

    def labels(self, node: str) -> dict[str, str]:
        found: dict[str, str] = self.nodes[node]["metadata"]["labels"]
        return found

    def here(self) -> list[tuple[Obj, str]]:
        return [(pod, node) for pod, node in self.pods.values() if node in self.nodes]

    # --- spread ----------------------------------------------------------------------------------------------------

    def counts_for(self, constraint: Obj, pod: Obj, other: Obj) -> bool:
        same = other["metadata"]["namespace"] == pod["metadata"]["namespace"]
        if not same or other["metadata"].get("deletionTimestamp"):
            return False
        return self.alike(constraint, pod, other) and selects(constraint["labelSelector"], other["metadata"]["labels"])

    @staticmethod
    def alike(constraint: Obj, pod: Obj, other: Obj) -> bool:
        own, theirs = pod["metadata"]["labels"], other["metadata"]["labels"]
        return all(theirs.get(key) == own[key] for key in constraint.get("matchLabelKeys", ()) if key in own)

    def included(self, constraint: Obj, pod: Obj, node: str) -> bool:
        wanted = pod["spec"].get("nodeSelector", {})
        if constraint.get("nodeAffinityPolicy") != "Ignore" and not wanted.items() <= self.labels(node).items():
            return False
        tainted = self.nodes[node]["spec"]["taints"] and not pod["spec"].get("tolerations")
        return not (tainted and constraint.get("nodeTaintsPolicy") == "Honor")

    def of(self, pod: Obj, action: str) -> list[Obj]:
        return [item for item in pod["spec"].get("topologySpreadConstraints", ()) if item["whenUnsatisfiable"] == action]

    def spread_refusal(self, pod: Obj, node: str) -> str:
        hard = self.of(pod, "DoNotSchedule")
        keyed = [name for name in self.nodes if all(item["topologyKey"] in self.labels(name) for item in hard)]
        for item in hard:
            key = item["topologyKey"]
            value = self.labels(node).get(key)
            if value is None:
                return LABEL
            domains = {self.labels(name)[key]: 0 for name in keyed if self.included(item, pod, name)}
            for other, where in self.here():
                if where in keyed and self.included(item, pod, where) and self.counts_for(item, pod, other):
                    domains[self.labels(where)[key]] += 1
            least = min(domains.values()) if domains and len(domains) >= item.get("minDomains", 1) else 0
            own = selects(item["labelSelector"], pod["metadata"]["labels"])
            if domains.get(value, 0) + own - least > item["maxSkew"]:
                return SKEW
        return ""

    def spread_scores(self, pod: Obj, fitting: list[str]) -> dict[str, int]:
        soft = self.of(pod, "ScheduleAnyway")
        if not soft:
            return dict.fromkeys(fitting, 0)
        keyed = [name for name in self.nodes if all(item["topologyKey"] in self.labels(name) for item in soft)]
        usable = [name for name in fitting if name in keyed]
        raw = {}
        for node in usable:
            total = 0.0
            for item in soft:
                key = item["topologyKey"]
                value = self.labels(node)[key]
                if key == HOST:
                    size = len(usable)
                    number = sum(self.counts_for(item, pod, other) for other, where in self.here() if where == node)
                else:
                    size = len({self.labels(name)[key] for name in usable})
                    number = sum(
                        self.counts_for(item, pod, other) and self.included(item, pod, where)
                        for other, where in self.here()
                        if where in keyed and self.labels(where)[key] == value
                    )
                total += number * math.log(size + 2) + (item["maxSkew"] - 1)
            raw[node] = math.floor(total + 0.5)
        highest, lowest = max(raw.values(), default=0), min(raw.values(), default=0)
        scored = {node: 100 * (highest + lowest - value) // highest if highest else 100 for node, value in raw.items()}
        return {node: scored.get(node, 0) for node in fitting}

    # --- affinity --------------------------------------------------------------------------------------------------

    def means(self, term: Obj, carrier: Obj, other: Obj) -> bool:
        space, names = other["metadata"]["namespace"], term.get("namespaces")
        if names is None and "namespaceSelector" not in term:
            names = [carrier["metadata"]["namespace"]]
        chosen = "namespaceSelector" in term and selects(term["namespaceSelector"], self.teams[space])
        return (space in (names or ()) or chosen) and selects(term["labelSelector"], other["metadata"]["labels"])

    @staticmethod
    def terms(pod: Obj, section: str, kind: str) -> list[Any]:
        found: list[Any] = (
            pod["spec"].get("affinity", {}).get(section, {}).get(f"{kind}DuringSchedulingIgnoredDuringExecution", [])
        )
        return found

    def together(self, term: Obj, node: str, where: str) -> bool:
        value = self.labels(node).get(term["topologyKey"])
        return value is not None and value == self.labels(where).get(term["topologyKey"])

    def affinity_refusal(self, pod: Obj, node: str) -> str:
        near = self.terms(pod, "podAffinity", "required")
        wanted = [(other, where) for other, where in self.here() if near and all(self.means(term, pod, other) for term in near)]
        anywhere = any(term["topologyKey"] in self.labels(where) for _, where in wanted for term in near)
        begins = not anywhere and all(self.means(term, pod, pod) for term in near)
        for term in near:
            if term["topologyKey"] not in self.labels(node):
                return NEAR
            if not begins and not any(self.together(term, node, where) for _, where in wanted):
                return NEAR
        for term in self.terms(pod, "podAntiAffinity", "required"):
            if any(self.means(term, pod, other) and self.together(term, node, where) for other, where in self.here()):
                return AWAY
        for other, where in self.here():
            for term in self.terms(other, "podAntiAffinity", "required"):
                if self.means(term, other, pod) and self.together(term, node, where):
                    return THEIRS
        return ""

    def affinity_scores(self, pod: Obj, fitting: list[str]) -> dict[str, int]:
        raw = dict.fromkeys(fitting, 0)
        for node in fitting:
            for other, where in self.here():
                for section, sign in (("podAffinity", 1), ("podAntiAffinity", -1)):
                    for carrier, meant in ((pod, other), (other, pod)):
                        for item in self.terms(carrier, section, "preferred"):
                            term = item["podAffinityTerm"]
                            if self.means(term, carrier, meant) and self.together(term, node, where):
                                raw[node] += sign * item["weight"]
                for term in self.terms(other, "podAffinity", "required"):
                    raw[node] += self.means(term, other, pod) and self.together(term, node, where)
        highest, lowest = max(raw.values(), default=0), min(raw.values(), default=0)
        if highest == lowest:
            return dict.fromkeys(fitting, 0)
        return {node: int(100 * ((value - lowest) / (highest - lowest))) for node, value in raw.items()}

    # --- together --------------------------------------------------------------------------------------------------

    def decide(self, pod: Obj) -> tuple[set[str], Counter[str]]:
        refused = {node: self.spread_refusal(pod, node) or self.affinity_refusal(pod, node) for node in self.nodes}
        fitting = [node for node, why in refused.items() if not why]
        spread, affinity = self.spread_scores(pod, fitting), self.affinity_scores(pod, fitting)
        totals = {node: 2 * spread[node] + 2 * affinity[node] for node in fitting}
        best = {node for node in fitting if totals[node] == max(totals.values())}
        return best, Counter(why for why in refused.values() if why)


def profile() -> Profile:
    plugins = (PodTopologySpread(), InterPodAffinity())
    return Profile(scheduler_name="s", queue_sort=PrioritySort(), bind=DefaultBinder(), filters=plugins, scores=plugins)


@pytest.mark.parametrize("seed", range(20))
def test_every_decision_about_other_pods_is_one_that_the_plain_loop_would_make(seed: int) -> None:
    rng = random.Random(seed)
    table, around, infos = NodeTable(), Surroundings(), PodInfos()
    naive = Naive({}, {}, {})
    cycle = Cycle(profile(), table, rng, around)
    kinds = [random_pod(rng) for _ in range(6)]
    rejected = 0

    def set_node(name: str) -> None:
        naive.nodes[name] = random_node(rng, name)
        table.set_node(naive.nodes[name])

    def set_team(space: str) -> None:
        naive.teams[space] = {"team": rng.choice(("blue", "red"))}
        around.set_namespace(None, {"metadata": {"name": space, "labels": naive.teams[space]}})

    def place(uid: str, pod: Obj, node: str) -> None:
        naive.pods[uid] = (pod, node)
        table.add_pod(infos.make({**pod, "metadata": {**pod["metadata"], "name": uid, "uid": uid}}), node)

    for space in SPACES:
        set_team(space)
    for number in range(8):
        set_node(f"n{number}")
    for number in range(120):
        dice = rng.random()
        if dice < 0.02:
            set_node(f"n{rng.randrange(10)}")
        elif dice < 0.03 and len(naive.nodes) > 3:
            gone = rng.choice(sorted(naive.nodes))
            del naive.nodes[gone]
            table.remove_node(gone)
        elif dice < 0.12:
            set_team(rng.choice(SPACES))
        elif dice < 0.3 and naive.pods:
            uid = rng.choice(sorted(naive.pods))
            pod, node = naive.pods.pop(uid)
            if rng.random() < 0.3:
                place(uid, {**pod, "metadata": {**pod["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}, node)
            elif rng.random() < 0.3:
                place(uid, {**pod, "metadata": {**pod["metadata"], "labels": {"app": rng.choice(APPS)}}}, node)
            else:
                table.remove_pod(uid)
        else:
            pod, uid = rng.choice(kinds), f"p{number}"
            best, refused = naive.decide(pod)
            outcome = cycle.schedule(infos.make({**pod, "metadata": {**pod["metadata"], "name": uid, "uid": uid}}))
            if isinstance(outcome, Placed):
                assert outcome.node in best, (pod, outcome, best)
                place(uid, pod, outcome.node)
                continue
            rejected += 1
            told = ", ".join(sorted(f"{count} {text}" for text, count in refused.items()))
            assert (best, outcome.message) == (set(), f"0/{len(naive.nodes)} nodes are available: {told}.")
            # Placed all the same, as by another scheduler: states that this one would not make.
            if rng.random() < 0.3:
                place(uid, pod, rng.choice(sorted(naive.nodes)))
    assert rejected < 100
