"""A node's way to the API servers: what goes through, what happens when a server is dead, silent or no longer listed."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop
from tests.fakes.etcd import free_ports

from steersman.cluster import apiservers
from steersman.cluster.balancer import CONNECT_S, LEAVING_S, Balancer, Server
from steersman.cluster.settings import ClusterSettings
from steersman.machinery.clock import VirtualClock
from steersman.machinery.meta import Obj

HOST = "127.0.0.1"
A, B, C = (Server("192.0.2.1", port) for port in (1, 2, 3))


class Api:
    """Says who it is, then gives back what it gets; counts connections."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.writers: list[asyncio.StreamWriter] = []
        self.ended = asyncio.Event()

    async def start(self) -> Server:
        self._server = await asyncio.start_server(self._talk, HOST, 0)
        return Server(HOST, self._server.sockets[0].getsockname()[1])

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        writer.write(self.name.encode() + b"\n")
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()
        self.ended.set()

    def close(self) -> None:
        self._server.close()
        for writer in self.writers:
            writer.transport.abort()


@asynccontextmanager
async def apis(*names: str) -> AsyncIterator[tuple[list[Api], list[Server]]]:
    made = [Api(name) for name in names]
    servers = [await api.start() for api in made]
    try:
        yield made, servers
    finally:
        for api in made:
            api.close()


@asynccontextmanager
async def client(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(120):
            await scenario()

    # asyncio's own loop, and the one that a node runs on.
    for make in (asyncio.new_event_loop, uvloop.new_event_loop):
        with asyncio.Runner(loop_factory=make) as runner:
            runner.run(limited())


def closed_server() -> Server:
    return Server(HOST, free_ports(1)[0])


def test_what_is_said_arrives_whole_both_ways_also_when_one_side_is_slow() -> None:
    said = random.Random(1).randbytes(8 << 20)

    async def scenario() -> None:
        async with (
            apis("one") as (_, servers),
            Balancer(servers, VirtualClock()).serving(0) as port,
            client(port) as (reader, writer),
        ):
            assert await reader.readline() == b"one\n"

            async def say() -> None:
                writer.write(said)
                await writer.drain()

            async with asyncio.TaskGroup() as group:
                group.create_task(say())
                assert await reader.readexactly(len(said)) == said

    run(scenario)


def test_a_server_that_is_dead_is_passed_over_and_the_one_that_answered_is_kept() -> None:
    async def scenario() -> None:
        async with apis("one", "two") as ((one, two), servers):
            dead = closed_server()
            balancer = Balancer([dead, *servers], VirtualClock())
            async with balancer.serving(0) as port:
                for _ in range(3):
                    async with client(port) as (reader, _):
                        assert await reader.readline() == b"one\n"
                assert balancer.known == [*servers, dead]
                one.close()
                async with client(port) as (reader, _):
                    assert await reader.readline() == b"two\n"
                assert len(one.writers) == 3 and len(two.writers) == 1

    run(scenario)


def test_a_server_that_is_cut_off_is_waited_for_two_seconds_and_not_again() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        with socket.create_server((HOST, 0), backlog=0) as silent:
            # Its queue is full, so that the kernel lets further connections wait without an answer.
            stuck = Server(*silent.getsockname())
            fillers = [socket.socket() for _ in range(4)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(stuck)
            async with apis("one") as (_, servers):
                balancer = Balancer([stuck, *servers], clock)
                async with balancer.serving(0) as port:
                    async with client(port) as (reader, _), asyncio.TaskGroup() as group:
                        answered = group.create_task(reader.readline())
                        while not answered.done():
                            await clock.advance(CONNECT_S)
                        assert await answered == b"one\n"
                    async with client(port) as (reader, _):
                        assert await reader.readline() == b"one\n", "without any wait"
            for filler in fillers:
                filler.close()

    run(scenario)


def test_without_any_server_connections_break_at_once() -> None:
    async def scenario() -> None:
        balancer = Balancer([closed_server(), closed_server()], VirtualClock())
        async with balancer.serving(0) as port, client(port) as (reader, _):
            with pytest.raises(ConnectionResetError):
                await reader.read()

    run(scenario)


def test_an_end_in_good_order_arrives_as_such_and_a_broken_connection_as_broken() -> None:
    async def scenario() -> None:
        async with apis("one") as ((one,), servers), Balancer(servers, VirtualClock()).serving(0) as port:
            async with client(port) as (reader, _):
                await reader.readline()
                one.writers[0].write(b"last words")
                one.writers[0].close()
                assert await reader.read() == b"last words"
            async with client(port) as (reader, writer):
                await reader.readline()
                one.ended.clear()
                writer.close()
                await one.ended.wait()
            async with client(port) as (reader, _):
                await reader.readline()
                made = one.writers[2].get_extra_info("socket")
                made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                one.writers[2].transport.abort()
                with pytest.raises(ConnectionResetError):
                    await reader.read()

    run(scenario)


def test_connections_to_a_server_that_left_the_list_end_after_it_had_time_to_finish() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        async with apis("one", "two") as (_, (one, two)):
            balancer = Balancer([one, two], clock)
            async with balancer.serving(0) as port, client(port) as (reader, writer), client(port) as (spare, _):
                assert await reader.readline() == await spare.readline() == b"one\n"
                balancer.take([two])
                assert balancer.known == [two, one], "the former is there for a day when no other answers"
                writer.write(b"still there\n")
                assert await reader.readline() == b"still there\n"
                await clock.advance(LEAVING_S)
                with pytest.raises(ConnectionResetError):
                    await reader.read()
                async with client(port) as (again, _):
                    assert await again.readline() == b"two\n"

    run(scenario)


@pytest.mark.parametrize(
    ("well", "after_s", "answers"),
    [
        ({"one", "two"}, 60, b"one\n"),
        ({"two"}, 6, b"one\n"),
        ({"two"}, 11, b"two\n"),
        (set[str](), 60, b"one\n"),
    ],
)
def test_a_server_that_answers_but_is_not_ready_is_left_for_one_that_is(well: set[str], after_s: float, answers: bytes) -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        async with apis("one", "two") as (_, servers):
            names = dict(zip(servers, ("one", "two"), strict=True))
            balancer = Balancer(servers, clock)

            async def ready(server: Server) -> bool:
                return names[server] in well

            async with balancer.serving(0) as port, asyncio.TaskGroup() as group:
                async with client(port) as (reader, _):
                    assert await reader.readline() == b"one\n"
                    watching = group.create_task(apiservers.watch_over(balancer, ready, clock))
                    await clock.advance(after_s)
                    if answers == b"two\n":
                        with pytest.raises(ConnectionResetError):
                            await reader.read()
                async with client(port) as (reader, _):
                    assert await reader.readline() == answers
                watching.cancel()

    run(scenario)


def test_a_list_with_the_server_in_use_moves_nobody_and_an_empty_one_is_no_news() -> None:
    balancer = Balancer([B], VirtualClock(), random.Random(1))
    balancer.take([A, B, C])
    assert balancer.known[0] == B and set(balancer.known) == {A, B, C}
    balancer.take([])
    assert set(balancer.known) == {A, B, C}


def test_nodes_that_know_nothing_yet_spread_over_the_servers() -> None:
    first = []
    for seed in range(40):
        balancer = Balancer([], VirtualClock(), random.Random(seed))
        balancer.take([A, B, C])
        first.append(balancer.known[0])
    assert set(first) == {A, B, C}


def endpoint_slice(*endpoints: Obj, port: int = 6443) -> Obj:
    return {"endpoints": list(endpoints), "ports": [{"name": "https", "port": port}]}


def test_servers_are_read_from_the_endpoints_that_are_ready() -> None:
    slices = [
        endpoint_slice({"addresses": ["192.0.2.1"], "conditions": {"ready": True}}, {"addresses": ["192.0.2.2"]}, port=1),
        endpoint_slice({"addresses": ["192.0.2.3"], "conditions": {"ready": False}}),
        endpoint_slice({"addresses": ["2001:db8::1"]}),
        {},
    ]
    assert list(map(str, apiservers.listed(slices))) == ["192.0.2.1:1", "192.0.2.2:1", "[2001:db8::1]:6443"]


@pytest.mark.parametrize(
    ("kept", "found"),
    [
        ('["192.0.2.5:6443", "[2001:db8::1]:6443"]', ["192.0.2.5:6443", "[2001:db8::1]:6443"]),
        ('["192.0.2.9:6443"]', ["192.0.2.9:6443"]),
        (None, []),
        ("half a fi", []),
        ('{"a": 1}', []),
        ("[1]", []),
    ],
)
def test_the_servers_of_last_time_are_tried_first_and_those_of_the_join_at_any_rate(
    tmp_path: Path, kept: str | None, found: list[str]
) -> None:
    path = tmp_path / "api-servers.json"
    if kept is not None:
        path.write_text(kept)
    settings = ClusterSettings(
        node_name="n",
        advertise_address="192.0.2.7",
        joined_server="https://192.0.2.1:6443",
        joined_as="api.example:443",
    )
    servers = apiservers.known(path, settings)
    assert list(map(str, servers)) == [*found, "api.example:443", "192.0.2.1:6443"]
    apiservers.write(path, servers)
    assert apiservers.known(path, settings) == servers
