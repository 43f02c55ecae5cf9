"""A clock that is far off is told, once, and so is its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from tests.fakes.client import FakeClient

from steersman.client.events import EventRecorder
from steersman.client.interface import Answer, StreamAnswer
from steersman.cluster import clockwatch
from steersman.machinery.clock import VirtualClock
from steersman.machinery.meta import Obj

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ahead_s", "said"),
    [(0, ""), (119, ""), (-119, ""), (180, "3 minutes ahead of"), (-7200, "120 minutes behind that of the API server (12:00:00")],
)
def test_two_minutes_are_tolerated(ahead_s: float, said: str) -> None:
    found = clockwatch.complaint({"date": format_datetime(NOW - timedelta(seconds=ahead_s), usegmt=True)}, NOW)
    assert said in found and bool(said) == bool(found)


@pytest.mark.parametrize("date", ["", "yesterday"])
def test_who_does_not_tell_the_time_is_not_compared_with(date: str) -> None:
    assert clockwatch.complaint({"date": date}, NOW) == ""


class Server:
    """A Transport whose other end has a clock of its own. `off_s` None: it does not answer."""

    def __init__(self, clock: VirtualClock) -> None:
        self.off_s: float | None = 0.0
        self._clock = clock

    async def request(self, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
        if self.off_s is None:
            raise ConnectionError("nobody there")
        return Answer(200, {"date": format_datetime(self._clock.now() + timedelta(seconds=self.off_s), usegmt=True)})

    def stream(
        self, method: str, target: str, *, headers: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[StreamAnswer]:
        raise AssertionError("nobody streams here")

    async def close(self) -> None:
        return


def test_it_is_told_once_and_again_after_it_was_right(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "steersman.cluster.clockwatch")
    said: list[str] = []

    class Recorder(EventRecorder):
        def event(self, about: Obj, type: str, reason: str, message: str, **more: Any) -> None:
            said.append(f"{about['metadata']['name']} {type} {reason}")

    async def scenario() -> None:
        clock = VirtualClock(NOW)
        server = Server(clock)
        node: Obj = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}
        async with asyncio.TaskGroup() as group:
            recorder = Recorder(FakeClient(), "kubelet", "n1", clock)
            watching = group.create_task(clockwatch.run(server, recorder, node, clock))
            for off_s in (0, 600, None, 600, 0, -600):
                server.off_s = off_s
                await clock.advance(300)
            watching.cancel()

    asyncio.run(scenario())
    assert said == ["n1 Warning ClockOff"] * 2
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "clock is off", "clock is right again", "clock is off",
    ]  # fmt: skip
