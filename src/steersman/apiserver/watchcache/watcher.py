"""One watch on a cache: a bounded queue of the changes that concern it. A watcher that does not keep up is ended."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

from steersman.apiserver.storage import Stored
from steersman.apiserver.watchcache.selection import Selection

QUEUE_LIMIT = 16384


class Change:
    """A change on its way to the watchers. `frames` holds what was encoded for one watcher, for the others to use."""

    __slots__ = ("revision", "old", "new", "_gone", "frames")

    def __init__(self, revision: int, old: Stored | None, new: Stored | None) -> None:
        self.revision = revision
        self.old = old
        self.new = new
        self._gone: Stored | None = None
        self.frames: dict[tuple[str, bytes], bytes] = {}

    @property
    def gone(self) -> Stored:
        """The last state with the revision of this change: what DELETED shows."""
        if self._gone is None:
            assert self.old is not None
            self._gone = self.old.at(self.revision)
        return self._gone


class Item(NamedTuple):
    """An event for one watcher. type BOOKMARK has no change."""

    type: str
    revision: int
    change: Change | None

    @property
    def stored(self) -> Stored:
        assert self.change is not None
        return self.change.gone if self.type == "DELETED" or self.change.new is None else self.change.new


class Watcher:
    """Made by WatchCache.watch. `next()` gives what has gathered, or an empty list when the watch is over."""

    def __init__(self, selection: Selection, after: int) -> None:
        self.selection = selection
        self.after = after
        self.too_slow = False
        self._queue: deque[Item] = deque()
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None

    def offer(self, change: Change) -> None:
        if change.revision <= self.after or self._ended:
            return
        is_now = change.new is not None and self.selection.matches(change.new)
        was = change.old is not None and self.selection.matches(change.old)
        if is_now:
            self._push(Item("MODIFIED" if was else "ADDED", change.revision, change))
        elif was:
            self._push(Item("DELETED", change.revision, change))

    def bookmark(self, revision: int) -> None:
        """Tell the client how far it is; everything up to `revision` is queued already."""
        if not self._ended and revision >= self.after:
            self._push(Item("BOOKMARK", revision, None))

    def end(self) -> None:
        """What is queued is still delivered."""
        self._ended = True
        self._wake()

    async def next(self) -> list[Item]:
        while not self._queue:
            if self._ended:
                return []
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        items = list(self._queue)
        self._queue.clear()
        return items

    def _push(self, item: Item) -> None:
        if len(self._queue) >= QUEUE_LIMIT:
            self._queue.clear()
            self.too_slow = True
            self.end()
            return
        self._queue.append(item)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
