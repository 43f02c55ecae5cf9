"""UDP flows that the kernel still sends where no endpoint is any more, and how they are ended.

A translated flow keeps its destination for as long as its client goes on sending: rules are asked about first packets only. So
a client that sends from one port for ever (a resolver, a metrics agent) would talk to a pod that is gone, or to the service's
address itself if it began before there were rules. TCP notices by itself. Run after the rules were brought up to date, in a
thread: netlink blocks.

Source: upstream pkg/proxy/conntrack; messages: linux/netfilter/nfnetlink_conntrack.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from steersman.proxy.services import ServicePort

Frontend = tuple[str, int]
Backends = dict[Frontend, frozenset[tuple[str, int]]]

_NETLINK_NETFILTER = 12
_CTNETLINK, _GET, _DELETE = 1 << 8, 1, 2
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_ORIGINAL, _REPLY = 1, 2
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_IPV4_SOURCE, _IPV4_DESTINATION = 1, 2
_PROTO_NUMBER, _PROTO_SOURCE, _PROTO_DESTINATION = 1, 2, 3
_TYPE_MASK = 0x3FFF
_HEADER, _FAMILY, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BBH"), struct.Struct("=HH")
_PORT = struct.Struct("!H")
_BUFFER = 1 << 18
_NO_SUCH_FLOW = 2


class Flow(NamedTuple):
    """Where a client sends, and who answers. `key`: the attribute by which the kernel finds it again."""

    asked: Frontend
    answering: tuple[str, int]
    key: bytes


def udp_backends(ports: Iterable[ServicePort], node_ips: Iterable[str]) -> Backends:
    """Every address and port at which a UDP service is asked, with the endpoints that may answer."""
    nodes = tuple(node_ips)
    found: Backends = {}
    for port in ports:
        if port.protocol != "udp":
            continue
        endpoints = frozenset((each.ip, each.port) for each in port.serving)
        for ip in (*port.cluster_ips, *port.external_ips, *port.balancer_ips):
            found[ip, port.port] = endpoints
        for ip in nodes if port.node_port else ():
            found[ip, port.node_port] = endpoints
    return found


def stale(flows: Iterable[Flow], backends: Backends) -> list[Flow]:
    """Those that are answered by none of the endpoints. Flows to anything that is no service are nobody's business here."""
    return [flow for flow in flows if (known := backends.get(flow.asked)) is not None and flow.answering not in known]


def end_stale_flows(backends: Backends) -> int:
    """How many were ended. Raises OSError if the kernel's table can't be read. Blocks."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER) as kernel:
        kernel.bind((0, 0))
        ended = stale(_udp_flows(kernel), backends)
        for flow in ended:
            _delete(kernel, flow)
        return len(ended)


def _udp_flows(kernel: socket.socket) -> list[Flow]:
    kernel.send(_message(_GET, _REQUEST | _DUMP, b""))
    return [flow for body in _answers(kernel) if (flow := parse(body)) is not None]


def _delete(kernel: socket.socket, flow: Flow) -> None:
    kernel.send(_message(_DELETE, _REQUEST | _ACK, flow.key))
    for _ in _answers(kernel):
        pass


def _message(kind: int, flags: int, attributes: bytes) -> bytes:
    body = _FAMILY.pack(socket.AF_INET, 0, 0) + attributes
    return _HEADER.pack(_HEADER.size + len(body), _CTNETLINK | kind, flags, 1, 0) + body


def _answers(kernel: socket.socket) -> Iterator[bytes]:
    """The attributes of each answer, until the kernel says that this was all."""
    while True:
        data = kernel.recv(_BUFFER)
        at = 0
        while at + _HEADER.size <= len(data):
            length, kind, _flags, _sequence, _port = _HEADER.unpack_from(data, at)
            body = data[at + _HEADER.size : at + length]
            at += (length + 3) & ~3
            if kind == _DONE:
                return
            if kind == _ERROR:
                (code,) = struct.unpack_from("=i", body)
                # A flow may have ended by itself in between.
                if code and -code != _NO_SUCH_FLOW:
                    raise OSError(-code, "connection tracking refused a request")
                return
            yield body[_FAMILY.size :]


def parse(attributes: bytes) -> Flow | None:
    """A flow of UDP over IPv4, None for any other."""
    original = reply = key = b""
    for kind, payload, whole in _attributes(attributes):
        if kind == _ORIGINAL:
            original, key = payload, whole
        elif kind == _REPLY:
            reply = payload
    there, back = _tuple(original), _tuple(reply)
    if there is None or back is None:
        return None
    return Flow(there[1], back[0], key)


def _tuple(attributes: bytes) -> tuple[Frontend, Frontend] | None:
    """(source, destination), None if it is not UDP over IPv4."""
    parts = {kind: payload for kind, payload, _ in _attributes(attributes)}
    addresses = {kind: payload for kind, payload, _ in _attributes(parts.get(_TUPLE_IP, b""))}
    ports = {kind: payload for kind, payload, _ in _attributes(parts.get(_TUPLE_PROTO, b""))}
    if ports.get(_PROTO_NUMBER, b"")[:1] != bytes((socket.IPPROTO_UDP,)):
        return None
    if _IPV4_SOURCE not in addresses or _IPV4_DESTINATION not in addresses:
        return None
    return (
        (socket.inet_ntoa(addresses[_IPV4_SOURCE]), _PORT.unpack(ports[_PROTO_SOURCE])[0]),
        (socket.inet_ntoa(addresses[_IPV4_DESTINATION]), _PORT.unpack(ports[_PROTO_DESTINATION])[0]),
    )


def _attributes(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """(type, payload, the whole with its header and padding)."""
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            return
        end = at + ((length + 3) & ~3)
        yield kind & _TYPE_MASK, data[at + _ATTRIBUTE.size : at + length], data[at:end]
        at = end
