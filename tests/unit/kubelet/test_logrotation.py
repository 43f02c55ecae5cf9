"""Logs that have grown too large are rotated, compressed and in the end dropped."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.unit.kubelet.conftest import World


def test_a_large_log_is_rotated_and_only_so_many_are_kept(world: World) -> None:
    world.config = dataclasses.replace(world.config, container_log_max_size=100, container_log_max_files=3)

    async def scenario() -> None:
        async with world.kubelet():
            world.create()
            await world.until(lambda: world.api.pod()["status"]["phase"] == "Running")
            path = Path(world.runtime.named("app").log_path)
            for _ in range(4):
                path.write_bytes(b"x" * 100)
                await world.clock.advance(10)
                assert not path.exists()
            path.write_bytes(b"small")
            await world.clock.advance(30)
            names = sorted(each.name for each in path.parent.iterdir())
            assert path.read_bytes() == b"small"
            assert [name.endswith(".gz") for name in names] == [False, True, False]
            assert all(name.startswith("0.log") for name in names)

    asyncio.run(scenario())
