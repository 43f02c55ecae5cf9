"""Containers of the native runtime, without any: what happens when two things happen to one of them at a time."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from steersman.cri.interface import NotThere
from steersman.cri.messages import ContainerConfig, ContainerState
from steersman.cri.native import procs
from steersman.cri.native.containers import Containers
from steersman.cri.native.oci import Started
from steersman.cri.native.procs import ProcessId
from steersman.cri.native.records import ContainerRecord, Records
from steersman.machinery.clock import VirtualClock

MONITOR, FIRST = ProcessId(2**22 + 2, 1), ProcessId(2**22 + 1, 1)


class Oci:
    """A runtime whose `start` waits until it is let go on."""

    def __init__(self) -> None:
        self.asked, self.go_on = asyncio.Event(), asyncio.Event()

    async def create(self, *_: Any, **__: Any) -> Started:
        return Started(FIRST, MONITOR)

    async def start(self, _: str) -> None:
        self.asked.set()
        await self.go_on.wait()

    async def end(self, _: str) -> None: ...
    async def delete(self, _: str) -> None: ...


def nothing(*_: Any) -> None:
    """What is not looked at here."""


class Bench:
    """One container, `c`. `kills`: signals its process gets; it ends by none."""

    def __init__(self, root: Path) -> None:
        self.exit_file = root / "exit"
        self.oci, self.clock = Oci(), VirtualClock()
        maker: Any = SimpleNamespace(
            layout=SimpleNamespace(exit_file=lambda _: str(self.exit_file)),
            cgroups=SimpleNamespace(kill=nothing, oom_kills=lambda _: 0, remove=nothing),
            release=nothing,
            discard=nothing,
        )
        oci: Any = self.oci
        self.hints: list[str] = []
        self.containers = Containers(
            maker=maker,
            oci=oci,
            records=Records(str(root), ContainerRecord),
            clock=self.clock,
            emit=nothing,
            watch_end=nothing,
            spawn_task=self.hints.append,
        )
        self.containers.records.save(
            ContainerRecord("c", "s", "u", ContainerConfig("app", "i"), "i", "i", "i", "", "/c", "SIGTERM", self.clock.now(), "b")
        )

    async def started(self) -> None:
        self.oci.go_on.set()
        await self.containers.start("c")

    @property
    def record(self) -> ContainerRecord:
        return self.containers.get("c")


def test_an_end_is_no_end_without_an_exit_code_because_the_monitor_was_quick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The monitor writes the code and is gone: asked for in the other order, both seemed to be missing, and it became 255."""

    async def scenario() -> None:
        bench = Bench(tmp_path)
        await bench.started()

        def ends(_: ProcessId | None) -> bool:
            bench.exit_file.write_text("0")
            return False

        monkeypatch.setattr(procs, "alive", ends)
        await bench.containers.ended("c")
        assert (bench.record.exit_code, bench.record.reason) == (0, "Completed")

    asyncio.run(scenario())


def test_a_container_removed_while_it_starts_is_stopped_first_for_all_who_wait(tmp_path: Path) -> None:
    """It was torn away, and who had asked for its stop in between waited for ever for the end of a container nobody knew."""

    async def scenario() -> None:
        bench = Bench(tmp_path)
        async with asyncio.TaskGroup() as group:
            group.create_task(bench.containers.start("c"))
            await bench.oci.asked.wait()
            removing = group.create_task(bench.containers.remove("c"))
            await bench.clock.sleep(0)
            bench.oci.go_on.set()
            while bench.record.state is not ContainerState.RUNNING:
                await bench.clock.sleep(0)
            stopping = group.create_task(bench.containers.stop("c", 0))
            while not bench.hints:
                await bench.clock.sleep(0)
            bench.exit_file.write_text("137")
            await bench.containers.ended("c")
            await stopping
            await removing
        with pytest.raises(NotThere):
            bench.containers.get("c")

    asyncio.run(scenario())


def test_hints_about_what_is_no_container_leave_nothing_behind(tmp_path: Path) -> None:
    """The monitor writes its file under a name of its own before it has the container's: each was remembered for ever."""

    def made() -> int:
        gc.collect()
        return sum(isinstance(each, asyncio.Lock | asyncio.Event) for each in gc.get_objects())

    async def scenario() -> None:
        bench = Bench(tmp_path)
        await bench.started()
        before = made()
        for number in range(50):
            await bench.containers.ended(f"c.{number}")
        bench.exit_file.write_text("0")
        await bench.containers.ended("c")
        await bench.containers.remove("c")
        await bench.containers.ended("c")
        assert made() <= before

    asyncio.run(scenario())
