"""Container logs: what the reader makes of CRI log files, and which instance is meant."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from steersman.kubelet.server import podlogs
from steersman.kubelet.server.logfile import LogOptions, read
from steersman.machinery.clock import VirtualClock
from steersman.machinery.meta import Obj

LINES = [
    b"2026-01-01T00:00:01.5Z stdout F one",
    b"2026-01-01T00:00:02.123456789+00:00 stderr F two",
    b"2026-01-01T00:00:03Z stdout P thr",
    b"2026-01-01T00:00:03Z stdout F ee",
    b"2026-01-01T00:00:04Z stdout F ",
]


async def collect(path: Path, options: LogOptions) -> str:
    return b"".join([piece async for piece in read(str(path), options, VirtualClock(), lambda: False)]).decode()


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (LogOptions(), "one\ntwo\nthree\n\n"),
        (LogOptions(tail=0), ""),
        (LogOptions(tail=1), "\n"),
        (LogOptions(tail=4), "two\nthree\n\n"),
        (LogOptions(tail=99), "one\ntwo\nthree\n\n"),
        (LogOptions(limit_bytes=5), "one\nt"),
        (LogOptions(stream="stderr"), "two\n"),
        (LogOptions(since=datetime(2026, 1, 1, 0, 0, 3, tzinfo=UTC)), "three\n\n"),
        (
            LogOptions(timestamps=True, tail=4),
            "2026-01-01T00:00:02.123456789Z two\n2026-01-01T00:00:03.000000000Z three\n2026-01-01T00:00:04.000000000Z \n",
        ),
    ],
)
def test_reading(tmp_path: Path, options: LogOptions, wanted: str) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(b"\n".join(LINES) + b"\n")
    assert asyncio.run(collect(path, options)) == wanted


def test_a_log_that_grows_faster_than_it_is_read_has_an_end(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(LINES[0] + b"\n")

    async def scenario() -> None:
        pieces = []
        async for piece in read(str(path), LogOptions(tail=1), VirtualClock(), lambda: True):
            pieces.append(piece)
            with path.open("ab") as log:
                log.write(LINES[1] + b"\n")
        assert pieces == [b"one\n"]

    asyncio.run(scenario())


def test_following_goes_through_a_rotation_and_ends_with_the_container(tmp_path: Path) -> None:
    async def scenario() -> None:
        path, clock, seen, alive = tmp_path / "0.log", VirtualClock(), [], [True]
        path.write_bytes(LINES[0] + b"\n")

        async def follow() -> None:
            async for piece in read(str(path), LogOptions(follow=True), clock, lambda: alive[0]):
                seen.append(piece)

        async with asyncio.TaskGroup() as group:
            group.create_task(follow())
            await clock.advance(1)
            with path.open("ab") as file:
                file.write(LINES[1] + b"\n")
            path.rename(tmp_path / "0.log.old")
            path.write_bytes(LINES[4] + b"\n")
            await clock.advance(1)
            with path.open("ab") as file:
                file.write(LINES[0] + b"\n")
            alive[0] = False
            await clock.advance(1)
        assert b"".join(seen) == b"one\ntwo\n\none\n"

    asyncio.run(scenario())


def test_what_is_written_last_before_a_rotation_is_followed_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between finding the end of the old file and finding a new one in its place, a busy container had written more."""
    path, clock, seen, alive = tmp_path / "0.log", VirtualClock(), list[bytes](), [True]
    path.write_bytes(LINES[0] + b"\n")
    stat = os.stat

    def late(asked: str) -> os.stat_result:
        monkeypatch.setattr("steersman.kubelet.server.logfile.os.stat", stat)
        with path.open("ab") as file:
            file.write(LINES[1] + b"\n")
        path.rename(tmp_path / "0.log.old")
        path.write_bytes(LINES[4] + b"\n")
        alive[0] = False
        return stat(asked)

    async def scenario() -> None:
        async def follow() -> None:
            async for piece in read(str(path), LogOptions(follow=True), clock, lambda: alive[0]):
                seen.append(piece)

        monkeypatch.setattr("steersman.kubelet.server.logfile.os.stat", late)
        async with asyncio.TaskGroup() as group:
            group.create_task(follow())
            await clock.advance(1)
        assert b"".join(seen) == b"one\ntwo\n\n"

    asyncio.run(scenario())


def entry(state: Obj, last: str = "") -> Obj:
    found = {"name": "a", "state": state, "lastState": {}, "containerID": "fake://now"}
    if last:
        found["lastState"] = {"terminated": {"containerID": f"fake://{last}"}}
    return {"containerStatuses": [found]}


@pytest.mark.parametrize(
    ("status", "previous", "wanted"),
    [
        (entry({"running": {}}), False, "now"),
        (entry({"running": {}}, "old"), True, "old"),
        (entry({"running": {}}), True, 'previous terminated container "a" in pod "web" not found'),
        (entry({"terminated": {"containerID": "fake://dead"}}), False, "dead"),
        (entry({"waiting": {"reason": "CrashLoopBackOff"}}, "old"), False, "old"),
        (
            entry({"waiting": {"reason": "ContainerCreating"}}), False,
            'container "a" in pod "web" is waiting to start: ContainerCreating',
        ),
        (
            entry({"waiting": {"reason": "ImagePullBackOff"}}), False,
            'container "a" in pod "web" is waiting to start: trying and failing to pull image',
        ),
        ({}, False, 'container "a" in pod "web" is not available'),
    ],
)  # fmt: skip
def test_which_instance_is_meant(status: Obj, previous: bool, wanted: str) -> None:
    pod = {"metadata": {"name": "web"}}
    try:
        found = podlogs.container_id(pod, status, "a", previous)
    except podlogs.LogRefused as refused:
        found = str(refused)
    assert found == wanted
