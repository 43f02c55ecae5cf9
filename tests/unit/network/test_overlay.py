"""What a node must know of the others, as it follows from the Nodes."""

from __future__ import annotations

import pytest

from steersman.machinery.meta import Obj
from steersman.network.overlay import Peer, Plan, plan


def node(name: str, cidr: str, address: str, **metadata: str) -> Obj:
    return {
        "metadata": {"name": name, **metadata},
        "spec": {"podCIDR": cidr} if cidr else {},
        "status": {
            "addresses": [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}] if address else []
        },
    }


OWN = node("a", "10.244.0.0/24", "192.0.2.1")
PEER = Peer("10.244.1.0/24", "10.244.1.0", bytes.fromhex("0a580af40100"), "192.0.2.2")


def test_every_other_node_is_a_peer_whose_gateway_and_hardware_address_follow_from_its_range() -> None:
    assert plan([OWN, node("b", "10.244.1.0/24", "192.0.2.2")], "a") == Plan("10.244.0.0/24", "192.0.2.1", frozenset({PEER}))
    assert plan([OWN], "a") == Plan("10.244.0.0/24", "192.0.2.1", frozenset())


@pytest.mark.parametrize(
    "own", [node("a", "", "192.0.2.1"), node("a", "10.244.0.0/24", ""), node("other", "10.244.0.0/24", "192.0.2.1")]
)
def test_a_node_that_has_no_range_or_address_yet_waits(own: Obj) -> None:
    assert plan([own, node("b", "10.244.1.0/24", "192.0.2.2")], "a") is None


@pytest.mark.parametrize(
    "other",
    [
        node("c", "", "192.0.2.3"),
        node("c", "10.244.2.0/24", ""),
        node("c", "fd00:1::/64", "192.0.2.3"),
        node("c", "10.244.2.0/24", "fd00::3"),
        node("c", "10.244.2.0/24", "192.0.2.3", deletionTimestamp="2026-01-01T00:00:00Z"),
        node("c", "10.244.0.0/24", "192.0.2.3"),
        node("c", "10.244.1.128/25", "192.0.2.3"),
        node("c", "10.244.0.0/16", "192.0.2.3"),
        node("c", "10.244.2.0/24", "192.0.2.1"),
    ],
    ids=[
        "no range", "no address", "IPv6 range", "IPv6 address", "on its way out", "this node's range", "part of another's range",
        "everybody's range", "this node's address",
    ],
)  # fmt: skip
def test_a_node_without_a_place_or_with_anothers_gets_no_traffic(other: Obj) -> None:
    found = plan([other, OWN, node("b", "10.244.1.0/24", "192.0.2.2")], "a")
    assert found is not None and found.peers == frozenset({PEER})
