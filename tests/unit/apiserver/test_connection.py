"""A connection over a socket pair: keep-alive, pipelining, bodies, streams, upgrades, and clients that go away."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from steersman.apiserver.connection import Connection
from steersman.apiserver.http import Handler, Request, Response, warning_headers
from steersman.machinery.errors import StatusError

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter


@asynccontextmanager
async def talking_to(handler: Handler, *, body_limit: int = 100) -> AsyncIterator[tuple[Reader, Writer, Connection]]:
    ours, theirs = socket.socketpair()
    async with asyncio.TaskGroup() as tasks:

        def opened(connection: Connection) -> None:
            connection.task = tasks.create_task(connection.run())

        _, connection = await asyncio.get_running_loop().connect_accepted_socket(
            lambda: Connection(handler, body_limit, lambda: "now", opened), ours
        )
        reader, writer = await asyncio.open_connection(sock=theirs)
        try:
            yield reader, writer, connection
        finally:
            writer.close()
            connection.transport.close()


async def answer(reader: Reader) -> tuple[str, dict[str, str], bytes]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines if line)
    return first, headers, await reader.readexactly(int(headers.get("content-length", "0")))


async def echo(request: Request) -> Response:
    assert request.read_body is not None
    body = await request.read_body()
    return Response(body=f"{request.method} {request.path} {request.raw_query} ".encode() + body, content_type="text/plain")


def run(scenario: Callable[[Reader, Writer, Connection], Awaitable[None]], handler: Handler = echo) -> None:
    async def main() -> None:
        async with talking_to(handler) as (reader, writer, connection):
            await scenario(reader, writer, connection)

    asyncio.run(main())


def test_requests_are_answered_in_order_on_one_connection() -> None:
    async def scenario(reader: Reader, writer: Writer, _: Connection) -> None:
        writer.write(b"POST /a%20b?c=%41 HTTP/1.1\r\nContent-Length: 2\r\n\r\nhiGET /next HTTP/1.1\r\n\r\n")
        first, headers, body = await answer(reader)
        assert first == "HTTP/1.1 200 OK" and headers["date"] == "now" and body == b"POST /a b c=%41 hi"
        assert (await answer(reader))[2] == b"GET /next  "

    run(scenario)


def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    async def scenario(reader: Reader, writer: Writer, _: Connection) -> None:
        writer.write(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"2\r\nhi\r\n0\r\n\r\n")
        assert (await answer(reader))[2] == b"POST /  hi"

    run(scenario)


def test_an_unread_body_is_not_taken_for_the_next_request() -> None:
    async def ignore(request: Request) -> Response:
        return Response(body=b"ignored")

    async def scenario(reader: Reader, writer: Writer, _: Connection) -> None:
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\nDELETE /x HTTP/1.1\r\n")
        assert (await answer(reader))[2] == b"ignored"
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert (await answer(reader))[2] == b"ignored"

    run(scenario, ignore)


def test_malformed_requests_end_the_connection() -> None:
    async def scenario(reader: Reader, writer: Writer, _: Connection) -> None:
        writer.write(b"nonsense\r\n\r\n")
        first, headers, _body = await answer(reader)
        assert first == "HTTP/1.1 400 Bad Request" and headers["connection"] == "close"
        assert await reader.read() == b""

    run(scenario)


def test_head_gets_the_length_but_no_body() -> None:
    async def scenario(reader: Reader, writer: Writer, _: Connection) -> None:
        writer.write(b"HEAD / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Content-Length: 8\r\n" in head
        assert (await answer(reader))[2] == b"GET /  "

    run(scenario)


def test_streams_go_out_in_chunks_as_they_come_and_are_closed_with_the_client() -> None:
    closed = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            await asyncio.get_running_loop().create_future()
        finally:
            closed.set()

    async def stream(_: Request) -> Response:
        return Response(chunks=chunks())

    async def scenario(reader: Reader, writer: Writer, connection: Connection) -> None:
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert b"Transfer-Encoding: chunked" in await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(8) == b"3\r\none\r\n"
        writer.close()
        await closed.wait()

    run(scenario, stream)


def test_answers_in_parts_arrive_whole() -> None:
    async def parts(_: Request) -> Response:
        return Response(parts=[b"a" * 300_000, b"b" * 300_000], length=600_000)

    async def scenario(reader: Reader, writer: Writer, _: Connection) -> None:
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert (await answer(reader))[2] == b"a" * 300_000 + b"b" * 300_000

    run(scenario, parts)


def test_a_taken_over_connection_is_raw_both_ways() -> None:
    async def upgrade(request: Request) -> Response:
        assert request.take_over is not None
        raw = await request.take_over()
        await raw.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        while data := await raw.read():
            await raw.write(data.upper())
            if data == b"bye":
                break
        await raw.close()
        return Response(101, upgraded=True)

    async def scenario(reader: Reader, writer: Writer, _: Connection) -> None:
        writer.write(b"GET / HTTP/1.1\r\nConnection: Upgrade\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"HELLO"
        writer.write(b"bye")
        assert await reader.read() == b"BYE"

    run(scenario, upgrade)


def test_closing_waits_for_the_request_that_is_being_served() -> None:
    began, finish = asyncio.Event(), asyncio.Event()

    async def slow(_: Request) -> Response:
        began.set()
        await finish.wait()
        return Response(body=b"done")

    async def scenario(reader: Reader, writer: Writer, connection: Connection) -> None:
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await began.wait()
        connection.close_when_idle()
        finish.set()
        _, headers, body = await answer(reader)
        assert body == b"done" and headers["connection"] == "close"
        assert await reader.read() == b""

    run(scenario, slow)


def test_warnings_are_quoted_once_each_and_cut_when_there_are_too_many() -> None:
    assert warning_headers(['a "b" \\', "x", "x"]) == ['299 - "a \\"b\\" \\\\"', '299 - "x"']
    assert [len(text) for text in warning_headers(["a" * 4000, "b" * 4000])] == [256 + 8, 256 + 8]


async def unread(request: Request) -> Response:
    return Response(body=b"no")


async def watched(request: Request) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"event"

    return Response(chunks=chunks(), hurried=True)


def test_an_answer_does_not_wait_for_a_body_that_nobody_reads() -> None:
    async def scenario(reader: Reader, writer: Writer, _: Connection) -> None:
        writer.write(b"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n")
        assert (await answer(reader))[2] == b"no"
        writer.write(b"helloGET / HTTP/1.1\r\n\r\n")
        assert (await answer(reader))[2] == b"no"

    run(scenario, unread)


def test_the_body_of_a_request_for_a_stream_is_not_taken_for_the_next_request() -> None:
    async def scenario(reader: Reader, writer: Writer, _: Connection) -> None:
        body = b"GET /smuggled HTTP/1.1\r\n\r\n"
        writer.write(b"GET /?watch=1 HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.write(b"GET /next HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert (await reader.read(-1)).count(b"HTTP/1.1 200 OK") == 2

    run(scenario, watched)


def test_a_malformed_body_is_the_clients_fault_and_ends_the_connection() -> None:
    async def scenario(reader: Reader, writer: Writer, _: Connection) -> None:
        writer.write(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n\r\nGET / HTTP/1.1\r\n\r\n")
        first, headers, body = await answer(reader)
        assert body == b"BadRequest: malformed chunk size" and headers["connection"] == "close"
        assert await reader.read(-1) == b""

    run(scenario, told)


async def told(request: Request) -> Response:
    assert request.read_body is not None
    try:
        return Response(body=await request.read_body())
    except StatusError as fault:
        return Response(400, body=f"{type(fault).__name__}: {fault}".encode())


def test_a_client_that_still_sends_can_read_why_it_is_refused() -> None:
    async def scenario(reader: Reader, writer: Writer, _: Connection) -> None:
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n")
        for _chunk in range(10):
            writer.write(b"x" * 1000)
            await writer.drain()
        assert (await answer(reader))[2].startswith(b"RequestEntityTooLarge")

    run(scenario, told)


def test_a_head_that_comes_byte_by_byte_is_searched_once() -> None:
    async def scenario(reader: Reader, writer: Writer, connection: Connection) -> None:
        for byte in b"GET /slow HTTP/1.1\r\n\r\n":
            connection.data_received(bytes([byte]))
            await asyncio.get_running_loop().run_in_executor(None, int)
        assert b"/slow" in (await answer(reader))[2]

    run(scenario)


def test_what_others_answered_goes_on_as_it_is() -> None:
    """Through a proxy: with its length, its own date and each of its cookies; one without a body ends with its head."""

    async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    async def proxied(request: Request) -> Response:
        if request.path == "/none":
            return Response(204, content_type="", headers={"Date": "then"}, chunks=pieces())
        if request.path == "/rewritten":
            return Response(body=b"ab", content_type="", headers={"Date": "then"})
        headers = {"Content-Length": "4", "Set-Cookie": "a=1\nb=2; Expires=Sat, 01 Jan 2028 00:00:00 GMT"}
        return Response(content_type="", headers=headers, chunks=pieces(b"ab", b"cd"))

    async def scenario(reader: Reader, writer: Writer, _: Connection) -> None:
        writer.write(b"GET /none HTTP/1.1\r\n\r\nGET /some HTTP/1.1\r\n\r\nHEAD /some HTTP/1.1\r\n\r\nGET /none HTTP/1.1\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 204 No Content\r\nDate: then\r\n\r\n"
        head = (
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nSet-Cookie: a=1\r\n"
            b"Set-Cookie: b=2; Expires=Sat, 01 Jan 2028 00:00:00 GMT\r\nDate: now\r\n\r\n"
        )
        assert await reader.readexactly(len(head) + 4) == head + b"abcd"
        assert await reader.readexactly(len(head)) == head
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204 ")
        writer.write(b"GET /rewritten HTTP/1.1\r\n\r\n")
        assert await reader.readexactly(52) == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: then\r\n\r\nab"

    run(scenario, proxied)
