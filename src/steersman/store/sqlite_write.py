"""The writer thread of the SQLite store: takes what has gathered in the queue, commits it as one transaction, reports back."""

from __future__ import annotations

import asyncio
import logging
import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

import apsw

from steersman.store import sqlite_read as read
from steersman.store.interface import Commit, Delete, Entry, Event, FutureRevision, Guard, Put, Unavailable

log = logging.getLogger(__name__)

_MAX_BATCH = 256
_MAX_REAPED = 500


@dataclass(frozen=True, slots=True)
class Request:
    """One commit, compaction or reaping. `now` is unix seconds, for expiry."""

    guards: Sequence[Guard]
    ops: Sequence[Put | Delete]
    now: int
    future: asyncio.Future[Commit]
    compact_to: int = 0
    reap: bool = False


@dataclass(slots=True)
class Batch:
    """What one transaction did."""

    revision: int
    events: list[Event] = field(default_factory=list)
    outcomes: list[tuple[asyncio.Future[Commit], Commit | Exception]] = field(default_factory=list)


class Writer:
    """Owns the writing connection. `run` is the thread's body; it ends at a None in the queue."""

    def __init__(
        self,
        connection: apsw.Connection,
        requests: queue.SimpleQueue[Request | None],
        deliver: Callable[[Batch], None],
    ) -> None:
        self._connection = connection
        self._requests = requests
        self._deliver = deliver
        self.revision = read.revision(connection)

    def run(self) -> None:
        running = True
        while running:
            gathered: list[Request] = []
            item = self._requests.get()
            while True:
                if item is None:
                    running = False
                    break
                gathered.append(item)
                if len(gathered) >= _MAX_BATCH or self._requests.empty():
                    break
                item = self._requests.get()
            if gathered:
                self._deliver(self._transaction(gathered))
        self._connection.close()

    def _transaction(self, requests: list[Request]) -> Batch:
        batch = Batch(self.revision)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for request in requests:
                batch.outcomes.append((request.future, self._serve(request, batch)))
            self._connection.execute("COMMIT")
        except (apsw.Error, OSError) as fault:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            log.error("store write failed error=%r", str(fault))
            failed = Batch(self.revision)
            failed.outcomes = [(request.future, _unavailable(fault)) for request in requests]
            return failed
        self.revision = batch.revision
        return batch

    def _serve(self, request: Request, batch: Batch) -> Commit | Exception:
        if request.compact_to:
            return self._compact(request.compact_to, batch)
        if request.reap:
            due = self._connection.execute("SELECT key FROM kv WHERE expires <= ?", (request.now,))
            for (key,) in list(islice(due, _MAX_REAPED)):
                self._apply([Delete(key)], request.now, batch)
            return Commit(True, batch.revision, {})
        current: dict[str, Entry | None] = {}
        for guard in request.guards:
            found = self._connection.execute("SELECT id FROM kv WHERE key = ?", (guard.key,)).get
            if (found >> read.SHIFT if found else 0) != guard.mod_revision:
                current = {item.key: read.entry(self._connection, item.key) for item in request.guards}
                return Commit(False, batch.revision, current)
        self._apply(request.ops, request.now, batch)
        return Commit(True, batch.revision, current)

    def _apply(self, ops: Sequence[Put | Delete], now: int, batch: Batch) -> None:
        execute = self._connection.execute
        revision = batch.revision + 1
        position = 0
        for op in ops:
            previous, previous_row = self._previous(op.key)
            row = revision << read.SHIFT | position
            if isinstance(op, Put):
                created = previous.create_revision if previous else revision
                execute("INSERT INTO log VALUES(?,?,?,?,?)", (row, op.key, op.value, created, previous_row))
                expires = now + op.ttl_s if op.ttl_s is not None else None
                execute("INSERT OR REPLACE INTO kv VALUES(?,?,?,?)", (op.key, row, created, expires))
                batch.events.append(Event(op.key, revision, op.value, created, previous))
            elif previous is not None:
                created = previous.create_revision
                execute("INSERT INTO log VALUES(?,?,NULL,?,?)", (row, op.key, created, previous_row))
                execute("DELETE FROM kv WHERE key = ?", (op.key,))
                batch.events.append(Event(op.key, revision, None, created, previous))
            else:
                continue
            position += 1
        if position:
            batch.revision = revision

    def _previous(self, key: str) -> tuple[Entry | None, int]:
        """The key's entry and its row in the log; (None, 0) if it does not exist."""
        sql = "SELECT log.value, kv.id, kv.created FROM kv JOIN log ON log.id = kv.id WHERE kv.key = ?"
        for value, row, created in self._connection.execute(sql, (key,)):
            return Entry(key, value, row >> read.SHIFT, created), row
        return None, 0

    def _compact(self, revision: int, batch: Batch) -> Commit | Exception:
        if revision > batch.revision:
            return FutureRevision(revision, batch.revision)
        execute = self._connection.execute
        done = read.compacted(self._connection)
        if revision <= done:
            return Commit(True, batch.revision, {})
        span = (done << read.SHIFT, (revision + 1) << read.SHIFT)
        newest = execute("SELECT max(id) FROM log").get
        execute("DELETE FROM log WHERE id IN (SELECT previous FROM log WHERE id >= ? AND id < ? AND previous > 0)", span)
        execute("DELETE FROM log WHERE id >= ? AND id < ? AND value IS NULL AND id < ?", (*span, newest))
        execute("INSERT OR REPLACE INTO meta VALUES('compacted', ?)", (revision,))
        return Commit(True, batch.revision, {})


def _unavailable(fault: BaseException) -> Unavailable:
    if isinstance(fault, apsw.FullError):
        return Unavailable("the disk that holds the store is full: free some space, writing goes on by itself")
    return Unavailable(f"the store could not write: {fault}")
