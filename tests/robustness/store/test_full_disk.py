"""A full disk: writes are refused with what is the matter, reads and watches go on, and it heals when there is space again."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import orjson
import pytest
from tests.fakes.server import config_map, world

from steersman.machinery.clock import RealClock, VirtualClock
from steersman.store.interface import Commit, Delete, Event, Guard, NoSpace, Put
from steersman.store.memory import MemoryStore
from steersman.store.sqlite import SQLiteStore

_PODS = "/registry/pods/default/"
_VALUE = b"x" * 2000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "steersman-test", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(place: Path) -> Path:
    """A file that takes all the space that is left."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as fault:
            assert fault.errno == errno.ENOSPC
    return filler


async def written_until_full(store: SQLiteStore, acknowledged: dict[str, int], start: int) -> None:
    """Eight writers; each ends at the first refusal."""

    async def write(writer: int) -> None:
        for number in range(10_000):
            key = f"{_PODS}{start}-{writer}-{number}"
            try:
                outcome = await store.commit([Guard(key, 0)], [Put(key, _VALUE)])
            except NoSpace as fault:
                assert str(fault) == "the disk that holds the store is full: free some space, writing goes on by itself"
                return
            acknowledged[key] = outcome.revision
        raise AssertionError("the disk was never full")

    await asyncio.gather(*(write(writer) for writer in range(8)))


async def found(store: SQLiteStore) -> dict[str, int]:
    return {entry.key: entry.mod_revision for entry in (await store.range(_PODS)).entries}


async def collect(batches: AsyncIterator[list[Event]], into: dict[str, int], until: int) -> None:
    async for events in batches:
        into.update((event.key, event.revision) for event in events if event.value is not None)
        if events[-1].revision >= until:
            return


@pytest.mark.root
def test_nothing_acknowledged_is_lost_when_the_disk_fills_up_and_it_heals(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "steersman.store")

    async def scenario() -> None:
        path = small_disk / "store.db"
        store = await SQLiteStore.open(path, RealClock())
        acknowledged: dict[str, int] = {}
        seen: dict[str, int] = {}
        for turn in range(3):
            begin = await store.progress()
            async with store.watch(_PODS, after=begin) as batches:
                filler = fill(small_disk)
                if turn == 0:
                    # This time it becomes full in the middle of writing.
                    os.truncate(filler, 12 << 20)
                await written_until_full(store, acknowledged, turn)
                assert await found(store) == acknowledged
                assert (await store.get(next(iter(acknowledged))))[0] is not None
                told = len(caplog.records)
                # More than what a refused group has left of the log it had begun to write.
                for _ in range(20):
                    with pytest.raises(NoSpace):
                        await store.commit([], [Put(_PODS + "more", _VALUE * 200)])
                assert len(caplog.records) == told
                filler.unlink()
                key = f"{_PODS}healed-{turn}"
                acknowledged[key] = (await store.commit([], [Put(key, b"")])).revision
                await collect(batches, seen, acknowledged[key])
            assert seen == acknowledged == await found(store)
            # Space for the next turn.
            gone = sorted(acknowledged)[::2]
            for at in range(0, len(gone), 50):
                await store.commit([], [Delete(key) for key in gone[at : at + 50]])
            for key in gone:
                del acknowledged[key], seen[key]
            await store.compact(await store.progress())
        await store.close()
        store = await SQLiteStore.open(path, RealClock())
        assert await found(store) == acknowledged
        await store.close()

    asyncio.run(asyncio.wait_for(scenario(), 600))
    told = [record.getMessage() for record in caplog.records]
    assert len(told) >= 6
    assert all(line.startswith("store cannot write, every write is refused until it can again") for line in told[::2])
    assert all(line.startswith("store writes again") for line in told[1::2])


def test_a_file_that_may_not_grow_is_a_full_disk_too(tmp_path: Path) -> None:
    """The same without root: SQLite's own limit gives the same error."""

    async def scenario() -> None:
        store = await SQLiteStore.open(tmp_path / "store.db", RealClock())
        await store.commit([], [Put(_PODS + "first", _VALUE)])
        connection = store._writer._connection
        connection.pragma("max_page_count", 200)
        acknowledged = {_PODS + "first": 2}
        await written_until_full(store, acknowledged, 0)
        assert await found(store) == acknowledged
        connection.pragma("max_page_count", 1 << 30)
        revision = (await store.commit([], [Put(_PODS + "healed", b"")])).revision
        assert revision == max(acknowledged.values()) + 1
        await store.close()

    asyncio.run(scenario())


class Full(MemoryStore):
    """A store on a disk that may be full."""

    full = False

    async def commit(self, guards: Sequence[Guard], ops: Sequence[Put | Delete]) -> Commit:
        if self.full:
            raise NoSpace("the disk that holds the store is full: free some space, writing goes on by itself")
        return await super().commit(guards, ops)


def test_a_client_is_told_at_once_and_only_by_what_it_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        store = Full(VirtualClock())
        async with world(store=store) as w:
            maps = "/api/v1/namespaces/default/configmaps"
            assert (await w.raw("POST", maps, config_map("before"))).status == 201
            store.full = True
            changed = {**config_map("before"), "data": {"changed": "yes"}}
            one = f"{maps}/before"
            for method, target, body in (("POST", maps, config_map("more")), ("PUT", one, changed), ("DELETE", one, None)):
                answer = await w.raw(method, target, body)
                status = orjson.loads(answer.body)
                assert (answer.status, status["reason"]) == (500, "InternalError")
                assert status["message"].startswith("Internal error occurred: the disk that holds the store is full: free some")
                # kubectl and client-go wait and ask again when they are told to, and say nothing meanwhile.
                assert "retry-after" not in {name.lower() for name in answer.headers}
            listed = await w.obj("GET", maps)
            assert [item["metadata"]["name"] for item in listed["items"]] == ["before"]
            store.full = False
            assert (await w.raw("POST", maps, config_map("more"))).status == 201
        assert caplog.records == []

    asyncio.run(scenario())
