"""Pods that say nothing of spreading are spread if a Service or a controller selects them (defaultingType System)."""

from __future__ import annotations

import random
from typing import Any

import pytest

from steersman.machinery.meta import Obj
from steersman.scheduler.cycle import Cycle, Placed
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.podinfo import PodInfos
from steersman.scheduler.profiles import default_profile
from steersman.scheduler.surroundings import Surroundings

INFOS = PodInfos()
ZONE, HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
WEB = {"app": "web"}


def pod(name: str, owner: str = "", **spec: Any) -> Obj:
    metadata: Obj = {"name": name, "namespace": "x", "uid": name, "labels": WEB}
    if owner:
        metadata["ownerReferences"] = [{"kind": owner, "name": "web", "uid": "owner", "controller": True}]
    return {"metadata": metadata, "spec": {"containers": [{"name": "c"}], **spec}}


def selecting(kind: str) -> Obj:
    plain = kind in ("Service", "ReplicationController")
    return {"metadata": {"name": "web", "namespace": "x"}, "spec": {"selector": WEB if plain else {"matchLabels": WEB}}}


def table() -> NodeTable:
    """Zone a has web pods on a1 and, twice, on a2; zone b is empty but for a large stranger."""
    found = NodeTable()
    for name in ("a1", "a2", "b1"):
        labels = {HOST: name, ZONE: name[0]}
        allocatable = {"cpu": "100", "memory": "100Gi", "pods": "10"}
        found.set_node({"metadata": {"name": name, "labels": labels}, "spec": {}, "status": {"allocatable": allocatable}})
    for name, node in (("w1", "a1"), ("w2", "a2"), ("w3", "a2")):
        found.add_pod(INFOS.make(pod(name)), node)
    hog = {"metadata": {"name": "hog", "namespace": "x", "uid": "hog"}}
    resources = {"requests": {"cpu": "20", "memory": "20Gi"}}
    found.add_pod(INFOS.make({**hog, "spec": {"containers": [{"name": "c", "resources": resources}]}}), "b1")
    return found


@pytest.mark.parametrize(
    ("known", "owner", "node"),
    [
        ((), "", "a1"),
        ((), "ReplicaSet", "a1"),
        (("Service",), "", "b1"),
        (("ReplicaSet",), "ReplicaSet", "b1"),
        (("ReplicationController",), "ReplicationController", "b1"),
        (("StatefulSet",), "StatefulSet", "b1"),
        (("ReplicaSet",), "Job", "a1"),
    ],
)
def test_replicas_go_where_fewest_of_them_are(known: tuple[str, ...], owner: str, node: str) -> None:
    around = Surroundings()
    cycle = Cycle(default_profile(), table(), random.Random(1), around)
    for kind in known:
        around.set_workload(kind, None, selecting(kind))
    info = INFOS.make(pod("new", owner))
    assert cycle.schedule(info) == Placed(node)
    for kind in known:
        around.set_workload(kind, selecting(kind), None)
    assert cycle.schedule(info) == Placed("a1"), "what selected them is gone"
