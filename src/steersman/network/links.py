"""The netlink work of the bridge network: blocking functions, called from one worker thread. Each can be repeated.

A pod's address is a /32 with the bridge as its gateway, so traffic between pods of a node is routed by the host and passes
its connection tracking: a service's answer comes back from the service's address without br_netfilter.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import socket
from pathlib import Path

from steersman.network.netns import entered
from steersman.network.rtnetlink import SCOPE_LINK, Netlink, NetlinkError

_DEFAULT_MTU = 1500
_IPV4 = Path("/proc/sys/net/ipv4")


def veth_name(sandbox_id: str) -> str:
    """The host end's interface name, stable per sandbox, at most 15 characters."""
    return "veth" + hashlib.sha256(sandbox_id.encode()).hexdigest()[:11]


def mac_of(address: str) -> bytes:
    """The hardware address that goes with an IPv4 address: who gets the address next is where neighbours look for it."""
    return b"\x0a\x58" + socket.inet_aton(address)


def ensure_bridge(netlink: Netlink, name: str, gateway: str, prefix_length: int, mtu: int) -> None:
    """The bridge, up, with the gateway address, and forwarding enabled."""
    if not netlink.index(name):
        netlink.add_bridge(name, mtu)
    index = netlink.index(name)
    # Left alone, a bridge takes the lowest address of its ports: it would change as pods come and go, and pods that know the
    # gateway by an earlier one would send into nothing until they ask again.
    netlink.set_mac(index, mac_of(gateway))
    netlink.set_address(index, gateway, prefix_length)
    netlink.set_up(index)


def set_sysctls(bridge: str, note: Path) -> None:
    """Route between pods and beyond, and do not tell pods to bypass us (ICMP redirects).

    With route_localnet a host port answers on 127.0.0.1 too; firewall.py keeps pods from the node's own loopback services.
    `note`: a file for what the machine-wide ones were before.
    """
    before: dict[str, str] = {}
    for name, value in (
        ("ip_forward", "1"),
        ("conf/all/send_redirects", "0"),
        (f"conf/{bridge}/send_redirects", "0"),
        (f"conf/{bridge}/rp_filter", "0"),
        (f"conf/{bridge}/route_localnet", "1"),
    ):
        path = _IPV4 / name
        found = path.read_text().strip()
        if found != value:
            path.write_text(value)
            if bridge not in name:
                before[name] = found
    if before and not note.exists():
        note.write_text(json.dumps(before))


def restore_sysctls(note: Path) -> None:
    """What set_sysctls changed for the whole machine is as it was."""
    if note.exists():
        for name, value in json.loads(note.read_text()).items():
            (_IPV4 / name).write_text(value)
        note.unlink()


def default_mtu(netlink: Netlink) -> int:
    """The MTU of the interface with the default route; Ethernet's if there is none."""
    index = netlink.default_interface()
    return (netlink.mtu(index) if index else 0) or _DEFAULT_MTU


def attach(netlink: Netlink, bridge: str, sandbox_id: str, netns_path: str, address: str, gateway: str, mtu: int) -> None:
    """A veth pair from the bridge to `eth0` in the namespace, with address and routes."""
    host_end = veth_name(sandbox_id)
    with entered(netns_path):
        inside = Netlink()
    with inside:
        if not inside.index("eth0"):
            delete_link(netlink, host_end)
            descriptor = os.open(netns_path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                netlink.add_veth(host_end, "eth0", descriptor, mac_of(address), mtu)
            finally:
                os.close(descriptor)
        port = netlink.index(host_end)
        netlink.set_up(port, master=netlink.index(bridge))
        # Where some other program has br_netfilter on, a service's address is translated in the bridge, before routing: a pod
        # that is its own service's endpoint then gets its packets back through its own port.
        netlink.set_hairpin(port)
        inside.set_up(inside.index("lo"))
        index = inside.index("eth0")
        inside.set_up(index)
        inside.set_address(index, address, 32)
        inside.set_route(f"{gateway}/32", index, scope=SCOPE_LINK)
        inside.set_route("default", index, gateway=gateway)


def loopback_up(netns_path: str) -> None:
    with entered(netns_path):
        inside = Netlink()
    with inside:
        inside.set_up(inside.index("lo"))


def detach(netlink: Netlink, sandbox_id: str) -> None:
    delete_link(netlink, veth_name(sandbox_id))


def delete_link(netlink: Netlink, name: str) -> None:
    """Delete an interface; one that is gone already is fine."""
    index = netlink.index(name)
    if not index:
        return
    try:
        netlink.delete_link(index)
    except NetlinkError as fault:
        if fault.errno != errno.ENODEV:
            raise
