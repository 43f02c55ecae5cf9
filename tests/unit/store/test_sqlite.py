"""The embedded store's own timer, which the contract's clock does not drive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from steersman.machinery.clock import VirtualClock
from steersman.store import sqlite, sqlite_read
from steersman.store.interface import Put
from steersman.store.sqlite import SQLiteStore


def test_what_has_expired_goes_though_one_look_for_it_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[bool] = []
    real: Callable[[apsw.Connection], bool] = sqlite_read.has_expiring

    def busy_once(connection: apsw.Connection) -> bool:
        looks.append(True)
        if len(looks) == 2:
            raise apsw.BusyError("the database is locked")
        return real(connection)

    monkeypatch.setattr(sqlite_read, "has_expiring", busy_once)
    monkeypatch.setattr(sqlite, "_REAP_EVERY_S", 0.01)

    async def scenario() -> None:
        clock = VirtualClock()
        store = await SQLiteStore.open(tmp_path / "store.db", clock)
        try:
            async with store.watch("/registry/", after=await store.progress()) as batches:
                await store.commit([], [Put("/registry/event", b"", ttl_s=60)])
                await clock.advance(61)
                async for events in batches:
                    if events[-1].value is None:
                        return
        finally:
            await store.close()

    asyncio.run(scenario())
    assert len(looks) > 2
