"""WorkQueue: keys to be reconciled, each at most once at a time. Source: client-go util/workqueue, same numbers.

A key added while it is being worked on comes again when that is done: nothing is worked on twice at once, nothing is
forgotten. Not here: what a key means.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from steersman.machinery.clock import Clock
from steersman.machinery.counting import Histogram
from steersman.machinery.waiting import within

K = TypeVar("K", bound=Hashable)

RETRY_BASE_S = 0.005
RETRY_LIMIT_S = 1000.0
_SECONDS = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


class QueueCounts:
    """What upstream's workqueue_* tell of a queue."""

    __slots__ = ("adds", "retries", "waited", "worked")

    def __init__(self) -> None:
        self.adds = self.retries = 0
        self.waited, self.worked = Histogram(_SECONDS), Histogram(_SECONDS)


class WorkQueue(Generic[K]):
    """`run()` must be running for delays to end. One `done` for each `get`."""

    def __init__(self, clock: Clock, *, retry_base_s: float = RETRY_BASE_S, retry_limit_s: float = RETRY_LIMIT_S) -> None:
        self._clock = clock
        self._retry_base_s, self._retry_limit_s = retry_base_s, retry_limit_s
        self._ready: deque[K] = deque()
        self._wanted: set[K] = set()
        self._working: set[K] = set()
        self._filled = asyncio.Event()
        self._failures: dict[K, int] = {}
        self._delayed: list[tuple[float, int, K]] = []
        self._due_s: dict[K, float] = {}
        self._order = itertools.count()
        self._rearm = asyncio.Event()
        self._since_s: dict[K, float] = {}
        """When a key became ready or, while it is worked on, when that began."""
        self.counts = QueueCounts()

    @property
    def unfinished_s(self) -> list[float]:
        """How long each key that is being worked on has been."""
        now_s = self._clock.monotonic()
        return [now_s - self._since_s[key] for key in self._working]

    def __len__(self) -> int:
        return len(self._ready)

    def add(self, key: K) -> None:
        """Queue the key now, unless it is queued already."""
        if key in self._wanted:
            return
        self._wanted.add(key)
        self.counts.adds += 1
        if key not in self._working:
            self._enter(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Queue the key that much later; of several delays for a key the earliest counts."""
        if seconds <= 0:
            self.add(key)
            return
        due_s = self._clock.monotonic() + seconds
        if key in self._due_s and self._due_s[key] <= due_s:
            return
        self._due_s[key] = due_s
        heapq.heappush(self._delayed, (due_s, next(self._order), key))
        if self._delayed[0][2] == key:
            self._rearm.set()

    def retry(self, key: K) -> float:
        """Queue a failed key after a pause that doubles with each failure; gives the pause in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.counts.retries += 1
        # The exponent is bounded: 2^n of a key that failed for days would overflow a float.
        pause_s = min(self._retry_limit_s, self._retry_base_s * 2.0 ** min(failures, 60))
        self.add_after(key, pause_s)
        return pause_s

    def failures(self, key: K) -> int:
        return self._failures.get(key, 0)

    def forget(self, key: K) -> None:
        """The key succeeded (or is given up): its next failure is its first."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        while not self._ready:
            self._filled.clear()
            await self._filled.wait()
        key = self._ready.popleft()
        self._wanted.discard(key)
        self._working.add(key)
        now_s = self._clock.monotonic()
        self.counts.waited.observe(now_s - self._since_s[key])
        self._since_s[key] = now_s
        return key

    def done(self, key: K) -> None:
        self._working.discard(key)
        self.counts.worked.observe(self._clock.monotonic() - self._since_s.pop(key))
        if key in self._wanted:
            self._enter(key)

    def _enter(self, key: K) -> None:
        self._since_s[key] = self._clock.monotonic()
        self._ready.append(key)
        self._filled.set()

    async def run(self) -> None:
        """Bring delayed keys in when their time has come, until cancelled."""
        while True:
            self._rearm.clear()
            self._bring_due()
            if not self._delayed:
                await self._rearm.wait()
            else:
                await within(self._clock, self._delayed[0][0] - self._clock.monotonic(), self._rearm.wait)

    def _bring_due(self) -> None:
        now_s = self._clock.monotonic()
        while self._delayed and (self._delayed[0][0] <= now_s or self._stale(self._delayed[0])):
            entry = heapq.heappop(self._delayed)
            if not self._stale(entry):
                del self._due_s[entry[2]]
                self.add(entry[2])

    def _stale(self, entry: tuple[float, int, K]) -> bool:
        """An earlier delay for the key has taken this one's place."""
        return self._due_s.get(entry[2]) != entry[0]
