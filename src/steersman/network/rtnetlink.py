"""The few requests of rtnetlink(7) that a node's network needs, over one blocking socket.

A message is a header (length, type, flags, sequence, port), a fixed part that depends on the type, and attributes
(length, type, payload, padded to four bytes). A socket stays in the network namespace it was opened in.
What is not here: deciding what to set up (links.py), and waiting: callers use a thread.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

_RTM_NEWLINK, _RTM_DELLINK, _RTM_GETLINK, _RTM_SETLINK, _RTM_NEWADDR, _RTM_GETADDR = 16, 17, 18, 19, 20, 22
_RTM_NEWROUTE, _RTM_DELROUTE, _RTM_GETROUTE, _RTM_NEWNEIGH, _RTM_DELNEIGH, _RTM_GETNEIGH = 24, 25, 26, 28, 29, 30
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_DUMP = 0x1, 0x4, 0x300
_NLM_F_REPLACE, _NLM_F_EXCL, _NLM_F_CREATE = 0x100, 0x200, 0x400
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_PROTINFO, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 1, 3, 4, 10, 12, 18, 28
_IFLA_BRPORT_MODE, _AF_BRIDGE, _NLA_F_NESTED = 4, 7, 0x8000
_INFO_KIND, _INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_VXLAN_ID, _VXLAN_LOCAL, _VXLAN_LEARNING, _VXLAN_PORT = 1, 4, 7, 15
_NDA_DST, _NDA_LLADDR, _NUD_PERMANENT, _NTF_SELF = 1, 2, 0x80, 0x02
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTNH_F_ONLINK = 1, 4, 5, 4
_IFF_UP = 1
_RT_TABLE_MAIN, _RTPROT_STATIC, _RTN_UNICAST = 254, 4, 1
SCOPE_UNIVERSE, SCOPE_LINK, _SCOPE_NOWHERE = 0, 253, 255

_HEADER = struct.Struct("=IHHII")
_IFINFO = struct.Struct("=BxHiII")
_IFADDR = struct.Struct("=BBBBI")
_RTMSG = struct.Struct("=BBBBBBBBI")
_NDMSG = struct.Struct("=BxHiHBB")
_ATTRIBUTE = struct.Struct("=HH")


class NetlinkError(OSError):
    """The kernel refused a request; `errno` says why."""


class Vxlan(NamedTuple):
    """A VXLAN device as it is: its own hardware address, and what it sends from, with which identifier and port."""

    mac: bytes
    local: str
    identifier: int
    port: int


class Route(NamedTuple):
    """`destination`: a.b.c.d/n."""

    destination: str
    gateway: str


class Neighbour(NamedTuple):
    """A hardware address and where it is: an address of the same network, or a host that VXLAN frames go to."""

    address: str
    mac: bytes


class Netlink:
    """A socket in the calling thread's network namespace. Not for concurrent use."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def index(self, name: str) -> int:
        """An interface's index, 0 if there is none of that name."""
        try:
            for body in self._ask(_RTM_GETLINK, 0, _link(), _text(_IFLA_IFNAME, name)):
                return int(_IFINFO.unpack_from(body)[2])
        except NetlinkError as fault:
            if fault.errno != errno.ENODEV:
                raise
        return 0

    def mtu(self, index: int) -> int:
        for body in self._ask(_RTM_GETLINK, 0, _link(index)):
            return _number(_attributes(body, _IFINFO.size), _IFLA_MTU)
        return 0

    def add_bridge(self, name: str, mtu: int) -> None:
        kind = _attribute(_IFLA_LINKINFO, _text(_INFO_KIND, "bridge"))
        self._make(_RTM_NEWLINK, _link(), _text(_IFLA_IFNAME, name), _u32(_IFLA_MTU, mtu), kind)

    def set_mac(self, index: int, mac: bytes) -> None:
        """Give an interface a hardware address of six bytes. A bridge keeps it from then on, whatever its ports have."""
        self._ask(_RTM_NEWLINK, _NLM_F_ACK, _link(index), _attribute(_IFLA_ADDRESS, mac))

    def add_veth(self, name: str, peer: str, peer_namespace: int, peer_mac: bytes, mtu: int) -> None:
        """A pair; the peer is made in another namespace, given as an open descriptor, with a hardware address of six bytes."""
        inside = _link() + _text(_IFLA_IFNAME, peer) + _attribute(_IFLA_ADDRESS, peer_mac) + _u32(_IFLA_MTU, mtu)
        inside += _u32(_IFLA_NET_NS_FD, peer_namespace)
        info = _text(_INFO_KIND, "veth") + _attribute(_INFO_DATA, _attribute(_VETH_INFO_PEER, inside))
        self._make(_RTM_NEWLINK, _link(), _text(_IFLA_IFNAME, name), _u32(_IFLA_MTU, mtu), _attribute(_IFLA_LINKINFO, info))

    def add_vxlan(self, name: str, device: Vxlan, mtu: int) -> None:
        """One that learns nothing: where it sends what is said by its neighbours."""
        data = _u32(_VXLAN_ID, device.identifier) + _attribute(_VXLAN_LOCAL, socket.inet_aton(device.local))
        data += _attribute(_VXLAN_LEARNING, b"\0") + _attribute(_VXLAN_PORT, struct.pack("!H", device.port))
        info = _attribute(_IFLA_LINKINFO, _text(_INFO_KIND, "vxlan") + _attribute(_INFO_DATA, data))
        mac = _attribute(_IFLA_ADDRESS, device.mac)
        self._make(_RTM_NEWLINK, _link(), _text(_IFLA_IFNAME, name), _u32(_IFLA_MTU, mtu), mac, info)

    def vxlan(self, index: int) -> Vxlan | None:
        """What a device is, None if it is no VXLAN device."""
        for body in self._ask(_RTM_GETLINK, 0, _link(index)):
            found = dict(_attributes(body, _IFINFO.size))
            info = dict(_attributes(found.get(_IFLA_LINKINFO, b""), 0))
            if info.get(_INFO_KIND, b"").rstrip(b"\0") == b"vxlan":
                data = dict(_attributes(info.get(_INFO_DATA, b""), 0))
                (identifier,) = struct.unpack("=I", data.get(_VXLAN_ID, bytes(4)))
                (port,) = struct.unpack("!H", data.get(_VXLAN_PORT, bytes(2)))
                local = socket.inet_ntoa(data.get(_VXLAN_LOCAL, bytes(4)))
                return Vxlan(found.get(_IFLA_ADDRESS, b""), local, identifier, port)
        return None

    def set_mtu(self, index: int, mtu: int) -> None:
        self._ask(_RTM_NEWLINK, _NLM_F_ACK, _link(index), _u32(_IFLA_MTU, mtu))

    def set_up(self, index: int, *, master: int = 0) -> None:
        """Take an interface up, and make it a port of a bridge."""
        more = (_u32(_IFLA_MASTER, master),) if master else ()
        self._ask(_RTM_NEWLINK, _NLM_F_ACK, _link(index, _IFF_UP), *more)

    def set_hairpin(self, index: int) -> None:
        """Let a bridge send a frame back through the port it came in by."""
        body = _IFINFO.pack(_AF_BRIDGE, 0, index, 0, 0)
        mode = _attribute(_IFLA_BRPORT_MODE, b"\1")
        self._ask(_RTM_SETLINK, _NLM_F_ACK, body, _attribute(_IFLA_PROTINFO | _NLA_F_NESTED, mode))

    def delete_link(self, index: int) -> None:
        self._ask(_RTM_DELLINK, _NLM_F_ACK, _link(index))

    def set_address(self, index: int, address: str, prefix_length: int) -> None:
        """Give an interface an IPv4 address; one that it has already is fine."""
        packed = socket.inet_aton(address)
        body = _IFADDR.pack(socket.AF_INET, prefix_length, 0, SCOPE_UNIVERSE, index)
        flags = _NLM_F_ACK | _NLM_F_CREATE | _NLM_F_REPLACE
        self._ask(_RTM_NEWADDR, flags, body, _attribute(_IFA_LOCAL, packed), _attribute(_IFA_ADDRESS, packed))

    def interface_of(self, address: str) -> int:
        """The interface that has an IPv4 address, 0 if none has."""
        packed = socket.inet_aton(address)
        for body in self._ask(_RTM_GETADDR, _NLM_F_DUMP, _IFADDR.pack(socket.AF_INET, 0, 0, 0, 0)):
            if dict(_attributes(body, _IFADDR.size)).get(_IFA_LOCAL) == packed:
                return int(_IFADDR.unpack_from(body)[4])
        return 0

    def set_route(
        self, destination: str, index: int, *, gateway: str = "", scope: int = SCOPE_UNIVERSE, onlink: bool = False
    ) -> None:
        """A route to `a.b.c.d/n`, or to everything (`default`), in place of the one there is.

        onlink: the gateway is behind that interface, whatever addresses say.
        """
        address, _, length = "0.0.0.0/0".partition("/") if destination == "default" else destination.partition("/")
        kind = (_RT_TABLE_MAIN, _RTPROT_STATIC, scope, _RTN_UNICAST)
        body = _RTMSG.pack(socket.AF_INET, int(length), 0, 0, *kind, _RTNH_F_ONLINK if onlink else 0)
        attributes = [_u32(_RTA_OIF, index)]
        if int(length):
            attributes.append(_attribute(_RTA_DST, socket.inet_aton(address)))
        if gateway:
            attributes.append(_attribute(_RTA_GATEWAY, socket.inet_aton(gateway)))
        self._ask(_RTM_NEWROUTE, _NLM_F_ACK | _NLM_F_CREATE | _NLM_F_REPLACE, body, *attributes)

    def delete_route(self, destination: str, index: int) -> None:
        address, _, length = destination.partition("/")
        body = _RTMSG.pack(socket.AF_INET, int(length), 0, 0, _RT_TABLE_MAIN, 0, _SCOPE_NOWHERE, 0, 0)
        self._ask(_RTM_DELROUTE, _NLM_F_ACK, body, _u32(_RTA_OIF, index), _attribute(_RTA_DST, socket.inet_aton(address)))

    def routes(self, index: int) -> set[Route]:
        """The main table's IPv4 routes through an interface."""
        found: set[Route] = set()
        for body in self._ask(_RTM_GETROUTE, _NLM_F_DUMP, _RTMSG.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)):
            _, length, _, _, table, _, _, kind, _ = _RTMSG.unpack_from(body)
            attributes = dict(_attributes(body, _RTMSG.size))
            if table == _RT_TABLE_MAIN and kind == _RTN_UNICAST and attributes.get(_RTA_OIF) == struct.pack("=I", index):
                destination = socket.inet_ntoa(attributes.get(_RTA_DST, bytes(4)))
                gateway = attributes.get(_RTA_GATEWAY)
                found.add(Route(f"{destination}/{length}", socket.inet_ntoa(gateway) if gateway else ""))
        return found

    def set_neighbour(self, index: int, neighbour: Neighbour, *, forwarding: bool = False) -> None:
        """Settle who has an address behind an interface; or, `forwarding`, to which host a VXLAN device sends frames for it."""
        flags = _NLM_F_ACK | _NLM_F_CREATE | _NLM_F_REPLACE
        self._ask(_RTM_NEWNEIGH, flags, *_neighbour(index, neighbour, forwarding))

    def delete_neighbour(self, index: int, neighbour: Neighbour, *, forwarding: bool = False) -> None:
        self._ask(_RTM_DELNEIGH, _NLM_F_ACK, *_neighbour(index, neighbour, forwarding))

    def neighbours(self, index: int, *, forwarding: bool = False) -> set[Neighbour]:
        """Those that were set, not those that were learned."""
        found: set[Neighbour] = set()
        family = _AF_BRIDGE if forwarding else socket.AF_INET
        # A dump of forwardings is asked for with a link's header, as bridge(8) does.
        wanted = _IFINFO.pack(family, 0, index, 0, 0) if forwarding else _NDMSG.pack(family, 0, index, 0, 0, 0)
        for body in self._ask(_RTM_GETNEIGH, _NLM_F_DUMP, wanted):
            theirs, _, where, state, _, _ = _NDMSG.unpack_from(body)
            attributes = dict(_attributes(body, _NDMSG.size))
            address, mac = attributes.get(_NDA_DST, b""), attributes.get(_NDA_LLADDR, b"")
            if theirs == family and where == index and state & _NUD_PERMANENT and len(address) == 4:
                found.add(Neighbour(socket.inet_ntoa(address), mac))
        return found

    def default_interface(self) -> int:
        """The interface of the main table's default route, 0 if there is none."""
        wanted = _RTMSG.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)
        for body in self._ask(_RTM_GETROUTE, _NLM_F_DUMP, wanted):
            _, length, _, _, table, _, _, kind, _ = _RTMSG.unpack_from(body)
            if length == 0 and table == _RT_TABLE_MAIN and kind == _RTN_UNICAST:
                found = _number(_attributes(body, _RTMSG.size), _RTA_OIF)
                if found:
                    return found
        return 0

    def _make(self, kind: int, body: bytes, *attributes: bytes) -> None:
        self._ask(kind, _NLM_F_ACK | _NLM_F_CREATE | _NLM_F_EXCL, body, *attributes)

    def _ask(self, kind: int, flags: int, body: bytes, *attributes: bytes) -> list[bytes]:
        """One request; the bodies it was answered with, up to the acknowledgement, the end of a dump or the only answer."""
        self._sequence += 1
        payload = body + b"".join(attributes)
        self._socket.send(_HEADER.pack(_HEADER.size + len(payload), kind, flags | _NLM_F_REQUEST, self._sequence, 0) + payload)
        answers: list[bytes] = []
        while True:
            for answered, body in self._received():
                if answered == _NLMSG_ERROR:
                    code = -struct.unpack_from("=i", body)[0]
                    if code:
                        raise NetlinkError(code, os.strerror(code))
                    return answers
                if answered == _NLMSG_DONE:
                    return answers
                answers.append(body)
            if answers and flags & (_NLM_F_ACK | _NLM_F_DUMP) == 0:
                return answers

    def _received(self) -> Iterator[tuple[int, bytes]]:
        """(type, body) of the next datagram's messages that answer the current request."""
        data = self._socket.recv(1 << 17)
        offset = 0
        while offset + _HEADER.size <= len(data):
            length, kind, _, sequence, _ = _HEADER.unpack_from(data, offset)
            if sequence == self._sequence:
                yield kind, data[offset + _HEADER.size : offset + length]
            offset += (length + 3) & ~3


def _link(index: int = 0, set_flags: int = 0) -> bytes:
    return _IFINFO.pack(socket.AF_UNSPEC, 0, index, set_flags, set_flags)


def _attribute(kind: int, payload: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(payload)
    return _ATTRIBUTE.pack(length, kind) + payload + bytes(-length & 3)


def _text(kind: int, text: str) -> bytes:
    return _attribute(kind, text.encode() + b"\0")


def _u32(kind: int, number: int) -> bytes:
    return _attribute(kind, struct.pack("=I", number))


def _neighbour(index: int, neighbour: Neighbour, forwarding: bool) -> tuple[bytes, bytes, bytes]:
    """Header and attributes of a neighbour's message."""
    family, flags = (_AF_BRIDGE, _NTF_SELF) if forwarding else (socket.AF_INET, 0)
    header = _NDMSG.pack(family, 0, index, _NUD_PERMANENT, flags, 0)
    return header, _attribute(_NDA_DST, socket.inet_aton(neighbour.address)), _attribute(_NDA_LLADDR, neighbour.mac)


def _attributes(body: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    while offset + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, offset)
        if length < _ATTRIBUTE.size:
            return
        yield kind & 0x3FFF, body[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3


def _number(attributes: Iterator[tuple[int, bytes]], wanted: int) -> int:
    """The value of a u32 attribute, 0 if it is missing."""
    return next((int(struct.unpack("=I", payload)[0]) for kind, payload in attributes if kind == wanted), 0)
