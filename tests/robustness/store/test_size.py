"""The store's files stay as large as what it holds: over days of lease renewals, and after much was deleted.

The days are virtual. They are thinned out so that the tests take seconds: few leases for three days (864 compactions), and two
hundred for an hour (twelve compactions of 6,000 renewals each).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
import threading
from collections.abc import Awaitable, Iterator
from pathlib import Path

import apsw
import pytest

from steersman.apiserver import compaction
from steersman.machinery.clock import VirtualClock
from steersman.store.interface import Delete, Guard, Put, Unavailable
from steersman.store.sqlite import SQLiteStore

_RENEW_S = 10
_LEASE = b"x" * 500
_ROW = 700
"""A lease with its key and its share of pages."""
_LOG = 1100 * 4200
"""A write-ahead log when it is due to be copied into the database."""
_SPARE = 1024 * 4096


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory where there is one: only sizes matter here, and three days are many fsyncs."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        yield Path(folder)


def files_bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in path.parent.iterdir())


@pytest.mark.parametrize(("leases", "hours"), [(5, 72), (200, 1)])
def test_lease_renewals_do_not_add_up(memory: Path, leases: int, hours: int) -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        path = memory / "store.db"
        store = await SQLiteStore.open(path, clock)
        revisions = [0] * leases
        largest = 0

        async def renew(lease: int) -> None:
            key = f"/registry/coordination.k8s.io/leases/kube-node-lease/node-{lease}"
            outcome = await store.commit([Guard(key, revisions[lease])], [Put(key, _LEASE)])
            assert outcome.ok
            revisions[lease] = outcome.revision

        async with asyncio.TaskGroup() as group:
            compacting = group.create_task(compaction.run(store, clock))
            for _ in range(hours * 3600 // _RENEW_S):
                await asyncio.gather(*(renew(lease) for lease in range(leases)))
                await clock.advance(_RENEW_S, settle_turns=1)
                largest = max(largest, files_bytes(path))
            compacting.cancel()
        # History of the last two intervals is readable, the third is being deleted.
        history = 3 * leases * int(compaction.INTERVAL_S / _RENEW_S)
        assert largest < _LOG + _SPARE + _ROW * (leases + history)
        assert (await store.range("/registry/coordination.k8s.io/")).count == leases
        await store.close()

    asyncio.run(scenario())


def test_what_was_deleted_leaves_the_file(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "store" / "store.db"
        store = await SQLiteStore.open(path, VirtualClock())
        keys = [f"/registry/pods/default/{number}" for number in range(3000)]
        value = random.Random(1).randbytes(5000)
        for at in range(0, len(keys), 100):
            await store.commit([], [Put(key, value) for key in keys[at : at + 100]])
        assert files_bytes(path) > 15_000_000
        for at in range(0, len(keys) - 10, 10):
            await store.commit([], [Delete(key) for key in keys[at : at + 10]])
        await store.compact(await store.progress())
        # Whatever comes next finds the file small already.
        await store.commit([], [Put("/registry/pods/default/last", b"")])
        assert path.stat().st_size < _SPARE + 1_000_000
        await store.commit([], [Delete("/registry/pods/default/last")])
        await store.close()
        assert files_bytes(path) < _SPARE + 1_000_000
        store = await SQLiteStore.open(path, VirtualClock())
        assert [entry.key for entry in (await store.range("/registry/")).entries] == sorted(keys[-10:])
        await store.close()

    asyncio.run(scenario())


def test_however_many_keys_expire_at_once_they_go_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        store = await SQLiteStore.open(tmp_path / "store.db", clock)
        for at in range(0, 1700, 100):
            await store.commit([], [Put(f"/registry/events/{at + number}", b"", ttl_s=60) for number in range(100)])
        await clock.advance(61)
        await store.reap()
        assert (await store.range("/registry/")).count == 0
        await store.close()

    asyncio.run(scenario())


def test_a_compaction_that_was_cut_short_is_finished_by_the_next(tmp_path: Path) -> None:
    def rows() -> int:
        with contextlib.closing(apsw.Connection(str(tmp_path / "store.db"))) as connection:
            return int(connection.execute("SELECT count(*) FROM log").get)

    async def scenario() -> None:
        store = await SQLiteStore.open(tmp_path / "store.db", VirtualClock())
        for _ in range(40):
            await asyncio.gather(*(store.commit([], [Put("/registry/a", b"")]) for _ in range(100)))
        async with asyncio.TaskGroup() as group:
            # Closing lets the slice that was begun finish, and refuses the rest. The writer does not wait by itself.
            asked = threading.Event()

            def hold(point: str) -> None:
                if point == "duringCompaction":
                    asked.wait()

            store._writer._passed = hold
            group.create_task(refused(store.compact(4001)))
            await VirtualClock().sleep(0)
            group.create_task(store.close())
            await VirtualClock().sleep(0)
            asked.set()
        assert 1 < rows() < 4000
        store = await SQLiteStore.open(tmp_path / "store.db", VirtualClock())
        await store.compact(4001)
        await store.close()
        assert rows() == 1

    async def refused(compacting: Awaitable[None]) -> None:
        with pytest.raises(Unavailable):
            await compacting

    asyncio.run(scenario())
