"""Clients that keep connections without using them are cut off; others are waited for."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.apiserver.test_connection import Reader, Writer, answer, talking_to

from steersman.apiserver.connection import Connection
from steersman.apiserver.http import Request, Response
from steersman.apiserver.patience import Patience


@pytest.mark.parametrize(
    ("turn", "busy", "begun", "unsent", "limit_s"),
    [
        (0, False, False, None, 32),
        (0, False, True, None, 32),
        (3, False, True, None, 32),
        (3, False, False, None, 90),
        (3, True, False, 1000, 60),
    ],
    ids=["says nothing", "half a first request", "half a request", "idle", "does not read"],
)
def test_a_wait_has_its_limit(turn: int, busy: bool, begun: bool, unsent: int | None, limit_s: float) -> None:
    patience = Patience()
    asked = [patience.is_over(now_s, turn, busy, begun, unsent) for now_s in (5.0, 5.0 + limit_s - 1, 5.0 + limit_s)]
    assert asked == [False, False, True]


def test_work_has_none() -> None:
    patience = Patience()
    assert not any(patience.is_over(now_s, 1, True, False, None) for now_s in (0.0, 1e6))


def test_who_reads_slowly_is_waited_for() -> None:
    patience = Patience()
    assert not any(patience.is_over(now_s, 1, True, False, 10_000 - int(now_s)) for now_s in range(0, 1000, 50))


def test_bytes_one_by_one_do_not_make_a_head_take_longer() -> None:
    patience = Patience()
    assert [patience.is_over(now_s, 0, False, True, None) for now_s in range(0, 40, 8)] == [False] * 4 + [True]


def test_every_request_begins_anew() -> None:
    patience = Patience()
    assert not any(patience.is_over(turn * 80.0, turn, False, False, None) for turn in range(1, 10))


async def endless(request: Request) -> Response:
    return Response(body=b"x" * 5_000_000)


async def echo(request: Request) -> Response:
    return Response(body=b"ok")


def test_a_connection_whose_answer_is_not_read_is_stuck() -> None:
    async def scenario() -> None:
        async with talking_to(endless) as (_, writer, connection):
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            while not connection.transport.get_write_buffer_size():
                await asyncio.get_running_loop().run_in_executor(None, int)
            assert [connection.is_stuck(now_s) for now_s in (0.0, 59.0, 60.0)] == [False, False, True]
            connection.transport.abort()

    asyncio.run(scenario())


def test_a_connection_between_requests_is_stuck_later_than_one_within() -> None:
    async def scenario() -> None:
        async with talking_to(echo) as (reader, writer, connection):
            await _ask(reader, writer)
            assert [connection.is_stuck(now_s) for now_s in (0.0, 89.0, 90.0)] == [False, False, True]
            connection.data_received(b"GET / HT")
            assert [connection.is_stuck(now_s) for now_s in (100.0, 131.0, 132.0)] == [False, False, True]

    asyncio.run(scenario())


async def _ask(reader: Reader, writer: Writer) -> None:
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await answer(reader)


def test_a_connection_that_was_taken_over_is_never_stuck() -> None:
    async def take(request: Request) -> Response:
        assert request.take_over is not None
        raw = await request.take_over()
        await raw.read()
        return Response(upgraded=True)

    async def scenario() -> None:
        async with talking_to(take) as (_, writer, connection):
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            while not connection.busy:
                await asyncio.get_running_loop().run_in_executor(None, int)
            assert not any(connection.is_stuck(now_s) for now_s in (0.0, 1e6))
            await _close(connection)

    asyncio.run(scenario())


async def _close(connection: Connection) -> None:
    connection.data_received(b"bye")
    assert connection.task is not None
    await connection.task
