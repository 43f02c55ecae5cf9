"""A server on loopback that stands for an API server with a kubelet behind it: pods, logs, exec over WebSockets, port-forward."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from steersman.machinery.meta import Obj
from steersman.machinery.spdy import Data, SpdyConnection, SynStream

Answer = tuple[int, bytes]
Reply = Callable[[bytes, "Peer"], Awaitable[None]]
_PODS = {"resource": "pods", "responseKind": {"kind": "Pod"}, "scope": "Namespaced", "singularResource": "pod", "verbs": ["list"]}
_CORE = {"metadata": {"name": ""}, "versions": [{"version": "v1", "resources": [_PODS]}]}
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Peer:
    """One WebSocket, the server's side. `query` is what was asked for; `received` what came on stdin."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, query: dict[str, list[str]]) -> None:
        self._reader, self._writer, self.query = reader, writer, query
        self.received = b""

    async def send(self, channel: int, data: bytes) -> None:
        self.frame(0x82, bytes((channel,)) + data)
        await self._writer.drain()

    def frame(self, first: int, payload: bytes) -> None:
        size = len(payload)
        head = bytes((first, size)) if size < 126 else struct.pack(">BBH", first, 126, size) if size < 65536 else b""
        self._writer.write((head or struct.pack(">BBQ", first, 127, size)) + payload)

    async def end(self, code: int = 0) -> None:
        """The command's status, and the connection's end."""
        causes = [{"reason": "ExitCode", "message": str(code)}]
        failed = {"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": causes}}
        await self.send(3, json.dumps(failed if code else {"status": "Success"}).encode())
        self.frame(0x88, struct.pack(">H", 1000))
        await self._writer.drain()

    async def read_stdin(self) -> bytes:
        """Until the client closes that channel."""
        while True:
            payload = await self._message()
            if payload == b"\xff\x00":
                return self.received
            if payload[:1] == b"\x00":
                self.received += payload[1:]

    async def _message(self) -> bytes:
        _, second = await self._reader.readexactly(2)
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8), "big")
        key = await self._reader.readexactly(4)
        return bytes(byte ^ key[at % 4] for at, byte in enumerate(await self._reader.readexactly(size)))


class Container:
    """`pods` by name; `logs` by container; `exec` is what a command does; `refusal` answers in place of an upgrade."""

    def __init__(self) -> None:
        self.pods: dict[str, Obj] = {}
        self.logs: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.exec: Callable[[Peer], Awaitable[None]] = Peer.end
        self.refusal: Answer | None = None
        self.port = 0
        self._at_work: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def close(self) -> None:
        """Ends what connections are left, and waits until their handlers have seen it."""
        for writer in self._at_work.values():
            writer.transport.abort()
        if self._at_work:
            await asyncio.wait(self._at_work)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._at_work[task] = writer
        task.add_done_callback(self._at_work.pop)
        try:
            while (head := await reader.readuntil(b"\r\n\r\n")) and await self._one(head.decode(), reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _one(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        method, target, _ = head.split("\r\n", 1)[0].split(" ")
        self.asked.append(f"{method} {target}")
        parts = urlsplit(target)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:])}
        if "upgrade" in headers and self.refusal is None:
            if headers["upgrade"] == "SPDY/3.1":
                writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n\r\n")
                await _echo(reader, writer)
            else:
                accepted = base64.b64encode(hashlib.sha1((headers["sec-websocket-key"] + _GUID).encode()).digest()).decode()
                writer.write(f"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {accepted}\r\n\r\n".encode())
                await self.exec(Peer(reader, writer, parse_qs(parts.query)))
            return False
        sent = await reader.readexactly(int(headers.get("content-length", "0")))
        if method == "POST" and parts.path.endswith("/pods"):  # created, and at work at once
            parts = parts._replace(path=f"{parts.path}/{json.loads(sent)['metadata']['name']}")
        status, body = self.refusal if "upgrade" in headers and self.refusal else self._document(parts.path, parts.query)
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        return True

    def _document(self, path: str, query: str) -> Answer:
        name = path.split("/")[6] if path.count("/") > 5 else ""
        if path.endswith("/log"):
            return 200, self.logs[parse_qs(query)["container"][0]]
        if path in ("/api", "/apis"):
            return 200, json.dumps({"kind": "APIGroupDiscoveryList", "items": [_CORE] if path == "/api" else []}).encode()
        if name in self.pods:
            return 200, json.dumps(self.pods[name]).encode()
        if path.endswith("/pods"):
            return 200, json.dumps({"kind": "PodList", "apiVersion": "v1", "items": list(self.pods.values())}).encode()
        message = f'pods "{name}" not found'
        return 404, json.dumps({"kind": "Status", "reason": "NotFound", "message": message, "code": 404}).encode()


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Port-forward to a server that answers `<port>:` and what it got; port 1 is closed."""
    spdy = SpdyConnection(server=True)
    ports: dict[int, str] = {}
    errors: dict[str, int] = {}
    while data := await reader.read(65536):
        for frame in spdy.feed(data):
            if isinstance(frame, SynStream):
                writer.write(spdy.syn_reply(frame.stream_id))
                if frame.headers["streamtype"] == "error":
                    errors[frame.headers["requestid"]] = frame.stream_id
                    continue
                ports[frame.stream_id] = frame.headers["port"]
                error = errors[frame.headers["requestid"]]
                refused = b"nobody listens" if frame.headers["port"] == "1" else b""
                writer.write(spdy.data(error, refused, fin=True))
            elif isinstance(frame, Data) and frame.stream_id in ports and frame.data:
                writer.write(spdy.data(frame.stream_id, ports[frame.stream_id].encode() + b":" + frame.data, fin=True))
        await writer.drain()


@asynccontextmanager
async def container(folder: Path) -> AsyncIterator[tuple[Container, Path]]:
    """The server, and a kubeconfig that leads to it."""
    made = Container()
    server = await asyncio.start_server(made.handle, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    kubeconfig = folder / "config"
    kubeconfig.write_text(
        f"clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{made.port}'}}}}]\n"
        "contexts: [{name: c, context: {cluster: c}}]\ncurrent-context: c\n"
    )
    async with server:
        yield made, kubeconfig
        await made.close()


def pod(name: str = "web", *containers: str, **more: object) -> Obj:
    listed = [{"name": item, "image": "x"} for item in containers or ("c",)]
    spec = {"containers": listed, **more}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec,
            "status": {"phase": "Running"}}  # fmt: skip
