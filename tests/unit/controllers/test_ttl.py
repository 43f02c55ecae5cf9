"""How long kubelets may keep Secrets and ConfigMaps, by the size of the cluster."""

from __future__ import annotations

import pytest
from tests.unit.controllers.world import World

from steersman.api.resources import NODES
from steersman.controllers import ttl
from steersman.machinery.meta import Obj, annotations_of


def _of_size(w: World, count: int) -> None:
    """Nodes come and go until there are so many."""
    present = len(w.list(NODES))
    for number in range(present, count):
        w.put(NODES, {"metadata": {"name": f"n{number}"}})
    for number in range(count, present):
        w.remove(NODES, f"n{number}")
    w.settle(limit=10_000)


def _touch(node: Obj) -> None:
    node["status"] = {"seen": True}


def _ttl(w: World) -> str:
    """What the first node is told once it is seen again."""
    w.edit(NODES, "n0", _touch)
    w.settle()
    return annotations_of(w.get(NODES, "", "n0") or {})[ttl.ANNOTATION]


@pytest.mark.parametrize(
    ("sizes", "seconds"),
    [
        ([1], "0"),
        ([100], "0"),
        ([101], "15"),
        ([101, 90], "15"),
        ([101, 89], "0"),
        ([500], "15"),
        ([501], "30"),
        ([501, 450], "30"),
        ([501, 449], "15"),
        ([1001], "60"),
        ([2001], "300"),
        ([2001, 1800], "300"),
        ([2001, 10], "0"),
    ],
)
def test_large_clusters_ask_less_often(sizes: list[int], seconds: str) -> None:
    w = World(ttl.spec())
    for size in sizes:
        _of_size(w, size)
    assert _ttl(w) == seconds


def test_other_annotations_stay_and_a_wrong_value_is_put_right() -> None:
    w = World(ttl.spec())
    w.put(NODES, {"metadata": {"name": "n0", "annotations": {"mine": "1", ttl.ANNOTATION: "60"}}})
    w.settle()
    assert annotations_of(w.get(NODES, "", "n0") or {}) == {"mine": "1", ttl.ANNOTATION: "0"}
    assert len(w.writes) == 1
    w.edit(NODES, "n0", _touch)
    w.settle()
    assert len(w.writes) == 1
