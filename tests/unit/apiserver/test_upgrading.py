"""Changes of protocols that another server refuses: what it says reaches the client."""

from __future__ import annotations

import asyncio

import pytest

from steersman.apiserver.http import Request, Response
from steersman.apiserver.upgrading import Unreachable, pass_on
from steersman.client.connection import Address

HEAD = b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nDate: then\r\nConnection: close\r\n"


def asked(answer: bytes) -> Response:
    async def scenario() -> Response:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        try:
            return await pass_on(Request("GET", "/", ""), Address(host, port, None, ""), b"GET / HTTP/1.1\r\n\r\n")
        finally:
            server.close()

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("rest", "body"),
    [
        (b"Content-Length: 2\r\n\r\nno", b"no"),
        (b"Transfer-Encoding: chunked\r\n\r\n1\r\nn\r\n1;x=y\r\no\r\n0\r\n\r\n", b"no"),
        (b"\r\n", b""),
    ],
    ids=["by length", "in chunks", "empty"],
)
def test_a_refusal_is_passed_on(rest: bytes, body: bytes) -> None:
    answer = asked(HEAD + rest)
    assert (answer.status, answer.body, answer.content_type) == (403, body, "text/html")
    assert answer.headers == {"Date": "then"}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "0 bytes read"),
        (b"HTTP/1.1 what\r\n\r\n", "no HTTP"),
        (HEAD + b"Content-Length: x\r\n\r\n", "no HTTP"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nx\r\n", "no HTTP"),
    ],
)
def test_what_is_no_answer_is_a_server_that_cannot_be_reached(answer: bytes, why: str) -> None:
    with pytest.raises(Unreachable, match=why):
        asked(answer)
