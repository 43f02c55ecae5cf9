"""The DNS zone and its server, asked as pods ask: over UDP and TCP, with a fake upstream on loopback never needed."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest
import uvloop
from dnslib import QTYPE, RCODE, RR, A, DNSRecord

from steersman.dns import answer, zone
from steersman.dns import server as server_module
from steersman.dns.server import DNSServer
from steersman.dns.zone import Zone
from steersman.machinery.meta import Obj

DOMAIN = "cluster.local"


def service(name: str, **spec: Any) -> Obj:
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    return {"metadata": {"namespace": "shop", "name": name}, "spec": {"type": "ClusterIP", "ports": ports, **spec}}


def slice_of(name: str, *endpoints: Obj) -> Obj:
    return {
        "metadata": {"namespace": "shop", "name": f"{name}-x", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": list(endpoints),
    }


def cluster() -> Zone:
    services = [
        service("web", clusterIP="10.96.0.7", clusterIPs=["10.96.0.7"]),
        service("db", clusterIP="None"),
        service("empty", clusterIP="None"),
        service("out", type="ExternalName", externalName="Example.org."),
    ]
    slices = [
        slice_of(
            "db",
            {"addresses": ["10.244.0.5"], "hostname": "db-0"},
            {"addresses": ["10.244.0.6"]},
            {"addresses": ["10.244.0.9"], "conditions": {"ready": False}},
        )
    ]
    return zone.build(DOMAIN, services, slices, ["shop", "default"])


def ask(name: str, kind: str = "A") -> tuple[str, list[str]] | None:
    reply = answer.answer(cluster(), DNSRecord.question(name, kind))
    if reply is None:
        return None
    return RCODE[reply.header.rcode], sorted(str(record.rdata) for record in reply.rr)


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("web.shop.svc.cluster.local", "A", ("NOERROR", ["10.96.0.7"])),
        ("WEB.shop.svc.Cluster.Local.", "A", ("NOERROR", ["10.96.0.7"])),
        ("web.shop.svc.cluster.local", "AAAA", ("NOERROR", [])),
        ("_http._tcp.web.shop.svc.cluster.local", "SRV", ("NOERROR", ["0 100 80 web.shop.svc.cluster.local."])),
        ("db.shop.svc.cluster.local", "A", ("NOERROR", ["10.244.0.5", "10.244.0.6"])),
        ("db-0.db.shop.svc.cluster.local", "A", ("NOERROR", ["10.244.0.5"])),
        ("10-244-0-6.db.shop.svc.cluster.local", "A", ("NOERROR", ["10.244.0.6"])),
        ("empty.shop.svc.cluster.local", "A", ("NXDOMAIN", [])),
        ("nothing.shop.svc.cluster.local", "A", ("NXDOMAIN", [])),
        ("shop.svc.cluster.local", "A", ("NOERROR", [])),
        ("web.absent.svc.cluster.local", "A", ("NXDOMAIN", [])),
        ("out.shop.svc.cluster.local", "A", ("NOERROR", ["example.org."])),
        ("10-244-0-77.shop.pod.cluster.local", "A", ("NOERROR", ["10.244.0.77"])),
        ("10-244-0-77.absent.pod.cluster.local", "A", ("NXDOMAIN", [])),
        ("bad.shop.pod.cluster.local", "A", ("NXDOMAIN", [])),
        ("dns-version.cluster.local", "TXT", ("NOERROR", ['"1.1.0"'])),
        ("7.0.96.10.in-addr.arpa", "PTR", ("NOERROR", ["web.shop.svc.cluster.local."])),
        ("5.0.244.10.in-addr.arpa", "PTR", ("NOERROR", ["db-0.db.shop.svc.cluster.local."])),
        ("debian.org", "A", None),
        ("1.0.0.127.in-addr.arpa", "PTR", None),
    ],
)
def test_names_resolve_as_the_dns_specification_says(name: str, kind: str, expected: tuple[str, list[str]] | None) -> None:
    assert ask(name, kind) == expected


def test_an_answer_too_big_for_a_datagram_is_truncated_and_whole_by_tcp() -> None:
    many = [{"addresses": [f"10.244.1.{number}"]} for number in range(100)]
    big = zone.build(DOMAIN, [service("db", clusterIP="None")], [slice_of("db", *many)], ["shop"])
    query = DNSRecord.question("db.shop.svc.cluster.local")

    async def scenario() -> tuple[Any, Any]:
        async with asyncio.TaskGroup() as group:
            server = DNSServer(lambda: big, list, group)
            got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            server.on_datagram(bytes(query.pack()), got.set_result)
            by_udp = DNSRecord.parse(await got)
            await server.start("127.0.0.1", 0)
            assert server._server is not None
            port = server._server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            packed = bytes(query.pack())
            writer.write(struct.pack("!H", len(packed)) + packed)
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            by_tcp = DNSRecord.parse(await reader.readexactly(length))
            writer.close()
            await writer.wait_closed()
            server.close()
        return by_udp, by_tcp

    by_udp, by_tcp = asyncio.run(scenario())
    assert by_udp.header.tc == 1 and not by_udp.rr
    assert by_tcp.header.tc == 0 and len(by_tcp.rr) == 100


def test_a_cached_answer_carries_the_new_questions_id_and_is_forgotten_when_the_zone_changes() -> None:
    zones = [cluster()]
    first = DNSRecord.question("web.shop.svc.cluster.local")
    second = DNSRecord.question("web.shop.svc.cluster.local")
    first.header.id, second.header.id = 1, 2

    async def scenario() -> list[Any]:
        replies: list[Any] = []
        async with asyncio.TaskGroup() as group:
            server = DNSServer(lambda: zones[0], list, group)
            for query in (first, second, second):
                if len(replies) == 2:
                    zones[0] = zone.build(DOMAIN, [], [], ["shop"])
                got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
                server.on_datagram(bytes(query.pack()), got.set_result)
                replies.append(DNSRecord.parse(await got))
        return replies

    one, two, three = asyncio.run(scenario())
    assert [(r.header.id, [str(rr.rdata) for rr in r.rr]) for r in (one, two)] == [(1, ["10.96.0.7"]), (2, ["10.96.0.7"])]
    assert RCODE[three.header.rcode] == "NXDOMAIN"


@pytest.mark.parametrize("data", [b"", b"\0" * 12, b"\xff" * 40, b"\1\2\1\0\0\1\0\0\0\0\0\0\1a\0\0"])
def test_bytes_that_are_no_query_are_ignored(data: bytes) -> None:
    assert answer.parse(data) is None


def test_names_outside_without_any_upstream_fail_with_servfail() -> None:
    async def scenario() -> Any:
        async with asyncio.TaskGroup() as group:
            server = DNSServer(cluster, list, group)
            got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            server.on_datagram(bytes(DNSRecord.question("debian.org").pack()), got.set_result)
            return DNSRecord.parse(await got)

    reply = asyncio.run(scenario())
    assert RCODE[reply.header.rcode] == "SERVFAIL"
    assert QTYPE[reply.q.qtype] == "A"


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_datagrams_are_answered_on_both_event_loops(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Under uvloop every datagram was dropped: its transports are no asyncio.DatagramTransport."""

    async def scenario() -> Any:
        async with asyncio.TaskGroup() as group:
            server = DNSServer(cluster, list, group)
            await server.start("127.0.0.1", 0)
            port = server._transports[0].get_extra_info("sockname")[1]
            loop = asyncio.get_running_loop()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.setblocking(False)
                client.connect(("127.0.0.1", port))
                await loop.sock_sendall(client, bytes(DNSRecord.question("web.shop.svc.cluster.local").pack()))
                async with asyncio.timeout(60):
                    reply = DNSRecord.parse(await loop.sock_recv(client, 512))
            server.close()
        return reply

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        reply = runner.run(scenario())
    assert [str(record.rdata) for record in reply.rr] == ["10.96.0.7"]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("A", ["example.org.", "192.0.2.7"]),
        # Who asks for the other name itself has it.
        ("CNAME", ["example.org."]),
    ],
)
def test_a_name_outside_that_an_answer_ends_in_is_followed(
    kind: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def upstream(_server: str, data: bytes) -> bytes:
        asked = DNSRecord.parse(data)
        assert (str(asked.q.qname), asked.q.qtype) == ("example.org.", QTYPE.A)
        reply = asked.reply()
        reply.add_answer(RR(asked.q.qname, QTYPE.A, rdata=A("192.0.2.7"), ttl=60))
        return bytes(reply.pack())

    monkeypatch.setattr(server_module, "_ask", upstream)

    async def scenario() -> Any:
        async with asyncio.TaskGroup() as group:
            server = DNSServer(cluster, lambda: ["192.0.2.53"], group)
            got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            server.on_datagram(bytes(DNSRecord.question("out.shop.svc.cluster.local", kind).pack()), got.set_result)
            return DNSRecord.parse(await got)

    assert [str(record.rdata) for record in asyncio.run(scenario()).rr] == expected
