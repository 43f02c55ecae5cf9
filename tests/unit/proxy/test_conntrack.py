"""UDP flows to endpoints that are gone: which they are, and that the kernel forgets them."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
from typing import Any

import pytest

from steersman.proxy.conntrack import Flow, parse, stale, udp_backends
from steersman.proxy.services import Endpoint, ServicePort

SERVICE = ("10.96.1.1", 80)
POD, GONE = ("10.244.0.2", 8080), ("10.244.0.3", 8080)


def port(**more: Any) -> ServicePort:
    return ServicePort(
        **{
            "namespace": "default",
            "name": "web",
            "port_name": "",
            "protocol": "udp",
            "port": 80,
            "node_port": 0,
            "cluster_ips": ("10.96.1.1",),
            "external_ips": (),
            "source_ranges": (),
            "balancer_ips": (),
            "external_local": False,
            "internal_local": False,
            "affinity_s": 0,
            "cluster": (),
            "local": (),
            "serving": (Endpoint(*POD),),
            **more,
        }
    )


def test_a_service_is_asked_at_all_its_addresses_and_at_its_node_port() -> None:
    asked = udp_backends([port(node_port=30080, external_ips=("203.0.113.1",), balancer_ips=("203.0.113.2",))], ["192.0.2.1"])
    assert asked == dict.fromkeys((SERVICE, ("203.0.113.1", 80), ("203.0.113.2", 80), ("192.0.2.1", 30080)), frozenset({POD}))


def test_tcp_notices_by_itself() -> None:
    assert udp_backends([port(protocol="tcp")], ["192.0.2.1"]) == {}


@pytest.mark.parametrize(
    ("asked", "answering", "ended"),
    [
        (SERVICE, POD, False),
        (SERVICE, GONE, True),
        # The client began before there were rules.
        (SERVICE, SERVICE, True),
        (("8.8.8.8", 53), ("8.8.8.8", 53), False),
    ],
)
def test_flows_are_ended_if_none_of_the_endpoints_answers(asked: Any, answering: Any, ended: bool) -> None:
    assert bool(stale([Flow(asked, answering, b"")], udp_backends([port()], []))) == ended


def attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind) + payload + b"\0" * (-len(payload) % 4)


def direction(kind: int, source: tuple[str, int], destination: tuple[str, int], protocol: int) -> bytes:
    addresses = attribute(1, socket.inet_aton(source[0])) + attribute(2, socket.inet_aton(destination[0]))
    ports = attribute(1, bytes((protocol,))) + attribute(2, struct.pack("!H", source[1]))
    ports += attribute(3, struct.pack("!H", destination[1]))
    return attribute(0x8000 | kind, attribute(0x8001, addresses) + attribute(0x8002, ports))


def test_a_flow_is_read_from_the_kernels_words() -> None:
    client = ("10.244.0.9", 12345)
    there, back = direction(1, client, SERVICE, 17), direction(2, POD, client, 17)
    assert parse(there + back + attribute(3, b"\0\0\0\1")) == Flow(SERVICE, POD, there)
    assert parse(direction(1, client, SERVICE, 6) + direction(2, POD, client, 6)) is None
    assert parse(b"") is None


IN_A_NAMESPACE = """
import socket
from steersman.proxy.conntrack import end_stale_flows

asked, pod = ("192.0.2.10", 53), ("127.0.0.1", 5353)
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(pod)
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.bind(("127.0.0.1", 12345))
client.sendto(b"hello", asked)
assert server.recvfrom(9)[1] == ("127.0.0.1", 12345)
assert end_stale_flows({asked: frozenset({pod})}) == 0
assert end_stale_flows({("192.0.2.11", 53): frozenset()}) == 0
assert end_stale_flows({asked: frozenset()}) == 1
assert end_stale_flows({asked: frozenset()}) == 0
"""


@pytest.mark.root
def test_the_kernel_forgets_a_flow_to_an_endpoint_that_is_gone() -> None:
    table = """table ip t { chain out { type nat hook output priority -100;
      ip daddr 192.0.2.10 udp dport 53 dnat to 127.0.0.1:5353; }; }"""
    script = f"ip link set lo up; ip route add 192.0.2.0/24 dev lo; nft '{table}'; exec {sys.executable} -"
    done = subprocess.run(
        ["unshare", "--net", "sh", "-ec", script], input=IN_A_NAMESPACE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
