"""Answers that ask the client to wait."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

import pytest

from steersman.client.interface import Answer, StreamAnswer
from steersman.client.local import LocalTransport
from steersman.client.patience import PatientTransport
from steersman.machinery.clock import VirtualClock

BUSY = Answer(429, {"retry-after": "3"})
DONE = Answer(201)


def _no_stream(method: str, target: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[StreamAnswer]:
    raise AssertionError


def _asked(*answers: Answer) -> tuple[Answer, int, float]:
    """The answer the caller gets, how often the server was asked, and how long that took."""
    clock, left = VirtualClock(), list(answers)
    bodies: list[bytes] = []

    async def serve(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        bodies.append(body)
        return left.pop(0) if len(left) > 1 else left[0]

    async def scenario() -> Answer:
        transport = PatientTransport(LocalTransport(serve, _no_stream), clock)
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(transport.request("POST", "/x", body=b"{}"))
            while not asking.done():
                await clock.advance(1)
        return asking.result()

    answer = asyncio.run(scenario())
    assert set(bodies) == {b"{}"}
    return answer, len(bodies), clock.monotonic()


@pytest.mark.parametrize(
    ("answers", "status", "asked", "at_least_s"),
    [
        ((DONE,), 201, 1, 0),
        ((BUSY, BUSY, DONE), 201, 3, 6),
        ((Answer(503, {"retry-after": "1"}), DONE), 201, 2, 1),
        ((Answer(429), DONE), 429, 1, 0),
        ((Answer(503, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}), DONE), 503, 1, 0),
        ((Answer(409, {"retry-after": "1"}), DONE), 409, 1, 0),
        ((BUSY,), 429, 11, 30),
    ],
)
def test_it_waits_as_told_and_not_forever(answers: tuple[Answer, ...], status: int, asked: int, at_least_s: int) -> None:
    answer, requests, took_s = _asked(*answers)
    assert (answer.status, requests) == (status, asked)
    assert at_least_s <= took_s <= at_least_s + 1
