"""A store in memory: for tests and throw-away clusters. Nothing survives the process; otherwise the contract is SQLite's."""

from __future__ import annotations

import bisect
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from steersman.machinery.clock import Clock
from steersman.store.interface import (
    Commit,
    Compacted,
    Delete,
    Entry,
    Event,
    FutureRevision,
    Guard,
    Put,
    RangeResult,
    Unavailable,
)
from steersman.store.watchers import Watchers, prefix_end, refuse_compacted


class MemoryStore:
    """Current entries in a dict with a sorted key list, and the history of events since the last compaction."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: dict[str, Entry] = {}
        self._keys: list[str] = []
        self._expires: dict[str, float] = {}
        self._history: list[Event] = []
        self._revision = 1
        self._compacted = 0
        self._watchers = Watchers()
        self._closed = False

    async def get(self, key: str) -> tuple[Entry | None, int]:
        self._check()
        return self._entries.get(key), self._revision

    async def range(
        self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0, count_only: bool = False
    ) -> RangeResult:
        self._check()
        entries, keys = self._at(revision)
        first = bisect.bisect_left(keys, prefix)
        last = bisect.bisect_left(keys, prefix_end(prefix))
        begin = max(first, bisect.bisect_left(keys, start)) if start else first
        end = min(last, begin + limit) if limit else last
        found = [] if count_only else [entries[key] for key in keys[begin:end]]
        return RangeResult(found, revision or self._revision, last - first, end < last)

    async def commit(self, guards: Sequence[Guard], ops: Sequence[Put | Delete]) -> Commit:
        self._check()
        self._reap()
        current = {guard.key: self._entries.get(guard.key) for guard in guards}
        for guard in guards:
            entry = current[guard.key]
            if (entry.mod_revision if entry else 0) != guard.mod_revision:
                return Commit(False, self._revision, current)
        events = self._apply(ops)
        if events:
            self._watchers.publish(events)
        return Commit(True, self._revision, {})

    @asynccontextmanager
    async def watch(self, prefix: str, *, after: int) -> AsyncIterator[AsyncIterator[list[Event]]]:
        self._check()
        subscription = self._watchers.subscribe(prefix, after)
        too_old = after < self._compacted
        if not too_old:
            past: dict[int, list[Event]] = {}
            for event in self._history:
                past.setdefault(event.revision, []).append(event)
            for events in past.values():
                subscription.feed(events)
        try:
            yield refuse_compacted(self._compacted) if too_old else subscription.batches()
        finally:
            self._watchers.unsubscribe(subscription)

    async def progress(self) -> int:
        self._reap()
        return self._revision

    async def compact(self, revision: int) -> None:
        self._check()
        if revision > self._revision:
            raise FutureRevision(revision, self._revision)
        self._compacted = max(self._compacted, revision)
        self._history = [event for event in self._history if event.revision > revision]

    async def size_bytes(self) -> int:
        return sum(len(entry.key) + len(entry.value) for entry in self._entries.values())

    async def close(self) -> None:
        self._closed = True
        self._watchers.close()

    def _check(self) -> None:
        if self._closed:
            raise Unavailable("the store is closed")

    def _apply(self, ops: Sequence[Put | Delete]) -> list[Event]:
        revision = self._revision + 1
        events: list[Event] = []
        for op in ops:
            previous = self._entries.get(op.key)
            if isinstance(op, Put):
                created = previous.create_revision if previous else revision
                self._entries[op.key] = Entry(op.key, op.value, revision, created)
                if previous is None:
                    bisect.insort(self._keys, op.key)
                self._expires.pop(op.key, None)
                if op.ttl_s is not None:
                    self._expires[op.key] = self._clock.monotonic() + op.ttl_s
                events.append(Event(op.key, revision, op.value, created, previous))
            elif previous is not None:
                del self._entries[op.key]
                del self._keys[bisect.bisect_left(self._keys, op.key)]
                self._expires.pop(op.key, None)
                events.append(Event(op.key, revision, None, previous.create_revision, previous))
        if events:
            self._revision = revision
            self._history.extend(events)
        return events

    def _reap(self) -> None:
        """Expired keys go when somebody looks: virtual clocks have no timers of their own."""
        now = self._clock.monotonic()
        due = [key for key, moment in self._expires.items() if moment <= now]
        if due:
            self._watchers.publish(self._apply([Delete(key) for key in due]))

    def _at(self, revision: int) -> tuple[dict[str, Entry], list[str]]:
        if revision and revision < self._compacted:
            raise Compacted(self._compacted)
        if revision > self._revision:
            raise FutureRevision(revision, self._revision)
        if not revision or revision == self._revision:
            self._reap()
            return self._entries, self._keys
        entries = dict(self._entries)
        for event in reversed(self._history):
            if event.revision <= revision:
                break
            if event.previous is None:
                entries.pop(event.key, None)
            else:
                entries[event.key] = event.previous
        return entries, sorted(entries)
