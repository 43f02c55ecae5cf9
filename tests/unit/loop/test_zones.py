"""Which zones endpoints serve."""

from __future__ import annotations

from collections import Counter

import pytest

from steersman.loop.zones import NoHints, assigned, zone_cpus
from steersman.machinery.meta import Obj


@pytest.mark.parametrize(
    ("own", "cpus", "serves"),
    [
        ("a a b b c c", {"a": 1, "b": 1, "c": 1}, {"a": 2, "b": 2, "c": 2}),
        # A fifth too much for a zone's endpoints is borne.
        ("a a a a a b b b b", {"a": 1, "b": 1}, {"a": 5, "b": 4}),
        # More is not: the fuller zone gives what the other needs.
        ("a a a a a a a b b b", {"a": 1, "b": 1}, {"a": 5, "b": 5}),
        ("a a a a a a b", {"a": 2, "b": 1}, {"a": 5, "b": 2}),
        ("a a a a", {"a": 1, "b": 1}, {"a": 2, "b": 2}),
    ],
)
def test_endpoints_serve_their_own_zone_as_long_as_the_others_have_enough(
    own: str, cpus: dict[str, int], serves: dict[str, int]
) -> None:
    made = assigned(own.split(), cpus)
    assert Counter(made) == serves
    stays = sum(zone == served for zone, served in zip(own.split(), made, strict=True))
    assert stays == sum(min(Counter(own.split())[zone], serves[zone]) for zone in serves), "nobody moves without need"


@pytest.mark.parametrize(
    ("own", "cpus", "why"),
    [
        (["a"], {"a": 1, "b": 1}, "Insufficient number of endpoints (1 endpoints, 2 zones)"),
        (["a", ""], {"a": 1, "b": 1}, "One or more endpoints do not have a zone specified"),
        (["a", "b", "c"], {"a": 1, "b": 1}, "One or more endpoints do not have a zone specified"),
        (["a", "a", "a"], {"a": 1, "b": 1}, "Unable to allocate minimum required endpoints to each zone"),
    ],
)
def test_why_there_are_no_hints(own: list[str], cpus: dict[str, int], why: str) -> None:
    with pytest.raises(NoHints) as caught:
        assigned(own, cpus)
    assert str(caught.value).startswith(why)


def node(zone: str, cpu: str = "2", *, ready: str = "True", **labels: str) -> Obj:
    marked = {"topology.kubernetes.io/zone": zone, **labels} if zone else labels
    return {
        "metadata": {"name": "n", "labels": marked},
        "status": {"allocatable": {"cpu": cpu}, "conditions": [{"type": "Ready", "status": ready}]},
    }


def test_cpus_of_ready_workers_count() -> None:
    control = {"node-role.kubernetes.io/control-plane": ""}
    nodes = [node("a"), node("a", "500m"), node("b"), node("c", ready="False"), node("", **control)]
    assert zone_cpus(nodes) == {"a": 2500, "b": 2000}


@pytest.mark.parametrize("nodes", [[node("a"), node("")], [node("a"), node("b", "0")], [node("a"), node("a")], []])
def test_without_zones_there_are_no_hints(nodes: list[Obj]) -> None:
    with pytest.raises(NoHints):
        zone_cpus(nodes)
