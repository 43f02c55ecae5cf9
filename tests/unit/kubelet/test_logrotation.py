"""Logs that have grown too large are rotated, compressed and in the end dropped."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.unit.kubelet.conftest import World


def packed(path: Path) -> list[bool]:
    """Whether each of the files of a log is compressed, the newest first, then the oldest."""
    names = sorted(each.name for each in path.parent.iterdir())
    assert all(name.startswith(path.name) for name in names)
    return [name.endswith(".gz") for name in names]


def test_a_large_log_is_rotated_and_only_so_many_are_kept(world: World) -> None:
    world.config = dataclasses.replace(world.config, container_log_max_size=100, container_log_max_files=3)

    async def scenario() -> None:
        async with world.kubelet():
            world.create()
            await world.until(lambda: world.api.pod()["status"]["phase"] == "Running")
            path = Path(world.runtime.named("app").log_path)
            for _ in range(4):
                path.write_bytes(b"x" * 100)
                await world.until(lambda: not path.exists())
            path.write_bytes(b"small")
            # Compressing is a thread's work, in real time.
            await world.until(lambda: packed(path) == [False, True, False])
            assert path.read_bytes() == b"small"

    asyncio.run(scenario())


def test_a_clock_that_is_set_back_costs_no_newer_log(world: World) -> None:
    world.config = dataclasses.replace(world.config, container_log_max_size=100, container_log_max_files=4)

    async def scenario() -> None:
        async with world.kubelet():
            world.create()
            await world.until(lambda: world.api.pod()["status"]["phase"] == "Running")
            path = Path(world.runtime.named("app").log_path)
            for text in (b"1", b"2", b"3", b"4"):
                path.write_bytes(text * 100)
                await world.until(lambda: not path.exists())
                world.clock.set_wall(-3 * 3600)
            path.write_bytes(b"small")
            await world.until(lambda: packed(path) == [False, True, True, False])
            older = sorted(path.parent.glob("0.log.*"))
            texts = [gzip.decompress(each.read_bytes()) for each in older[:2]] + [older[2].read_bytes()]
            assert texts == [text * 100 for text in (b"2", b"3", b"4")]

    asyncio.run(scenario())
