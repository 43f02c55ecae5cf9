"""Bytes on the wire, with and without TLS, that are no requests, or several at once, or never end."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import loopback
from tests.fakes.loopback import Loopback
from tests.fakes.server import config
from tests.robustness.api.conftest import examples

from steersman.apiserver.http import Request, Response
from steersman.apiserver.server import HTTPServer
from steersman.machinery.clock import VirtualClock

WAIT_S = 120
HEAD = b"GET /version HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
PARTS = (HEAD, POST, b"\r\n", b"Content-Length: 2\r\n", b"{}", b" ", b"\n")
GOOD = HEAD + b"Connection: close\r\n\r\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    with loopback.serving(tmp_path_factory.mktemp("server")) as made:
        yield made


def address(served: Loopback) -> tuple[str, int]:
    parts = urlsplit(served.url)
    return str(parts.hostname), parts.port or 0


@contextmanager
def connected(served: Loopback) -> Iterator[ssl.SSLSocket]:
    """As the administrator: what is refused is refused for its form."""
    context = ssl.create_default_context(cafile=str(served.pki / "ca.crt"))
    context.check_hostname = False
    context.load_cert_chain(served.pki / "admin.crt", served.pki / "admin.key")
    with socket.create_connection(address(served), WAIT_S) as bare, context.wrap_socket(bare) as made:
        yield made


def said(sock: socket.socket) -> bytes:
    """All that is answered until the server closes."""
    pieces: list[bytes] = []
    try:
        while piece := sock.recv(65536):
            pieces.append(piece)
    except (ConnectionError, ssl.SSLError):
        pass
    return b"".join(pieces)


def exchanged(served: Loopback, data: bytes) -> bytes:
    with connected(served) as sock:
        try:
            sock.sendall(data)
        except (ConnectionError, ssl.SSLError):
            pass
        return said(sock)


@pytest.fixture(autouse=True)
def unharmed(served: Loopback, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Afterwards the server answers as before, and has nothing to complain of."""
    yield
    assert exchanged(served, GOOD).startswith(b"HTTP/1.1 200 OK")
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


REFUSED = {
    "length and chunks": (POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "two lengths": (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n{}", 400),
    "two lengths in one": (POST + b"Content-Length: 3, 3\r\n\r\n{} ", 400),
    "a length of many digits": (POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
    "a length below nothing": (POST + b"Content-Length: -1\r\n\r\n", 400),
    "a length with a sign": (POST + b"Content-Length: +2\r\n\r\n{}", 400),
    "an unknown coding": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    "an obfuscated coding": (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n", 400),
    "a space before the colon": (POST + b"Transfer-Encoding : chunked\r\n\r\n", 400),
    "a folded line": (HEAD + b"X: a\r\n b\r\n\r\n", 400),
    "a bare line end": (HEAD + b"X: a\nTransfer-Encoding: chunked\r\n\r\n", 400),
    "a bare return": (HEAD + b"X: a\rb\r\n\r\n", 400),
    "NUL": (HEAD + b"X: a\x00b\r\n\r\n", 400),
    "no name": (HEAD + b": x\r\n\r\n", 400),
    "no version": (b"GET /\r\n\r\n", 400),
    "an old version": (b"GET / HTTP/0.9\r\n\r\n", 505),
    "a new version": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "control in a target": (b"GET /\x01 HTTP/1.1\r\n\r\n", 400),
    "no path": (b"CONNECT example.com:443 HTTP/1.1\r\n\r\n", 400),
    "a long head": (HEAD + b"X: " + b"y" * 2_000_000 + b"\r\n\r\n", 431),
    "a long line": (b"GET /" + b"y" * 2_000_000, 431),
    "a chunk that overflows": (POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n", 400),
    "a chunk below nothing": (POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
    "a chunk in words": (POST + b"Transfer-Encoding: chunked\r\n\r\nfive\r\nhello\r\n", 400),
    "a chunk without end": (POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n", 400),
    "a long chunk line": (POST + b"Transfer-Encoding: chunked\r\n\r\n2;" + b"x" * 9000, 400),
    "endless trailers": (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 9000, 400),
    "more than may be": (POST + b"Content-Length: 99999999999\r\n\r\n", 413),
    "a chunk of more than may be": (POST + b"Transfer-Encoding: chunked\r\n\r\n400001\r\n" + b" " * 0x400001, 413),
}


@pytest.mark.parametrize(("data", "status"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_request_is_refused_and_ends_the_connection(served: Loopback, data: bytes, status: int) -> None:
    answered = exchanged(served, data + b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answered.startswith(b"HTTP/1.1 %d " % status), answered[:300]
    assert answered.count(b"\r\nDate: ") == 1


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"A: b\r\n" * 100_000 + b"Connection: close\r\n\r\n",
        HEAD + b"Accept: " + b"," * 500_000 + b"\r\nConnection: close\r\n\r\n",
        b"GET /version?" + b"a=b&" * 200_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /api/v1/pods?labelSelector=" + b"a," * 400_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /" + b"a/" * 400_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET http://else.where/version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        (HEAD + b"\r\n") * 500 + GOOD,
        POST + b"Content-Encoding: gzip\r\nConnection: close\r\nContent-Length: 30\r\n\r\n\x1f\x8b" + b"\x00" * 28,
        POST + b"Expect: 200-maybe\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
        b"GET /version HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
    ],
    ids=["headers", "accept", "query", "selector", "path", "asterisk", "absolute", "bytes", "pipeline", "gzip", "expect", "body"],
)
def test_what_is_only_strange_is_answered(served: Loopback, data: bytes) -> None:
    assert exchanged(served, data).startswith((b"HTTP/1.1 2", b"HTTP/1.1 4"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x16\x03\x01",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 20,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x00" * 100_000,
        b"SSH-2.0-x\r\n",
    ],
    ids=["nothing", "three bytes", "half a hello", "no TLS", "NULs", "SSH"],
)
def test_what_is_no_tls_ends_the_connection(served: Loopback, data: bytes) -> None:
    with socket.create_connection(address(served), WAIT_S) as sock:
        with suppress(OSError):
            # The server may have closed before all of it has come; then there is nothing to shut either (ENOTCONN).
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        said(sock)


@pytest.mark.parametrize(
    "data",
    [
        POST + b"Content-Length: 100\r\n\r\n{",
        POST + b"Transfer-Encoding: chunked\r\n\r\n64\r\n{",
        POST + b"Content-Length: 100\r\nExpect: 100-continue\r\n\r\n",
        HEAD,
        b"GET /api/v1/pods?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/v1/nodes/x/proxy/ HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ],
    ids=["a body", "a chunk", "a body that is waited for", "a head", "a watch", "an upgrade"],
)
def test_a_client_may_go_away_in_the_middle(served: Loopback, data: bytes) -> None:
    for linger in (b"\x00" * 8, b"\x01\x00\x00\x00\x00\x00\x00\x00"):
        with connected(served) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            sock.sendall(data)


def test_many_clients_that_say_nothing_keep_nobody_out(served: Loopback) -> None:
    silent = [socket.create_connection(address(served), WAIT_S) for _ in range(300)]
    try:
        assert exchanged(served, GOOD).startswith(b"HTTP/1.1 200 OK")
    finally:
        for sock in silent:
            sock.close()


@given(data=st.binary(max_size=200) | st.lists(st.sampled_from(PARTS)).map(b"".join))
@examples(40)
def test_any_bytes_are_answered_or_end_the_connection(served: Loopback, data: bytes) -> None:
    with connected(served) as sock:
        with suppress(OSError):
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        said(sock)


def test_a_client_that_makes_the_server_wait_is_cut_off(served: Loopback) -> None:
    """Half a head is waited for 32 s, the next request 90 s."""

    async def ok(request: Request) -> Response:
        return Response(body=b"ok")

    async def scenario() -> None:
        clock = VirtualClock()
        server = HTTPServer(config(served.pki), ok, clock)
        async with asyncio.TaskGroup() as tasks:
            await server.bind(tasks)
            await server.start()
            context = ssl.create_default_context(cafile=str(served.pki / "ca.crt"))
            half, half_writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
            idle, idle_writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
            half_writer.write(b"GET / HT")
            await _ask(idle, idle_writer)
            await clock.advance(45)
            async with asyncio.timeout(WAIT_S):
                assert await half.read() == b""
            await _ask(idle, idle_writer)
            await clock.advance(105)
            async with asyncio.timeout(WAIT_S):
                assert await idle.read() == b""
            half_writer.close()
            idle_writer.close()
            await server.stop(1.0)

    asyncio.run(scenario())


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    async with asyncio.timeout(WAIT_S):
        await reader.readuntil(b"ok")
