"""The embedded store: SQLite in WAL mode with synchronous=FULL. An acknowledged commit survives kill -9 and power loss.

Two tables. `log` is append-only: one row per change, `id = revision << 10 | position`, with the id of the key's row before.
`kv` maps each live key to its row. A value is therefore written once; history is what compaction has not removed yet.
All writes go through one thread, which commits whatever has gathered in one transaction (group commit) and hands the events
back to the event loop in revision order. Reads use connections of their own and never wait for the writer.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import apsw

from steersman.machinery.clock import Clock
from steersman.store import sqlite_read as read
from steersman.store.interface import Commit, Compacted, Delete, Entry, Event, Guard, Put, RangeResult, Unavailable
from steersman.store.sqlite_write import Batch, Request, Writer
from steersman.store.watchers import Watchers, refuse_compacted

log = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS log(
  id INTEGER PRIMARY KEY, key TEXT NOT NULL, value BLOB, created INTEGER NOT NULL, previous INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS kv(
  key TEXT PRIMARY KEY, id INTEGER NOT NULL, created INTEGER NOT NULL, expires INTEGER) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS kv_expires ON kv(expires) WHERE expires IS NOT NULL;
CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
_SMALL_RANGE = 64
_REAP_EVERY_S = 10.0
_LOG_BYTES = 16 << 20
"""What stays of a write-ahead log that had to grow longer."""


def open_connection(path: Path, *, readonly: bool = False) -> apsw.Connection:
    """A connection with the store's settings. Raises Unavailable in one sentence if the file can't be used."""
    flags = apsw.SQLITE_OPEN_READWRITE | (0 if readonly else apsw.SQLITE_OPEN_CREATE)
    try:
        connection = apsw.Connection(str(path), flags=flags)
        connection.set_busy_timeout(10_000)
        if not readonly:
            # Only a file without tables takes it, and only before the write-ahead log is made.
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA cache_size=-8192")
        connection.execute(f"PRAGMA journal_size_limit={_LOG_BYTES}")
        if readonly:
            connection.execute("PRAGMA query_only=ON")
    except apsw.Error as fault:
        raise Unavailable(f"the store {path} cannot be opened: {fault}") from fault
    return connection


def _overwriting(connection: apsw.Connection, wanted: bool) -> None:
    """Zeroes in place of what is deleted from now on; and once, of what was deleted before."""
    connection.execute(f"PRAGMA secure_delete={'ON' if wanted else 'OFF'}")
    has_been = connection.execute("SELECT value FROM meta WHERE name = 'overwrites'").get
    if wanted and not has_been:
        connection.execute("VACUUM")
        connection.execute("INSERT OR REPLACE INTO meta VALUES('overwrites', 1)")
    elif has_been and not wanted:
        connection.execute("DELETE FROM meta WHERE name = 'overwrites'")


class SQLiteStore:
    """Make with `await SQLiteStore.open(path, clock)`. One process at a time may have a store open."""

    def __init__(self, path: Path, clock: Clock, connection: apsw.Connection) -> None:
        self._path = path
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._watchers = Watchers()
        self._requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._writer = Writer(connection, self._requests, self._deliver)
        self._revision = self._writer.revision
        self._near = open_connection(path, readonly=True)
        self._far = open_connection(path, readonly=True)
        self._readers = ThreadPoolExecutor(1, "store-read")
        self._thread = threading.Thread(target=self._writer.run, name="store-write", daemon=True)
        self._closed = False
        self._reaper: asyncio.TimerHandle | None = None

    @classmethod
    async def open(cls, path: Path, clock: Clock, *, overwrite: bool = False) -> SQLiteStore:
        """Open or make the database file (0600). overwrite: nothing stays in it of what was deleted. Raises Unavailable."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        connection = open_connection(path)
        try:
            if connection.pragma("auto_vacuum") != 2:
                # A file from before the store gave pages back: made anew, once.
                connection.execute("VACUUM")
            for statement in _SCHEMA.strip().split(";\n"):
                connection.execute(statement)
            _overwriting(connection, overwrite)
        except apsw.Error as fault:
            raise Unavailable(f"the store {path} cannot be used: {fault}") from fault
        store = cls(path, clock, connection)
        store._thread.start()
        store._reap_now_and_then()
        return store

    async def get(self, key: str) -> tuple[Entry | None, int]:
        self._check()
        entry = read.entry(self._near, key)
        return entry, max(self._revision, entry.mod_revision if entry else 0)

    async def range(
        self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0, count_only: bool = False
    ) -> RangeResult:
        self._check()
        if 0 < limit <= _SMALL_RANGE and not revision:
            return read.range_now(self._near, prefix, start, limit, count_only)
        return await self._loop.run_in_executor(
            self._readers, read.range_at, self._far, prefix, start, limit, revision, count_only
        )

    async def commit(self, guards: Sequence[Guard], ops: Sequence[Put | Delete]) -> Commit:
        self._check()
        future: asyncio.Future[Commit] = self._loop.create_future()
        self._requests.put(Request(guards, ops, int(self._clock.now().timestamp()), future))
        return await future

    @asynccontextmanager
    async def watch(self, prefix: str, *, after: int) -> AsyncIterator[AsyncIterator[list[Event]]]:
        self._check()
        # Subscribing and noting the revision happen in one turn of the loop: what is later comes live, the rest from the log.
        subscription = self._watchers.subscribe(prefix, max(after, self._revision))
        upto = self._revision
        try:
            compacted = read.compacted(self._near)
            if after < compacted:
                yield refuse_compacted(compacted)
                return
            past: list[list[Event]] = []
            if after < upto:
                try:
                    past = await self._loop.run_in_executor(self._readers, read.changes, self._far, prefix, after, upto)
                except Compacted as gone:
                    yield refuse_compacted(gone.oldest)
                    return
            yield _chain(past, subscription.batches())
        finally:
            self._watchers.unsubscribe(subscription)

    async def progress(self) -> int:
        self._check()
        return self._revision

    async def compact(self, revision: int) -> None:
        self._check()
        future: asyncio.Future[Commit] = self._loop.create_future()
        self._requests.put(Request((), (), 0, future, compact_to=revision))
        await future

    async def size_bytes(self) -> int:
        return sum(p.stat().st_size for p in self._path.parent.glob(self._path.name + "*"))

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._reaper:
            self._reaper.cancel()
        self._requests.put(None)
        await self._loop.run_in_executor(None, self._thread.join)
        # Everything acknowledged has been handed over by callbacks that precede this turn.
        self._readers.shutdown()
        self._near.close()
        self._far.close()
        self._watchers.close()

    def _check(self) -> None:
        if self._closed:
            raise Unavailable("the store is closed")

    def _deliver(self, batch: Batch) -> None:
        """Called by the writer thread after each transaction."""
        try:
            self._loop.call_soon_threadsafe(self._publish, batch)
        except RuntimeError:  # the loop is gone: nobody is left to tell
            log.debug("batch dropped, event loop closed")

    def _publish(self, batch: Batch) -> None:
        self._revision = max(self._revision, batch.revision)
        if batch.events:
            self._watchers.publish(batch.events)
        for future, outcome in batch.outcomes:
            if future.done():
                continue
            if isinstance(outcome, Commit):
                future.set_result(outcome)
            else:
                future.set_exception(outcome)

    async def reap(self) -> None:
        """Delete the keys that have expired by now."""
        future: asyncio.Future[Commit] = self._loop.create_future()
        self._requests.put(Request((), (), int(self._clock.now().timestamp()), future, reap=True))
        await future

    def _reap_now_and_then(self) -> None:
        """A timer on the loop, not a task: a store without expiring keys costs one small query per 10 s."""
        if self._closed:
            return
        # First: whatever goes wrong below, it is looked at again.
        self._reaper = self._loop.call_later(_REAP_EVERY_S, self._reap_now_and_then)
        try:
            wanted = read.has_expiring(self._near)
        except apsw.Error as fault:
            log.warning("store not looked through for what has expired, will retry error=%s", fault)
            return
        if wanted:
            future: asyncio.Future[Commit] = self._loop.create_future()
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._requests.put(Request((), (), int(self._clock.now().timestamp()), future, reap=True))


async def _chain(past: list[list[Event]], live: AsyncIterator[list[Event]]) -> AsyncIterator[list[Event]]:
    for events in past:
        yield events
    async for events in live:
        yield events
