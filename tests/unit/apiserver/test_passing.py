"""What another server answers, passed on, over real connections on loopback."""

from __future__ import annotations

import asyncio

import pytest

from steersman.apiserver.passing import Body, response_of
from steersman.client.connection import Address, connect

ANSWERS = {
    "HEAD": b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
    "DELETE": b"HTTP/1.1 204 No Content\r\n\r\n",
    "GET": b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\nX-More: a\r\n\r\nanswers",
}


@pytest.mark.parametrize("method", ANSWERS)
def test_the_connection_ends_with_the_answer_though_nobody_has_read_of_it(method: str) -> None:
    async def scenario() -> None:
        left = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ANSWERS[method])
            try:
                await reader.read()
            except ConnectionResetError:
                pass
            writer.close()
            left.set()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        connection = await connect(Address(host, port, None, ""))
        await connection.send(method, "/", {"Host": "other"}, b"")
        answer = response_of(connection)
        assert "Connection" not in answer.headers
        assert answer.chunks is not None
        if method == "GET":
            assert answer.headers == {"Content-Length": "7", "X-More": "a"}
            assert b"".join([chunk async for chunk in answer.chunks]) == b"answers"
        else:
            assert isinstance(answer.chunks, Body)
            await answer.chunks.aclose()
        async with asyncio.timeout(60):
            await left.wait()
        server.close()

    asyncio.run(scenario())
