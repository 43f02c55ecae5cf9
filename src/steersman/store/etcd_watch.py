"""One watch over etcd: follows every change of the whole store, across broken connections, and hands on what it was asked for.

It follows the whole store and not only its prefix, because then each revision shows as an event, and the watch knows exactly how
far it is. etcd's own notice of progress can run ahead of events before 3.4.25 and 3.5.8, so nothing here relies on it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NoReturn

from grpc import aio

from steersman.machinery.clock import Clock
from steersman.machinery.lasting import being_cancelled
from steersman.store import etcd_wire as wire
from steersman.store.etcd_calls import ATTEMPT_S, Endpoint, Endpoints, Stream, reason
from steersman.store.interface import Compacted, Event, FutureRevision, Unavailable
from steersman.store.watchers import Subscription

log = logging.getLogger(__name__)

_PAUSES_S = (0.0, 0.1, 0.3, 1.0)
"""Before the first, second, third and every further try to resume."""


class Watch:
    """`run()` is its task. `seen`: every event up to this revision has been handed to the queue."""

    def __init__(
        self,
        endpoints: Endpoints,
        clock: Clock,
        prefix: str,
        after: int,
        check_kept: Callable[[int], Awaitable[None]],
        changed: Callable[[list[Event]], None],
    ) -> None:
        """`check_kept` raises Compacted or FutureRevision for a revision; `changed` is told of all events first."""
        self._endpoints = endpoints
        self._clock = clock
        self._queue = Subscription(prefix, after)
        self._check_kept = check_kept
        self._changed = changed
        self._stream: Stream | None = None
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._compacted: Compacted | None = None
        self._failures = 0
        self.seen = after
        self.ended = False

    async def batches(self) -> AsyncIterator[list[Event]]:
        async for events in self._queue.batches():
            yield events
        if self._compacted is not None:
            raise self._compacted

    async def run(self) -> None:
        """Until cancelled, ended, or until what comes next has been compacted away."""
        try:
            while not self.ended:
                endpoint = self._endpoints.current
                why = await self._connected(endpoint)
                if self.ended:
                    return
                self._failures += 1
                level = logging.WARNING if self._failures == 1 else logging.DEBUG
                log.log(level, "etcd watch broken off, will resume: after=%d error=%s", self.seen, why)
                self._endpoints.leave(endpoint)
                await self._clock.sleep(_PAUSES_S[min(self._failures, len(_PAUSES_S)) - 1])
        except Compacted as gone:
            self._compacted = gone
        finally:
            self.end()

    async def _connected(self, endpoint: Endpoint) -> str:
        """One connection from beginning to end; why it ended."""
        try:
            self._stream = await endpoint.stream(wire.WATCH)
            await self._follow(self._stream)
        except aio.AioRpcError as fault:
            return reason(fault)
        except (Unavailable, asyncio.InvalidStateError) as fault:
            return str(fault)
        except asyncio.CancelledError:
            if being_cancelled():
                raise
            return "the connection was given up"
        finally:
            if self._stream is not None:
                self._stream.cancel()
                self._stream = None

    async def reach(self, revision: int) -> None:
        """Until `seen` is there or the watch has ended."""
        if self.seen >= revision or self.ended:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append((revision, waiter))
        await waiter

    def abandon_before(self, revision: int) -> None:
        """Give the connection up and resume on another one, unless the revision is there."""
        if self.seen < revision and self._stream is not None:
            self._stream.cancel()

    def end(self) -> None:
        """Let readers finish."""
        self.ended = True
        self._queue.close()
        self._release()

    async def _follow(self, stream: Stream) -> NoReturn:
        await stream.write(wire.watch_request(self.seen + 1))
        gathered: list[Event] = []
        while True:
            answer = await _answer(stream)
            if answer.created:
                await self._begun()
            gathered += answer.events
            if gathered and not answer.fragment:
                self._take(gathered)
                gathered = []

    async def _begun(self) -> None:
        """etcd would still serve the compacted revision itself, without its deletions: the contract says Compacted."""
        try:
            await self._check_kept(max(self.seen, 1))
        except FutureRevision as fault:
            # Whoever knows that revision has it from a store that is no longer this one: restored, or made anew.
            log.error("etcd has gone back in time: seen=%d now=%d", self.seen, fault.current)
            raise Compacted(fault.current) from fault
        if self._failures:
            log.info("etcd watch resumed: after=%d", self.seen)
        self._failures = 0

    def _take(self, events: list[Event]) -> None:
        self.seen = events[-1].revision
        self._changed(events)
        self._queue.feed(events)
        self._release()

    def _release(self) -> None:
        still: list[tuple[int, asyncio.Future[None]]] = []
        for revision, waiter in self._waiting:
            if waiter.done():
                continue
            if revision <= self.seen or self.ended:
                waiter.set_result(None)
            else:
                still.append((revision, waiter))
        self._waiting = still


async def oldest(endpoints: Endpoints) -> int:
    """The compacted revision: etcd tells it only to a watch that asks for what is gone. Raises Unavailable."""
    stream: Stream | None = None
    try:
        async with asyncio.timeout(ATTEMPT_S):
            stream = await endpoints.current.stream(wire.WATCH)
            await stream.write(wire.watch_request(1))
            while not (await _answer(stream)).events:
                pass
            return 1
    except Compacted as gone:
        return gone.oldest
    except aio.AioRpcError as fault:
        raise endpoints.unreachable(reason(fault)) from fault
    except TimeoutError as fault:
        raise endpoints.unreachable("no answer to a watch") from fault
    finally:
        if stream is not None:
            stream.cancel()


async def _answer(stream: Stream) -> wire.WatchAnswer:
    """The next answer on a watch's stream. Raises Compacted, Unavailable, aio.AioRpcError."""
    data = await stream.read()
    if not isinstance(data, bytes):
        raise Unavailable("etcd ended the stream")
    answer = wire.watch_answer(data)
    if not answer.canceled:
        return answer
    if answer.compact_revision:
        raise Compacted(answer.compact_revision)
    raise Unavailable(answer.reason or "etcd cancelled the watch")
