"""HttpTransport against a real server on loopback: TLS with client certificates, tokens, streams, and clear failures."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from steersman.client.http import HttpTransport
from steersman.client.interface import Answer


def self_signed(directory: Path) -> tuple[bytes, bytes]:
    """A certificate for localhost that is its own authority, usable on both sides."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "me")])
    start = datetime(2020, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_pem = certificate.public_bytes(serialization.Encoding.PEM)
    key_pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (directory / "tls.crt").write_bytes(cert_pem)
    (directory / "tls.key").write_bytes(key_pem)
    return cert_pem, key_pem


async def handle(request: web.BaseRequest) -> web.StreamResponse:
    if request.path == "/stream":
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"one\n")
        await answer.write(b"two\n")
        if request.query.get("break"):
            assert request.transport is not None
            request.transport.abort()
        return answer
    assert request.transport is not None
    peer = request.transport.get_extra_info("peercert")
    seen = {
        "target": request.raw_path,
        "method": request.method,
        "body": (await request.read()).decode(),
        "authorization": request.headers.get("Authorization", ""),
        "peer": peer["subject"][0][0][1] if peer else "",
    }
    return web.json_response(seen, headers={"X-Seen": "yes"})


def with_server(context: ssl.SSLContext | None, scenario: Callable[[int], Awaitable[None]]) -> None:
    async def main() -> None:
        server = web.Server(handle)
        runner = web.ServerRunner(server)
        await runner.setup()
        site = web.TCPSite(runner, "localhost", 0, ssl_context=context)
        await site.start()
        port = runner.addresses[0][1]
        try:
            await scenario(port)
        finally:
            await runner.cleanup()

    asyncio.run(main())


async def seen(transport: HttpTransport, method: str = "GET", target: str = "/", body: bytes = b"") -> Answer:
    try:
        return await transport.request(method, target, headers={"Accept": "application/json"}, body=body)
    finally:
        await transport.close()


def test_requests_arrive_unchanged_over_mutual_tls_with_inline_keys(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    context.load_verify_locations(tmp_path / "tls.crt")
    context.verify_mode = ssl.CERT_REQUIRED

    async def scenario(port: int) -> None:
        transport = HttpTransport(f"https://localhost:{port}", ca=cert, cert=cert, key=key)
        answer = await seen(transport, "POST", "/api/v1/pods?labelSelector=a%20in%20%28b%2Fc%29&x=%2B", b'{"a":1}')
        assert (answer.status, answer.headers["x-seen"]) == (200, "yes")
        assert b'"target": "/api/v1/pods?labelSelector=a%20in%20%28b%2Fc%29&x=%2B"' in answer.body
        assert b'"peer": "me"' in answer.body and b'{\\"a\\":1}' in answer.body

    with_server(context, scenario)


def test_a_token_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")

    async def scenario(port: int) -> None:
        transport = HttpTransport(f"http://localhost:{port}", token_file=token)
        assert b"Bearer first" in (await transport.request("GET", "/")).body
        token.write_text("second\n")
        assert b"Bearer second" in (await seen(transport)).body

    with_server(None, scenario)


def test_failures_are_connection_errors_of_one_sentence(tmp_path: Path) -> None:
    cert, _ = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")

    async def scenario(port: int) -> None:
        with pytest.raises(ConnectionError, match=r"^the API server at https://localhost:\d+ can't be reached: its certificate"):
            await seen(HttpTransport(f"https://localhost:{port}"))
        with pytest.raises(ConnectionError, match=r"^the API server at http://127.0.0.1:1 can't be reached: .*[^.]$") as caught:
            await seen(HttpTransport("http://127.0.0.1:1"))
        assert "\n" not in str(caught.value)

    with_server(context, scenario)


def test_a_stream_comes_in_pieces_and_a_broken_one_is_an_error() -> None:
    async def scenario(port: int) -> None:
        transport = HttpTransport(f"http://localhost:{port}")
        async with transport.stream("GET", "/stream") as answer:
            assert answer.status == 200
            assert b"".join([chunk async for chunk in answer.chunks()]) == b"one\ntwo\n"
        with pytest.raises(ConnectionError, match="the stream from .* broke"):
            async with transport.stream("GET", "/stream?break=1") as answer:
                async for _ in answer.chunks():
                    pass
        await transport.close()

    with_server(None, scenario)


async def scripted(answers: list[bytes], scenario: Callable[[int, list[int]], Awaitable[None]]) -> None:
    """A server that gives each request the next of these answers and, after an empty one, closes. Counts connections."""
    opened: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(1)
        try:
            while answers:
                await reader.readuntil(b"\r\n\r\n")
                answer = answers.pop(0)
                if not answer:
                    break
                writer.write(answer)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        await scenario(server.sockets[0].getsockname()[1], opened)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_connections_are_used_again_unless_the_answer_was_left_or_says_close() -> None:
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n1\r\nd\r\n0\r\nTrailer: t\r\n\r\n"
    early = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"

    async def scenario(port: int, opened: list[int]) -> None:
        transport = HttpTransport(f"http://127.0.0.1:{port}")
        for expected, connections in ((b"ok", 1), (b"abcd", 1), (b"", 1), (b"ok", 1), (b"ok", 2)):
            answer = await transport.request("GET", "/")
            assert (answer.body, len(opened)) == (expected, connections)
        async with transport.stream("GET", "/"):
            pass  # left before the end
        assert (await transport.request("GET", "/")).body == b"ok"
        assert len(opened) == 3
        await transport.close()

    asyncio.run(scripted([OK, chunked, early, closing, OK, OK, OK], scenario))


@pytest.mark.parametrize(("method", "answered"), [("GET", True), ("POST", False)])
def test_a_kept_connection_that_ends_under_a_request_is_replaced_if_that_is_harmless(method: str, answered: bool) -> None:
    async def scenario(port: int, opened: list[int]) -> None:
        transport = HttpTransport(f"http://127.0.0.1:{port}")
        await transport.request("GET", "/")
        if answered:
            assert (await transport.request(method, "/")).body == b"ok"
        else:
            with pytest.raises(ConnectionError, match="it closed the connection$"):
                await transport.request(method, "/", body=b"{}")
        await transport.close()

    asyncio.run(scripted([OK, b"", OK], scenario))


def test_a_bare_line_feed_ends_a_header_line_as_well() -> None:
    async def scenario(port: int, opened: list[int]) -> None:
        transport = HttpTransport(f"http://127.0.0.1:{port}")
        answer = await transport.request("GET", "/")
        assert (answer.status, answer.headers["x"], answer.body) == (200, "1", b"ok")
        await transport.close()

    asyncio.run(scripted([b"HTTP/1.1 200 OK\nX: 1\nContent-Length: 2\n\nok"], scenario))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "its answer is no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "its answer has the length 'x'"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "its answer ended in the middle"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n", "its answer is no HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "its answer ended in the middle"),
    ],
)
def test_what_is_no_answer_is_a_connection_error(answer: bytes, why: str) -> None:
    async def scenario(port: int, opened: list[int]) -> None:
        transport = HttpTransport(f"http://127.0.0.1:{port}")
        with pytest.raises(ConnectionError, match=f"can't be reached: {why}$"):
            await transport.request("GET", "/")
        await transport.close()

    asyncio.run(scripted([answer], scenario))


def test_a_header_cannot_smuggle_another_one() -> None:
    async def scenario(port: int, opened: list[int]) -> None:
        transport = HttpTransport(f"http://127.0.0.1:{port}")
        with pytest.raises(ValueError, match="a line break"):
            await transport.request("GET", "/", headers={"Accept": "x\r\nAuthorization: me"})

    asyncio.run(scripted([OK], scenario))
