"""Fan-out of committed events to watches, shared by the embedded stores: one queue per watch, filled in revision order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence

from steersman.store.interface import Compacted, Event


class Subscription:
    """One watch's queue. `feed` is called on the event loop with events of whole revisions, in order."""

    def __init__(self, prefix: str, after: int) -> None:
        self.prefix = prefix
        self.after = after
        self._pending: deque[list[Event]] = deque()
        self._wake = asyncio.Event()
        self._closed = False

    def feed(self, events: Sequence[Event]) -> None:
        mine = [event for event in events if event.revision > self.after and event.key.startswith(self.prefix)]
        if mine:
            self._pending.append(mine)
            self._wake.set()

    def close(self) -> None:
        self._closed = True
        self._wake.set()

    async def batches(self) -> AsyncIterator[list[Event]]:
        while True:
            while self._pending:
                yield self._pending.popleft()
            if self._closed:
                return
            self._wake.clear()
            await self._wake.wait()


class Watchers:
    """The live subscriptions of a store."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()
        self._closed = False

    def subscribe(self, prefix: str, after: int) -> Subscription:
        subscription = Subscription(prefix, after)
        if self._closed:
            subscription.close()
        self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)

    def publish(self, events: Sequence[Event]) -> None:
        for subscription in self._subscriptions:
            subscription.feed(events)

    def close(self) -> None:
        self._closed = True
        for subscription in self._subscriptions:
            subscription.close()


async def refuse_compacted(oldest: int) -> AsyncIterator[list[Event]]:
    """The iterator of a watch that asks for what is no longer kept."""
    for _ in ():
        yield []
    raise Compacted(oldest)


def prefix_end(prefix: str) -> str:
    """The first key after all keys with that prefix. Keys are ASCII, so the last character can be stepped."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1) if prefix else "\U0010ffff"
