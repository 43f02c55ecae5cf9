"""exec and port-forward over real sockets on loopback: WebSocket and SPDY, against a process that echoes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web

from steersman.cri.interface import RuntimeFault
from steersman.kubelet.server.listening import server_of
from steersman.kubelet.server.streaming import Streaming
from steersman.machinery import spdy
from steersman.machinery.meta import Obj

if TYPE_CHECKING:
    from tests.unit.kubelet.conftest import World


class Echo:
    """A process that writes its input to stdout, `on stderr` to stderr, and ends with its input."""

    def __init__(self, code: int) -> None:
        self.code = code
        self.out: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.err: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.err.put_nowait(b"on stderr")
        self.sizes: list[tuple[int, int]] = []

    async def read_stdout(self) -> bytes | None:
        return await self.out.get()

    async def read_stderr(self) -> bytes | None:
        return await self.err.get()

    async def write_stdin(self, data: bytes) -> None:
        await self.out.put(b"echo " + data)
        if data == b"bye":
            await self.close_stdin()

    async def close_stdin(self) -> None:
        await self.out.put(None)
        await self.err.put(None)

    async def resize(self, width: int, height: int) -> None:
        self.sizes.append((width, height))

    async def wait(self) -> int:
        if self.code < 0:
            raise RuntimeFault("failed to start exec: no such program")
        return self.code

    async def close(self) -> None: ...


class Upper:
    """A tunnel to something that answers in capitals and hangs up after `BYE`."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[bytes] = asyncio.Queue()

    async def read(self) -> bytes:
        return await self.answers.get()

    async def write(self, data: bytes) -> None:
        await self.answers.put(data.upper())
        if data == b"bye":
            await self.answers.put(b"")

    async def close_write(self) -> None: ...
    async def close(self) -> None: ...


@asynccontextmanager
async def server(world: World) -> AsyncIterator[tuple[int, list[Echo]]]:
    """(port, processes made): every request is an exec in `c1`, or a port-forward below /portForward."""
    made: list[Echo] = []
    runtime: Any = world.runtime

    async def run(container_id: str, command: Sequence[str], *, tty: bool, stdin: bool) -> Echo:
        made.append(Echo(int(command[-1])))
        return made[-1]

    async def dial(sandbox_id: str, port: int) -> Upper:
        # As a real one it takes a moment.
        for _ in range(10):
            await asyncio.get_running_loop().run_in_executor(None, len, "")
        if port == 1:
            raise ConnectionRefusedError("connection refused")
        return Upper()

    async def join(container_id: str, *, tty: bool, stdin: bool) -> Echo:
        made.append(Echo(4))
        return made[-1]

    runtime.exec, runtime.attach, runtime.port_forward = run, join, dial
    streaming = Streaming(runtime, world.clock)

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.path.startswith("/portForward"):
            return await streaming.port_forward(request, "s1")
        return await streaming.command(request, "c1", attach=request.path.startswith("/attach"))

    listening = server_of(handle, 0)
    sockets = await asyncio.get_running_loop().create_server(listening, "127.0.0.1", 0)
    try:
        yield sockets.sockets[0].getsockname()[1], made
    finally:
        sockets.close()
        await listening.shutdown(1)


QUERY = "input=1&output=1&error=1&command=sh&command="


@pytest.mark.parametrize("protocol", ["v5.channel.k8s.io", "v4.channel.k8s.io"])
def test_exec_over_a_websocket_carries_streams_sizes_and_the_exit_code(world: World, protocol: str) -> None:
    async def scenario() -> None:
        async with server(world) as (port, made), aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{port}/exec/ns/web/c?{QUERY}3"
            async with session.ws_connect(url, protocols=[protocol]) as socket:
                assert socket.protocol == protocol
                await socket.send_bytes(b'\x04{"Width":80,"Height":24}')
                await socket.send_bytes(b"\x00hi")
                seen = [await socket.receive_bytes() for _ in range(2)]
                assert sorted(seen) == [b"\x01echo hi", b"\x02on stderr"]
                await socket.send_bytes(b"\xff\x00" if protocol.startswith("v5") else b"\x00bye")
                last = await socket.receive_bytes()
                if last[:1] == b"\x01":
                    last = await socket.receive_bytes()
                status = json.loads(last[1:])
                assert last[0] == 3 and status["reason"] == "NonZeroExitCode"
                assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]
                assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
                assert made[0].sizes == [(80, 24)]

    asyncio.run(scenario())


@pytest.mark.parametrize("path", ["exec/ns/web/c?output=1&command=0", "portForward/ns/web"])
def test_who_asks_for_unknown_subprotocols_is_refused(world: World, path: str) -> None:
    async def scenario() -> None:
        async with server(world) as (port, made), aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as fault:
                await session.ws_connect(f"http://127.0.0.1:{port}/{path}", protocols=["v9.channel.k8s.io"])
            assert fault.value.status == 403 and not made

    asyncio.run(scenario())


def test_a_command_may_be_as_long_as_go_takes_it(world: World) -> None:
    async def scenario() -> None:
        async with server(world) as (port, _), aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{port}/exec/ns/web/c?output=1&command=echo&command={'a' * 250_000}&command=0"
            async with session.ws_connect(url, protocols=["v5.channel.k8s.io"]) as socket:
                assert socket.protocol == "v5.channel.k8s.io"

    asyncio.run(scenario())


def test_attach_succeeds_though_the_container_ends_with_a_code(world: World) -> None:
    """Else `kubectl run -i` says "couldn't attach to pod, falling back to streaming logs" and prints everything twice."""

    async def scenario() -> None:
        async with server(world) as (port, _), aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{port}/attach/ns/web/c?input=1&output=1"
            async with session.ws_connect(url, protocols=["v5.channel.k8s.io"]) as socket:
                await socket.send_bytes(b"\xff\x00")
                assert await socket.receive_bytes() == b'\x03{"metadata":{},"status":"Success"}'

    asyncio.run(scenario())


def test_a_command_that_the_runtime_cannot_start_after_all_is_told_in_the_status(world: World) -> None:
    """containerd says so at the end of the streams. The connection used to break off instead."""

    async def scenario() -> None:
        async with server(world) as (port, _), aiohttp.ClientSession() as session:
            async with session.ws_connect(f"http://127.0.0.1:{port}/exec?{QUERY}-1", protocols=["v5.channel.k8s.io"]) as socket:
                await socket.send_bytes(b"\xff\x00")
                received = [message.data async for message in socket]
                status = json.loads(received[-1].removeprefix(b"\x03"))
                assert (status["reason"], status["code"]) == ("InternalError", 500)
                assert status["message"] == "Internal error occurred: failed to start exec: no such program"

    asyncio.run(scenario())


class SpdyClient:
    """Just enough of a SPDY client: opens streams, gathers what comes on each."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.spdy = spdy.SpdyConnection(server=False)
        self.got: dict[int, bytes] = {}
        self.ended: set[int] = set()

    @classmethod
    async def upgrade(cls, port: int, path: str, versions: str) -> tuple[SpdyClient, str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = [f"POST {path} HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: SPDY/3.1", "Content-Length: 0"]
        head += [f"X-Stream-Protocol-Version: {version}" for version in versions.split(",")]
        writer.write("\r\n".join([*head, "", ""]).encode())
        return cls(reader, writer), (await reader.readuntil(b"\r\n\r\n")).decode()

    def open(self, **headers: str) -> int:
        stream_id, data = self.spdy.new_stream(headers)
        self.writer.write(data)
        return stream_id

    def send(self, stream_id: int, data: bytes, *, fin: bool = False) -> None:
        self.writer.write(self.spdy.data(stream_id, data, fin=fin))

    async def until_ended(self, *streams: int) -> None:
        while not set(streams) <= self.ended:
            data = await self.reader.read(65536)
            assert data, "the server hung up too early"
            for frame in self.spdy.feed(data):
                if isinstance(frame, spdy.Data):
                    self.got[frame.stream_id] = self.got.get(frame.stream_id, b"") + frame.data
                    if frame.fin:
                        self.ended.add(frame.stream_id)


def test_exec_over_spdy_as_older_clients_do_it(world: World) -> None:
    async def scenario() -> None:
        async with server(world) as (port, _):
            versions = "v5.channel.k8s.io,v4.channel.k8s.io,v3.channel.k8s.io"
            client, head = await SpdyClient.upgrade(port, f"/exec/ns/web/c?{QUERY}0", versions)
            assert head.startswith("HTTP/1.1 101") and "X-Stream-Protocol-Version: v4.channel.k8s.io" in head
            error, stdin, stdout, stderr = (client.open(streamType=kind) for kind in ("error", "stdin", "stdout", "stderr"))
            client.send(stdin, b"hi")
            client.send(stdin, b"", fin=True)
            await client.until_ended(error, stdout, stderr)
            assert client.got[stdout] == b"echo hi"
            assert client.got[stderr] == b"on stderr"
            assert json.loads(client.got[error]) == {"metadata": {}, "status": "Success"}
            assert await client.reader.read() == b""
            client.writer.close()

    asyncio.run(scenario())


def test_a_spdy_client_without_a_common_version_is_refused(world: World) -> None:
    async def scenario() -> None:
        async with server(world) as (port, _):
            client, head = await SpdyClient.upgrade(port, f"/exec/ns/web/c?{QUERY}0", "v9.channel.k8s.io")
            assert head.startswith("HTTP/1.1 403") and "X-Accepted-Stream-Protocol-Versions: v4.channel.k8s.io" in head
            client.writer.close()

    asyncio.run(scenario())


def test_port_forward_over_spdy_pairs_streams_by_request(world: World) -> None:
    async def scenario() -> None:
        async with server(world) as (port, _):
            client, head = await SpdyClient.upgrade(port, "/portForward/ns/web", "portforward.k8s.io")
            assert head.startswith("HTTP/1.1 101")
            names: Obj = {"port": "80", "requestID": "0"}
            error = client.open(streamType="error", **names)
            data = client.open(streamType="data", **names)
            client.send(data, b"hello ")
            client.send(data, b"bye")
            refused: Obj = {"port": "1", "requestID": "1"}
            told = client.open(streamType="error", **refused)
            client.open(streamType="data", **refused)
            await client.until_ended(error, data, told)
            assert client.got[data] == b"HELLO BYE"
            assert client.got[told] == b"error forwarding port 1 to pod: connection refused"
            client.writer.close()

    asyncio.run(scenario())


def test_port_forward_tunnels_spdy_in_a_websocket_as_kubectl_does(world: World) -> None:
    async def scenario() -> None:
        async with server(world) as (port, _), aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{port}/portForward/ns/web"
            async with session.ws_connect(url, protocols=["SPDY/3.1+portforward.k8s.io"]) as socket:
                assert socket.protocol == "SPDY/3.1+portforward.k8s.io"
                framing = spdy.SpdyConnection(server=False)
                _, first = framing.new_stream({"streamType": "error", "port": "80", "requestID": "0"})
                data, second = framing.new_stream({"streamType": "data", "port": "80", "requestID": "0"})
                await socket.send_bytes(first + second + framing.data(data, b"bye"))
                got, ended = b"", False
                while not ended:
                    for frame in framing.feed(await socket.receive_bytes()):
                        if isinstance(frame, spdy.Data) and frame.stream_id == data:
                            got, ended = got + frame.data, ended or frame.fin
                assert got == b"BYE"

    asyncio.run(scenario())


def test_port_forward_over_websocket_channels_as_the_python_client_does(world: World) -> None:
    async def scenario() -> None:
        async with server(world) as (port, _), aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{port}/portForward/ns/web?ports=80"
            async with session.ws_connect(url, protocols=["v4.channel.k8s.io"]) as socket:
                assert [await socket.receive_bytes() for _ in range(2)] == [b"\x00P\x00", b"\x01P\x00"]
                await socket.send_bytes(b"\x00hey")
                assert await socket.receive_bytes() == b"\x00HEY"

    asyncio.run(scenario())


def test_a_port_forward_over_websocket_channels_ends_when_all_its_ports_have(world: World) -> None:
    async def scenario() -> None:
        async with server(world) as (port, _), aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{port}/portForward/ns/web?ports=80&ports=1"
            async with session.ws_connect(url, protocols=["v4.channel.k8s.io"]) as socket:
                # What is said before anybody has been dialled arrives as well.
                await socket.send_bytes(b"\x00bye")
                seen = sorted([await socket.receive_bytes() for _ in range(6)])
                assert seen[1:] == [
                    b"\x00P\x00", b"\x01P\x00", b"\x02\x01\x00", b"\x03\x01\x00",
                    b"\x03error forwarding port 1 to pod: connection refused",
                ]  # fmt: skip
                assert seen[0] == b"\x00BYE"
                assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE

    asyncio.run(scenario())
