"""The overlay in a real kernel: a device, routes, neighbours, and how they follow a plan."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from steersman.network import overlay
from steersman.network.netns import entered
from steersman.network.overlay import Peer, Plan

pytestmark = pytest.mark.root
HOST = f"stm-overlay-{os.getpid()}"
B = Peer("10.244.1.0/24", "10.244.1.0", bytes.fromhex("0a580af40100"), "192.0.2.2")
C = Peer("10.244.2.0/24", "10.244.2.0", bytes.fromhex("0a580af40200"), "192.0.2.3")
MOVED = C._replace(address="192.0.2.33")


def ip(*arguments: str) -> Any:
    done = subprocess.run(["ip", "-n", HOST, "-j", *arguments], capture_output=True, text=True, check=True)
    return json.loads(done.stdout or "[]")


@pytest.fixture
def host() -> Iterator[None]:
    subprocess.run(["ip", "netns", "add", HOST], check=True)
    try:
        for command in (
            "link set lo up",
            "link add eth0 mtu 1400 type veth peer name far",
            "addr add 192.0.2.1/24 dev eth0",
            "link set eth0 up",
            "link set far up",
        ):
            subprocess.run(["ip", "-n", HOST, *command.split()], check=True)
        yield
    finally:
        subprocess.run(["ip", "netns", "del", HOST], check=True)


def apply(*peers: Peer, cidr: str = "10.244.0.0/24") -> None:
    with entered(f"/run/netns/{HOST}"):
        overlay.apply(Plan(cidr, "192.0.2.1", frozenset(peers)))


def state() -> tuple[set[Any], set[Any], set[Any]]:
    """Routes, neighbours, and forwardings, as ip(8) and bridge(8) have them."""
    routes = {(item["dst"], item["gateway"]) for item in ip("route", "show", "dev", overlay.DEVICE)}
    neighbours = {(item["dst"], item["lladdr"]) for item in ip("neigh", "show", "nud", "permanent", "dev", overlay.DEVICE)}
    done = subprocess.run(
        ["bridge", "-n", HOST, "-j", "fdb", "show", "dev", overlay.DEVICE], capture_output=True, text=True, check=True
    )
    return routes, neighbours, {(item["mac"], item["dst"]) for item in json.loads(done.stdout)}


def expected(*peers: Peer) -> tuple[set[Any], set[Any], set[Any]]:
    return (
        {(peer.pod_cidr, peer.gateway) for peer in peers},
        {(peer.gateway, peer.mac.hex(":")) for peer in peers},
        {(peer.mac.hex(":"), peer.address) for peer in peers},
    )


def test_the_kernel_follows_the_plan_and_keeps_the_device(host: None) -> None:
    apply(B)
    (device,) = ip("-d", "link", "show", overlay.DEVICE)
    info = device["linkinfo"]["info_data"]
    assert (info["id"], info["port"], info["local"], info["learning"]) == (1, 8472, "192.0.2.1", False)
    assert (device["mtu"], device["address"]) == (1350, "0a:58:0a:f4:00:00")
    assert state() == expected(B)
    for peers in ((B, C), (B, MOVED), (MOVED,), ()):
        apply(*peers)
        assert state() == expected(*peers)
    assert ip("link", "show", overlay.DEVICE)[0]["ifindex"] == device["ifindex"]


def test_what_a_person_took_away_or_added_is_put_right(host: None) -> None:
    apply(B, C)
    for command in (
        f"route del {B.pod_cidr}",
        f"neigh del {C.gateway} dev {overlay.DEVICE}",
        f"route add 10.99.0.0/16 via 10.244.1.0 dev {overlay.DEVICE} onlink",
    ):
        subprocess.run(["ip", "-n", HOST, *command.split()], check=True)
    subprocess.run(["ip", "-n", HOST, "link", "set", "eth0", "mtu", "1300"], check=True)
    apply(B, C)
    assert state() == expected(B, C) and ip("link", "show", overlay.DEVICE)[0]["mtu"] == 1250


def test_a_node_with_another_range_gets_another_device_and_none_is_left_in_the_end(host: None) -> None:
    apply(B)
    apply(B, cidr="10.244.7.0/24")
    assert ip("link", "show", overlay.DEVICE)[0]["address"] == "0a:58:0a:f4:07:00" and state() == expected(B)
    with entered(f"/run/netns/{HOST}"):
        overlay.remove()
        overlay.remove()
    assert overlay.DEVICE not in {link["ifname"] for link in ip("link", "show")}
