"""What the kernel's log says of processes that died for want of memory, and what becomes an event of the Node."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from steersman.kubelet import systemoom
from steersman.machinery.meta import Obj


class Events:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str, str]] = []

    def event(self, about: Obj, type: str, reason: str, message: str, *, field_path: str = "") -> None:
        self.seen.append((about["metadata"]["name"], type, reason, message))


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("3,1154,46841,-;Out of memory: Killed process 71 (python3) total-vm:33772kB, anon-rss:9kB\n SUB=x\n", ("python3", 71)),
        ("3,1,4,-;Out of memory: Killed process 9 (a (b) c), UID 0\n", ("a (b) c", 9)),
        ("3,1154,46841,-;Memory cgroup out of memory: Killed process 71 (python3) total-vm:33772kB\n", None),
        ("6,1,2,-;usb 1-1: says Out of memory: Killed process 71 (fake)\n", None),
        ("6,1,2,-;something else\n Out of memory: Killed process 71 (continued)\n", None),
    ],
)
def test_only_the_machines_own_want_of_memory_counts(record: str, expected: tuple[str, int] | None) -> None:
    assert systemoom.victim(record) == expected


def test_the_node_has_an_event_for_each() -> None:
    async def scenario() -> None:
        reading, writing = os.pipe2(os.O_NONBLOCK)
        events = Events()
        async with asyncio.TaskGroup() as group:
            work = group.create_task(systemoom.follow(reading, events, lambda: {"metadata": {"name": "n1"}}))
            os.write(writing, b"3,7,8,-;Out of memory: Killed process 71 (stress) total-vm:1kB\n")
            while not events.seen:
                await asyncio.wait([work], timeout=0.01)
            os.close(writing)
        os.close(reading)
        assert events.seen == [("n1", "Warning", "SystemOOM", "System OOM encountered, victim process: stress, pid: 71")]

    asyncio.run(scenario())


def test_without_a_kernel_log_nothing_is_watched(tmp_path: Path) -> None:
    asyncio.run(systemoom.watch(Events(), lambda: None, tmp_path / "none"))
