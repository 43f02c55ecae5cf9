"""The writer thread of the SQLite store: takes what has gathered in the queue, commits it as one transaction, reports back.

What is too much for one transaction (a compaction, many expired keys) does a slice of it and goes back to the queue's end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import apsw

from steersman.store import failpoints
from steersman.store import sqlite_keeping as keeping
from steersman.store import sqlite_read as read
from steersman.store.interface import Commit, Delete, Event, FutureRevision, Guard, NoSpace, Put, Unavailable
from steersman.store.sqlite_batch import Staged

log = logging.getLogger(__name__)

_MAX_BATCH = 256


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
    unfinished: list[Request] = field(default_factory=list)


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
        self._passed = failpoints.armed(os.environ)
        self._checkpoints = keeping.Checkpoints(connection, self._passed)
        self._failing = False
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
                if not self._transact(gathered):
                    # The log can be written from its beginning again, which a full disk has room for, once it is copied.
                    self._checkpoints.hurry()
                    self._checkpoints.take_if_due()
                    self._transact(gathered, last_try=True)
                self._checkpoints.take_if_due()
        self._refuse_the_rest()
        self._connection.close()

    def _transact(self, requests: list[Request], last_try: bool = False) -> bool:
        """Serve the requests in one transaction, then acknowledge them: all, or on a fault none. False: to be tried once more."""
        batch = Batch(self.revision)
        try:
            self._pass("beforeBegin")
            self._connection.execute("BEGIN IMMEDIATE")
            staged = Staged(self._connection)
            staged.load(_keys(requests))
            for request in requests:
                outcome = self._serve(request, batch, staged)
                if outcome is None:
                    batch.unfinished.append(request)
                else:
                    batch.outcomes.append((request.future, outcome))
                if self._passed:
                    self._passed("betweenRequests")
            staged.flush()
            self._pass("beforeCommit")
            self._commit(batch)
        except Exception as fault:
            # Whatever it is: a thread that dies here would leave every later writer waiting for good.
            with contextlib.suppress(apsw.Error):
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            if isinstance(fault, apsw.FullError) and not last_try:
                return False
            self._fail(requests, fault)
            return True
        if self._failing:
            self._failing = False
            log.info("store writes again revision=%d", self.revision)
        for request in batch.unfinished:
            self._requests.put(request)
        return True

    def _commit(self, batch: Batch) -> None:
        """Nobody is told before it is durable."""
        self._connection.execute("COMMIT")
        self._pass("beforeAcknowledge")
        self.revision = batch.revision
        self._deliver(batch)

    def _pass(self, point: str) -> None:
        if self._passed:
            self._passed(point)

    def _fail(self, requests: list[Request], fault: Exception) -> None:
        """One line in the log when writing stops working, however many requests meet it."""
        if not self._failing:
            self._failing = True
            log.error("store cannot write, every write is refused until it can again error=%r", str(fault))
        failed = Batch(self.revision)
        failed.outcomes = [(request.future, _unavailable(fault)) for request in requests]
        self._deliver(failed)

    def _refuse_the_rest(self) -> None:
        closed = Batch(self.revision)
        while not self._requests.empty():
            request = self._requests.get()
            if request is not None:
                closed.outcomes.append((request.future, Unavailable("the store is closed")))
        self._deliver(closed)

    def _serve(self, request: Request, batch: Batch, staged: Staged) -> Commit | Exception | None:
        """The outcome, or None if there is more to do."""
        if request.compact_to:
            staged.flush()
            return self._compact(request.compact_to, batch)
        if request.reap:
            staged.flush()
            keys, all_of_them = keeping.expired(self._connection, request.now)
            staged.load(keys)
            for key in keys:
                _apply([Delete(key)], request.now, batch, staged)
            return Commit(True, batch.revision, {}) if all_of_them else None
        for guard in request.guards:
            entry = staged.entry(guard.key)
            if (entry.mod_revision if entry is not None else 0) != guard.mod_revision:
                return Commit(False, batch.revision, {item.key: staged.entry(item.key) for item in request.guards})
        _apply(request.ops, request.now, batch, staged)
        return Commit(True, batch.revision, {})

    def _compact(self, revision: int, batch: Batch) -> Commit | Exception | None:
        if revision > batch.revision:
            return FutureRevision(revision, batch.revision)
        keeping.forget(self._connection, revision)
        swept = keeping.sweep(self._connection, self._passed)
        if swept and keeping.shrink(self._connection):
            self._checkpoints.hurry()
            return Commit(True, batch.revision, {})
        return None


def _keys(requests: Sequence[Request]) -> Iterator[str]:
    """All that they guard and change. May repeat itself."""
    for request in requests:
        for guard in request.guards:
            yield guard.key
        for op in request.ops:
            yield op.key


def _apply(ops: Sequence[Put | Delete], now: int, batch: Batch, staged: Staged) -> None:
    """Stage one commit's operations under one revision, if they change anything. Their keys are loaded."""
    revision = batch.revision + 1
    position = 0
    for op in ops:
        row = revision << read.SHIFT | position
        if isinstance(op, Put):
            event: Event | None = staged.put(op.key, op.value, row, now + op.ttl_s if op.ttl_s is not None else None)
        else:
            event = staged.delete(op.key, row)
        if event is not None:
            batch.events.append(event)
            position += 1
    if position:
        batch.revision = revision


def _unavailable(fault: Exception) -> Unavailable:
    # The second is the index of the write-ahead log, which is mapped into memory: it too lies on the disk.
    if isinstance(fault, apsw.FullError) or getattr(fault, "extendedresult", 0) == apsw.SQLITE_IOERR_SHMSIZE:
        return NoSpace("the disk that holds the store is full: free some space, writing goes on by itself")
    return Unavailable(f"the store could not write: {fault}")
