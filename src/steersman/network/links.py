"""The netlink work of the bridge network: blocking functions, called from one worker thread. Each can be repeated.

A pod's address is a /32 with the bridge as its gateway, so traffic between pods of a node is routed by the host and passes
its connection tracking: a service's answer comes back from the service's address without br_netfilter.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from steersman.network.netns import entered

_DEFAULT_MTU = 1500


def veth_name(sandbox_id: str) -> str:
    """The host end's interface name, stable per sandbox, at most 15 characters."""
    return "veth" + hashlib.sha256(sandbox_id.encode()).hexdigest()[:11]


def _index(route: IPRoute, name: str) -> int:
    found = route.link_lookup(ifname=name)
    return int(found[0]) if found else 0


def ensure_bridge(route: IPRoute, name: str, gateway: str, prefix_length: int, mtu: int) -> None:
    """The bridge, up, with the gateway address, and forwarding enabled."""
    index = _index(route, name)
    if not index:
        route.link("add", ifname=name, kind="bridge", mtu=mtu)
        index = _index(route, name)
    with contextlib.suppress(NetlinkError):  # the address is there already
        route.addr("add", index=index, address=gateway, prefixlen=prefix_length)
    route.link("set", index=index, state="up")


def set_sysctls(bridge: str) -> None:
    """Route between pods and beyond, and do not tell pods to bypass us (ICMP redirects)."""
    for name, value in (
        ("ip_forward", "1"),
        ("conf/all/send_redirects", "0"),
        (f"conf/{bridge}/send_redirects", "0"),
        (f"conf/{bridge}/rp_filter", "0"),
    ):
        path = Path("/proc/sys/net/ipv4") / name
        if path.read_text().strip() != value:
            path.write_text(value)


def default_mtu(route: IPRoute) -> int:
    """The MTU of the interface with the default route; Ethernet's if there is none."""
    for found in route.get_default_routes(family=2):
        index = found.get_attr("RTA_OIF")
        for link in route.get_links(index) if index else ():
            return int(link.get_attr("IFLA_MTU") or _DEFAULT_MTU)
    return _DEFAULT_MTU


def attach(route: IPRoute, bridge: str, sandbox_id: str, netns_path: str, address: str, gateway: str, mtu: int) -> None:
    """A veth pair from the bridge to `eth0` in the namespace, with address and routes."""
    host_end = veth_name(sandbox_id)
    with entered(netns_path):
        inside = IPRoute()
    with inside:
        if not _index(inside, "eth0"):
            stale = _index(route, host_end)
            if stale:
                route.link("del", index=stale)
            descriptor = os.open(netns_path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                peer = {"ifname": "eth0", "net_ns_fd": descriptor, "mtu": mtu}
                route.link("add", ifname=host_end, kind="veth", mtu=mtu, peer=peer)
            finally:
                os.close(descriptor)
        route.link("set", index=_index(route, host_end), master=_index(route, bridge), state="up")
        inside.link("set", index=_index(inside, "lo"), state="up")
        index = _index(inside, "eth0")
        inside.link("set", index=index, state="up")
        inside.addr("replace", index=index, address=address, prefixlen=32)
        inside.route("replace", dst=f"{gateway}/32", oif=index, scope=253)
        inside.route("replace", dst="default", gateway=gateway, oif=index)


def loopback_up(netns_path: str) -> None:
    with entered(netns_path):
        inside = IPRoute()
    with inside:
        inside.link("set", index=_index(inside, "lo"), state="up")


def detach(route: IPRoute, sandbox_id: str) -> None:
    delete_link(route, veth_name(sandbox_id))


def delete_link(route: IPRoute, name: str) -> None:
    index = _index(route, name)
    if not index:
        return
    try:
        route.link("del", index=index)
    except NetlinkError as fault:
        if fault.code != errno.ENODEV:
            raise
