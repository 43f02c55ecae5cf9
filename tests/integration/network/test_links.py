"""The netlink work of the pod network, looked at with iproute2, in network namespaces that the test makes."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from steersman.network import links
from steersman.network.netns import entered
from steersman.network.rtnetlink import Netlink, NetlinkError

pytestmark = pytest.mark.root

HOST, POD = f"stm-host-{os.getpid()}", f"stm-pod-{os.getpid()}"


def ip(netns: str, *command: str) -> Any:
    done = subprocess.run(["ip", "-n", netns, "-j", *command], check=True, capture_output=True, text=True)
    return json.loads(done.stdout or "[]")


@pytest.fixture
def host() -> Iterator[Netlink]:
    """A socket in a namespace that plays the node; a second namespace plays the pod."""
    for name in (HOST, POD):
        subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        with entered(f"/run/netns/{HOST}"):
            netlink = Netlink()
        with netlink:
            yield netlink
    finally:
        for name in (HOST, POD):
            subprocess.run(["ip", "netns", "del", name], check=True)


def wire(host: Netlink) -> None:
    links.ensure_bridge(host, "br0", "10.9.0.1", 24, 1400)
    links.attach(host, "br0", "sandbox", f"/run/netns/{POD}", "10.9.0.2", "10.9.0.1", 1400)


def test_an_attached_pod_reaches_its_gateway_and_a_second_attachment_changes_nothing(host: Netlink) -> None:
    wire(host)
    before = [link["ifindex"] for link in ip(HOST, "link", "show")], ip(POD, "addr", "show", "eth0"), ip(POD, "route", "show")
    wire(host)
    after = [link["ifindex"] for link in ip(HOST, "link", "show")], ip(POD, "addr", "show", "eth0"), ip(POD, "route", "show")
    assert after == before
    [port] = ip(HOST, "link", "show", "master", "br0")
    assert port["ifname"] == links.veth_name("sandbox") and port["mtu"] == 1400
    [inside] = ip(POD, "-4", "addr", "show", "eth0")
    assert [(a["local"], a["prefixlen"]) for a in inside["addr_info"]] == [("10.9.0.2", 32)]
    routes = {route["dst"]: (route.get("gateway"), route.get("scope", "global")) for route in ip(POD, "route", "show")}
    assert routes == {"default": ("10.9.0.1", "global"), "10.9.0.1": (None, "link")}
    with entered(f"/run/netns/{POD}"):
        probe = socket.socket()
    with probe, pytest.raises(ConnectionRefusedError):  # by the node, which has no such port open: so it was reached
        probe.settimeout(60)
        probe.connect(("10.9.0.1", 1))


def test_a_pod_gets_packets_back_that_its_own_bridge_port_sent(host: Netlink) -> None:
    wire(host)
    shown = subprocess.run(["bridge", "-n", HOST, "-d", "link"], check=True, capture_output=True, text=True).stdout
    assert "hairpin on" in shown


def test_detaching_twice_takes_the_pair_away_once(host: Netlink) -> None:
    wire(host)
    for _ in range(2):
        links.detach(host, "sandbox")
    assert ip(HOST, "link", "show", "master", "br0") == []
    assert [link["ifname"] for link in ip(POD, "link", "show")] == ["lo"]


def test_the_mtu_is_that_of_the_default_route_or_that_of_ethernet(host: Netlink) -> None:
    assert links.default_mtu(host) == 1500
    ip(HOST, "link", "add", "up0", "mtu", "1380", "type", "veth", "peer", "name", "up1")
    ip(HOST, "link", "set", "up0", "up")
    ip(HOST, "route", "add", "default", "dev", "up0")
    assert links.default_mtu(host) == 1380


def test_a_refusal_tells_why(host: Netlink) -> None:
    host.add_bridge("br0", 1500)
    with pytest.raises(NetlinkError) as refused:
        host.add_bridge("br0", 1500)
    assert refused.value.errno == errno.EEXIST
    assert host.index("nothing") == 0


def test_the_gateway_keeps_its_hardware_address_as_pods_come_and_go(host: Netlink) -> None:
    def bridge_mac() -> str:
        [bridge] = ip(HOST, "link", "show", "br0")
        return str(bridge["address"])

    links.ensure_bridge(host, "br0", "10.9.0.1", 24, 1400)
    before = bridge_mac()
    wire(host)
    assert bridge_mac() == before == "0a:58:0a:09:00:01"
    [inside] = ip(POD, "link", "show", "eth0")
    assert inside["address"] == "0a:58:0a:09:00:02"
    links.detach(host, "sandbox")
    assert bridge_mac() == before
