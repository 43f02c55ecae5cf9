"""A store whose leases are renewed for days stays as small as what is live, and recent history can still be read."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from steersman.apiserver import compaction
from steersman.machinery.clock import VirtualClock
from steersman.store.interface import Compacted, Put
from steersman.store.sqlite import SQLiteStore


def test_days_of_lease_renewals_do_not_make_the_store_grow(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        store = await SQLiteStore.open(tmp_path / "store.db", clock)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(compaction.run(store, clock))
            await live_for_days(store, clock)
            task.cancel()
        await store.close()

    async def live_for_days(store: SQLiteStore, clock: VirtualClock) -> None:
        largest = 0
        for _turn in range(180):
            await asyncio.gather(*(store.commit([], [Put("/registry/leases/node", b"x" * 500)]) for _ in range(50)))
            await clock.advance(compaction.INTERVAL_S)
            largest = max(largest, await store.size_bytes())
        current = await store.progress()
        # All 9,000 of them would be five megabytes.
        assert largest < 2_000_000
        assert (await store.range("/registry/", revision=current - 5)).entries
        with pytest.raises(Compacted):
            await store.range("/registry/", revision=current - 500)

    asyncio.run(scenario())
