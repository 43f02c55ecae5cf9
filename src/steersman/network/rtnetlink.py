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

_RTM_NEWLINK, _RTM_DELLINK, _RTM_GETLINK, _RTM_SETLINK, _RTM_NEWADDR, _RTM_NEWROUTE, _RTM_GETROUTE = 16, 17, 18, 19, 20, 24, 26
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_DUMP = 0x1, 0x4, 0x300
_NLM_F_REPLACE, _NLM_F_EXCL, _NLM_F_CREATE = 0x100, 0x200, 0x400
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_PROTINFO, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 1, 3, 4, 10, 12, 18, 28
_IFLA_BRPORT_MODE, _AF_BRIDGE, _NLA_F_NESTED = 4, 7, 0x8000
_INFO_KIND, _INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_IFF_UP = 1
_RT_TABLE_MAIN, _RTPROT_STATIC, _RTN_UNICAST = 254, 4, 1
SCOPE_UNIVERSE, SCOPE_LINK = 0, 253

_HEADER = struct.Struct("=IHHII")
_IFINFO = struct.Struct("=BxHiII")
_IFADDR = struct.Struct("=BBBBI")
_RTMSG = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE = struct.Struct("=HH")


class NetlinkError(OSError):
    """The kernel refused a request; `errno` says why."""


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

    def set_route(self, destination: str, index: int, *, gateway: str = "", scope: int = SCOPE_UNIVERSE) -> None:
        """A route to `a.b.c.d/n`, or to everything (`default`), in place of the one there is."""
        address, _, length = "0.0.0.0/0".partition("/") if destination == "default" else destination.partition("/")
        kind = (_RT_TABLE_MAIN, _RTPROT_STATIC, scope, _RTN_UNICAST)
        body = _RTMSG.pack(socket.AF_INET, int(length), 0, 0, *kind, 0)
        attributes = [_u32(_RTA_OIF, index)]
        if int(length):
            attributes.append(_attribute(_RTA_DST, socket.inet_aton(address)))
        if gateway:
            attributes.append(_attribute(_RTA_GATEWAY, socket.inet_aton(gateway)))
        self._ask(_RTM_NEWROUTE, _NLM_F_ACK | _NLM_F_CREATE | _NLM_F_REPLACE, body, *attributes)

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
