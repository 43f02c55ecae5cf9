"""Pod traffic between nodes: VXLAN (RFC 7348), one device per node, and what it must know of the other nodes.

Each node routes every other node's pod range through its device: to a gateway that is the first address of that range, whose
MAC address follows from it, behind the other node's address. So nothing is asked or learned on the wire, and all entries follow
from the Nodes (`plan`, pure); `apply` makes the kernel agree. The device has the first address of the node's own range, so that
what the node itself sends to pods elsewhere, and what is masqueraded for them, comes back this way.
The outer packets are UDP to port 8472, as flannel's; each carries 50 bytes more, which pods' MTU leaves room for (OVERHEAD).
What is not here: following Nodes (cluster/overlaying.py).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import NamedTuple

from steersman.machinery.meta import Obj, dig, is_deleting, name_of
from steersman.network import links
from steersman.network.rtnetlink import Neighbour, Netlink, Route, Vxlan

DEVICE = "steersman-vxlan"
IDENTIFIER, PORT = 1, 8472
OVERHEAD = 50
"""Outer IPv4 (20), UDP (8) and VXLAN (8) headers, and the inner Ethernet header (14)."""


class Peer(NamedTuple):
    """Another node: its pods, and where packets for them go."""

    pod_cidr: str
    gateway: str
    mac: bytes
    address: str


class Plan(NamedTuple):
    """What this node's device is, and whom it reaches."""

    pod_cidr: str
    address: str
    peers: frozenset[Peer]


def plan(nodes: Iterable[Obj], own: str) -> Plan | None:
    """None as long as the own node has no pod range or address."""
    known = {name_of(node): found for node in nodes if not is_deleting(node) and (found := _peer(node)) is not None}
    mine = known.pop(own, None)
    if mine is None:
        return None
    # A node that claims another's range or this node's address gets no traffic; the first by name keeps it.
    ranges, peers = [ipaddress.IPv4Network(mine.pod_cidr)], set()
    for _, peer in sorted(known.items()):
        network = ipaddress.IPv4Network(peer.pod_cidr)
        if peer.address != mine.address and not any(network.overlaps(other) for other in ranges):
            ranges.append(network)
            peers.add(peer)
    return Plan(mine.pod_cidr, mine.address, frozenset(peers))


def _peer(node: Obj) -> Peer | None:
    internal = (
        item.get("address", "") for item in dig(node, "status", "addresses", default=()) if item.get("type") == "InternalIP"
    )
    address = next((text for text in internal if ":" not in text), "")
    cidr = dig(node, "spec", "podCIDR", default="")
    try:
        network = ipaddress.IPv4Network(cidr)
        return Peer(str(network), gateway_of(network), links.mac_of(gateway_of(network)), str(ipaddress.IPv4Address(address)))
    except ValueError:
        return None


def gateway_of(network: ipaddress.IPv4Network) -> str:
    """The one address of a range that no pod gets, nor the bridge."""
    return str(network.network_address)


def underlay_mtu(netlink: Netlink, address: str) -> int:
    """The MTU of the interface with that address; if there is none, of the default route's."""
    index = netlink.interface_of(address) if address else 0
    return (netlink.mtu(index) if index else 0) or links.default_mtu(netlink)


def pod_mtu(netlink: Netlink, address: str) -> int:
    """What pods may send so that it still fits when it has to leave the node whose address this is."""
    return underlay_mtu(netlink, address) - OVERHEAD


def apply(wanted: Plan) -> None:
    """Device, neighbours and routes as planned: what is missing is added, what is stale goes. Raises OSError."""
    with Netlink() as netlink:
        index = _device(netlink, wanted)
        routes = {Route(peer.pod_cidr, peer.gateway) for peer in wanted.peers}
        had = netlink.routes(index)
        for route in had - routes:
            netlink.delete_route(route.destination, index)
        _settle(netlink, index, {Neighbour(peer.address, peer.mac) for peer in wanted.peers}, forwarding=True)
        _settle(netlink, index, {Neighbour(peer.gateway, peer.mac) for peer in wanted.peers}, forwarding=False)
        for route in routes - had:
            netlink.set_route(route.destination, index, gateway=route.gateway, onlink=True)


def _settle(netlink: Netlink, index: int, wanted: set[Neighbour], *, forwarding: bool) -> None:
    had = netlink.neighbours(index, forwarding=forwarding)
    for neighbour in had - wanted:
        netlink.delete_neighbour(index, neighbour, forwarding=forwarding)
    for neighbour in wanted - had:
        netlink.set_neighbour(index, neighbour, forwarding=forwarding)


def _device(netlink: Netlink, wanted: Plan) -> int:
    """The device's index; one that was made for another range or address is made anew."""
    network = ipaddress.IPv4Network(wanted.pod_cidr)
    device = Vxlan(links.mac_of(gateway_of(network)), wanted.address, IDENTIFIER, PORT)
    mtu = pod_mtu(netlink, wanted.address)
    index = netlink.index(DEVICE)
    if index and netlink.vxlan(index) != device:
        netlink.delete_link(index)
        index = 0
    if not index:
        netlink.add_vxlan(DEVICE, device, mtu)
        index = netlink.index(DEVICE)
        netlink.set_address(index, gateway_of(network), 32)
        netlink.set_up(index)
    elif netlink.mtu(index) != mtu:
        netlink.set_mtu(index, mtu)
    return index


def remove() -> None:
    """Take the device away, and with it its routes and neighbours."""
    with Netlink() as netlink:
        links.delete_link(netlink, DEVICE)
