"""The kubelet's server, asked by the API server's identity for what is not there, in ways that are none."""

from __future__ import annotations

import asyncio
import itertools
import logging
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from tests.unit.kubelet.conftest import world as world  # a fixture
from tests.unit.kubelet.server.test_app import kubelet

if TYPE_CHECKING:
    from tests.unit.kubelet.conftest import World

WAIT_S = 120
LOGS = "/containerLogs/default/web/app"
NAMES = ("", "web", "nobody", "..", "%2e%2e", "%00", "%ff", "a%2fb", "x" * 10_000, "é", "%")
VALUES = (
    "",
    "x",
    "-1",
    "0",
    "9" * 25,
    "9" * 5000,
    "1e3",
    "%00",
    "%ff",
    "true",
    "%C2%B2",
    "2024-99-99T00:00:00Z",
    "9999-12-31T23:59:59Z",
)
STREAMS = ("containerLogs", "exec", "attach", "portForward", "run")
OPTIONS = ("tailLines", "limitBytes", "sinceSeconds", "sinceTime", "previous", "stream")
OTHERS = ("", "metrics/x", "stats", "stats/x", "pods/x", "configz", "checkpoint/a/b/c", "healthz/x", "nope", "run/default")
PATHS = [
    *(
        f"/{what}/{place}"
        for what in STREAMS
        for name in NAMES
        for place in (f"{name}/web/app", f"default/{name}/app", f"default/web/{name}")
    ),
    *(f"{LOGS}?{option}={value}" for option in OPTIONS for value in VALUES),
    *(f"/logs/{name}" for name in (*NAMES, "../../etc/passwd", "..%2f..%2fetc/passwd", "?query=x", "?query=../../x")),
    *(f"/{name}" for name in OTHERS),
    "/exec/default/web/app?command=" + "x" * 7000,
    "/portForward/default/web?port=99999999",
    "/portForward/default/web?port=x",
]
HEADS = [
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nX: a\x00b\r\n\r\n",
    b"GET /healthz HTTP/9.9\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x00" * 1000,
    *(
        b"POST /%b/default/web/app?command=a&port=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
        b"Upgrade: %b\r\nSec-WebSocket-Key: %b\r\nSec-WebSocket-Version: %b\r\nSec-WebSocket-Protocol: %b\r\n"
        b"X-Stream-Protocol-Version: %b\r\n\r\n%b" % (what, upgrade, key, version, protocol, protocol, rest)
        for what in (b"exec", b"attach", b"portForward")
        for upgrade, key, version, protocol, rest in (
            (b"websocket", b"x", b"13", b"v5.channel.k8s.io", b""),
            (b"websocket", b"dGhlIHNhbXBsZSBub25jZQ==", b"99", b"v4.channel.k8s.io", b""),
            (b"websocket", b"dGhlIHNhbXBsZSBub25jZQ==", b"13", b"nonsense", b""),
            (b"SPDY/3.1", b"", b"", b"v4.channel.k8s.io", b"\xff" * 100),
            (b"SPDY/3.1", b"", b"", b"v4.channel.k8s.io", b"\x80\x03\x00\x01\x00\xff\xff\xff" + b"\x00" * 50),
            (b"SPDY/9", b"", b"", b"x", b""),
            (b"nothing", b"", b"", b"", b""),
        )
    ),
]


class Peer:
    """Sends bytes to a kubelet, on a connection of their own, and reads what comes back."""

    def __init__(self, url: str, folder: Path) -> None:
        self._port = urlsplit(url).port
        self._context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        self._context.check_hostname = False
        self._context.load_cert_chain(folder / "admin.crt", folder / "admin.key")

    async def send(self, data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._context)
        try:
            async with asyncio.timeout(WAIT_S):
                writer.write(data)
                return await reader.read(100)
        except ConnectionError:
            return b""
        finally:
            writer.transport.abort()

    async def get(self, path: str, method: str = "GET") -> int:
        answer = await self.send(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return int(answer.split(b" ")[1]) if answer else 0


@asynccontextmanager
async def running(world: World, folder: Path) -> AsyncIterator[Peer]:
    """With one pod, and a good answer before and after."""
    async with kubelet(world, folder) as url:
        world.create()
        await world.until(lambda: world.api.pod()["status"]["phase"] == "Running")
        Path(world.runtime.named("app").log_path).write_text("2026-01-01T00:00:01Z stdout F hello\nnonsense\n\x00\n")
        peer = Peer(url, folder)
        assert await peer.get("/healthz") == 200
        yield peer
        assert await peer.get("/healthz") == 200


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_what_is_not_there_is_not_found(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(world, tmp_path) as peer:
            for path, method in zip(PATHS, itertools.cycle(("GET", "POST", "GET", "FOO"))):
                code = await peer.get(path, method)
                # A container that does not run is a 500 in upstream's kubelet, and clients try again by it.
                unknown = path.startswith(("/exec/default/web/", "/attach/default/web/"))
                assert 200 <= code < 500 or (unknown and code == 500), f"{method} {path[:100]}"

    asyncio.run(scenario())


def test_what_is_no_request_is_refused(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(world, tmp_path) as peer:
            for data in HEADS:
                answer = await peer.send(data)
                assert not answer.startswith(b"HTTP/1.1 5"), (data, answer)

    asyncio.run(scenario())
