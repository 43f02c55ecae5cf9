"""The store over etcd, version 3.4 or later: same contract and same keys and values as the embedded one.

Several API servers may share one etcd. A compare-and-swap is one transaction, reads are linearizable. An etcd that is away makes
calls raise Unavailable within seconds; watches wait and resume.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from grpc import StatusCode

from steersman.machinery.clock import Clock
from steersman.store import etcd_wire as wire
from steersman.store.etcd_calls import TLS, Endpoints, Failed
from steersman.store.etcd_leases import Leases
from steersman.store.etcd_watch import Watch, oldest
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
from steersman.store.watchers import prefix_end

log = logging.getLogger(__name__)

ROOT = "/registry/"
"""Where the cluster's keys are. What else is kept in the same etcd is none of ours."""
_NO_KEY = b"\0"
"""Read for the revision that comes with every answer; finding nothing costs etcd nothing."""
_PAGE = 500
_LATE_S = 2.0
_CATCH_UP_S = 8.0
_START_S = 20.0


class EtcdStore:
    """Make with `await EtcdStore.open(servers, tls, clock)`."""

    def __init__(self, endpoints: Endpoints, clock: Clock) -> None:
        self._endpoints = endpoints
        self._clock = clock
        self._leases = Leases(endpoints, clock)
        self._watches: set[Watch] = set()
        self._changed = 1
        self._reading = asyncio.Lock()
        self._round = 0
        self._newest: tuple[int, int | Unavailable] = (0, 0)

    @classmethod
    async def open(cls, servers: Sequence[str], tls: TLS, clock: Clock, *, patience_s: float = _START_S) -> EtcdStore:
        """Connect; wait a while for an etcd that is only just starting. Raises Unavailable, ValueError, OSError."""
        store = cls(Endpoints(servers, tls, clock), clock)
        until = clock.monotonic() + patience_s
        told = False
        while True:
            try:
                await store.progress()
                return store
            except Unavailable as fault:
                if clock.monotonic() >= until:
                    await store.close()
                    raise
                if not told:
                    log.warning("etcd is not there yet, will retry: error=%s", fault)
                    told = True
                await clock.sleep(0.5)
            except BaseException:
                await store.close()
                raise

    async def get(self, key: str) -> tuple[Entry | None, int]:
        found = await self._range(wire.range_request(key.encode()))
        return (found.entries[0] if found.entries else None), found.revision

    async def range(
        self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0, count_only: bool = False
    ) -> RangeResult:
        if count_only:
            count, at = await self._count(prefix, revision)
            return RangeResult([], at, count, False)
        while True:
            try:
                return await self._pages(prefix, max(start, prefix), limit, revision)
            except Compacted:
                # Only what the caller named can be gone for them; a compaction between our own pages is ours to bear.
                if revision:
                    raise

    async def commit(self, guards: Sequence[Guard], ops: Sequence[Put | Delete]) -> Commit:
        try:
            return await self._commit(guards, ops)
        except Failed as fault:
            if fault.code is not StatusCode.NOT_FOUND:
                raise _unexpected(fault) from fault
        # A lease ended while etcd was away or its clock ahead. Nothing was written: once more with a new one.
        self._leases.forget()
        try:
            return await self._commit(guards, ops)
        except Failed as fault:
            raise _unexpected(fault) from fault

    async def _commit(self, guards: Sequence[Guard], ops: Sequence[Put | Delete]) -> Commit:
        leases = [await self._leases.join(op.ttl_s) if isinstance(op, Put) and op.ttl_s is not None else 0 for op in ops]
        request = wire.txn_request(guards, ops, leases)
        answer = await self._endpoints.call(wire.TXN, request, wire.txn_answer, repeatable=not ops)
        current = {guard.key: entry for guard, entry in zip(guards, answer.found, strict=False)}
        return Commit(answer.succeeded, answer.revision, current)

    @asynccontextmanager
    async def watch(self, prefix: str, *, after: int) -> AsyncIterator[AsyncIterator[list[Event]]]:
        self._endpoints.check_open()
        watch = Watch(self._endpoints, self._clock, prefix, after, self._check_kept, self._note)
        self._watches.add(watch)
        fault: Exception | None = None
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(watch.run())
            task.add_done_callback(lambda _: self._watches.discard(watch))
            try:
                yield watch.batches()
            except Exception as raised:
                # The group would wrap what the reader raised, Compacted for one.
                fault = raised
            finally:
                task.cancel()
        if fault is not None:
            raise fault

    async def progress(self) -> int:
        """The last revision that changed a key of the cluster's: other keys give no event, so nobody could wait for theirs."""
        revision = await self._revision()
        if all(watch.ended for watch in self._watches):
            self._changed = max(self._changed, revision)
        elif not await self._delivered(revision, _LATE_S):
            # The member that a watch follows hangs, or is cut off: another one has it.
            for watch in self._watches:
                watch.abandon_before(revision)
            if not await self._delivered(revision, _CATCH_UP_S):
                raise Unavailable(f"etcd's watch has not delivered revision {revision} within {_LATE_S + _CATCH_UP_S:g} s")
        return self._changed

    async def _delivered(self, revision: int, patience_s: float) -> bool:
        """Whether every watch gets there in time."""
        behind = [watch for watch in self._watches if watch.seen < revision]
        if not behind:
            return True
        try:
            async with asyncio.timeout(patience_s):
                for watch in behind:
                    await watch.reach(revision)
        except TimeoutError:
            return False
        return True

    async def compact(self, revision: int) -> None:
        try:
            await self._endpoints.call(wire.COMPACT, wire.compaction_request(revision), len)
        except Failed as fault:
            if "has been compacted" in fault.details:
                return
            raise await self._meaning(fault, revision) from fault

    async def size_bytes(self) -> int:
        return await self._endpoints.call(wire.STATUS, b"", wire.status_answer)

    async def close(self) -> None:
        for watch in self._watches:
            watch.end()
        await self._endpoints.close()

    async def _pages(self, prefix: str, start: str, limit: int, revision: int) -> RangeResult:
        """A page at a time, all of one revision: etcd makes an answer whole in memory before it sends it."""
        end = prefix_end(prefix).encode()
        entries: list[Entry] = []
        key, at, count = start.encode() or wire.EVERYTHING, revision, 0
        while True:
            size = min(_PAGE, limit - len(entries)) if limit else _PAGE
            found = await self._range(wire.range_request(key, end, limit=size, revision=at), at)
            if not entries:
                at, count = revision or found.revision, found.total
            entries += found.entries
            if not found.more or len(entries) == limit:
                break
            key = found.entries[-1].key.encode() + b"\0"
        if start > prefix:
            count, _ = await self._count(prefix, at)
        return RangeResult(entries, at, count, found.more)

    async def _count(self, prefix: str, revision: int) -> tuple[int, int]:
        key = prefix.encode() or wire.EVERYTHING
        request = wire.range_request(key, prefix_end(prefix).encode(), revision=revision, count_only=True)
        found = await self._range(request, revision)
        return found.total, revision or found.revision

    async def _range(self, request: bytes, revision: int = 0) -> wire.RangeAnswer:
        try:
            return await self._endpoints.call(wire.RANGE, request, wire.range_answer)
        except Failed as fault:
            raise await self._meaning(fault, revision) from fault

    async def _meaning(self, fault: Failed, revision: int) -> Exception:
        if "has been compacted" in fault.details:
            return Compacted(await oldest(self._endpoints))
        if "future revision" in fault.details:
            return FutureRevision(revision, await self._revision())
        return _unexpected(fault)

    async def _check_kept(self, revision: int) -> None:
        await self._range(wire.range_request(_NO_KEY, revision=revision), revision)

    async def _revision(self) -> int:
        """The store's revision, read after this call began. Those who ask while a reading is under way share the next one."""
        asked_in = self._round
        async with self._reading:
            done_in, outcome = self._newest
            if done_in <= asked_in:
                self._round = done_in = self._round + 1
                try:
                    answer = await self._endpoints.call(wire.RANGE, wire.range_request(_NO_KEY), wire.range_answer)
                    outcome = answer.revision
                except Unavailable as fault:
                    outcome = fault
                self._newest = done_in, outcome
        if isinstance(outcome, Unavailable):
            raise Unavailable(str(outcome))
        return outcome

    def _note(self, events: list[Event]) -> None:
        """Remember the newest of the cluster's changes."""
        for event in reversed(events):
            if event.key.startswith(ROOT):
                self._changed = max(self._changed, event.revision)
                return


def _unexpected(fault: Failed) -> Unavailable:
    return Unavailable(f"etcd refuses: {fault.details}")
