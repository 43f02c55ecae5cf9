"""The scheduling queue: which pod is next, which wait for their back-off, which wait for the cluster to change. Pure.

    add ──▶ active ──pop──▶ (decision) ──rejected──▶ unschedulable ──event, 5 min──▶ backoff ──▶ active
              ▲                  └───────error──────────────────────────────────────────▲
            gated (PreEnqueue)

Times are seconds of a monotonic clock, passed in. Source: KEP-4247 (queueing hints), upstream backend/queue for numbers.
Upstream records events that happen while a pod is in flight; here a decision takes no time on the loop, so none can.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from steersman.machinery.meta import Key, Obj
from steersman.scheduler.framework import Event, Happening, Profile
from steersman.scheduler.podinfo import PodInfo

INITIAL_BACKOFF_S = 1
MAX_BACKOFF_S = 10
FLUSH_PERIOD_S = 30
UNSCHEDULABLE_LIMIT_S = 300
"""A rejected pod is tried again after this long even if no event spoke for it: hints may be wrong."""


class Place(Enum):
    ACTIVE = "active"
    BACKOFF = "backoff"
    UNSCHEDULABLE = "unschedulable"
    GATED = "gated"
    IN_FLIGHT = "in flight"


@dataclass(slots=True, eq=False)
class QueuedPod:
    """A pod that waits, and its history. `rejected_by`: names of plugins; empty after an error."""

    info: PodInfo
    place: Place = Place.GATED
    since_s: float = 0.0
    rejections: int = 0
    errors: int = 0
    backoff_end_s: float = 0.0
    rejected_by: frozenset[str] = frozenset()
    gated_by: str = ""
    ticket: int = field(default=-1)
    """Marks its newest heap entry; older ones are passed over."""


_Heap = list[tuple[tuple[float, ...], int, QueuedPod]]


class SchedulingQueue:
    """Pods by key; each is in exactly one place."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._hints = {name: plugin.hints() for name, plugin in profile.hinted().items()}
        self._pods: dict[Key, QueuedPod] = {}
        self._active: _Heap = []
        self._backoff: _Heap = []
        self._error_backoff: _Heap = []
        self._unschedulable: dict[Key, QueuedPod] = {}
        # How many of these each plugin rejected: most events matter to no plugin that anybody waits for.
        self._rejections: Counter[str] = Counter()
        self._listeners = {
            happening: frozenset(name for name, hints in self._hints.items() if happening in hints) for happening in Happening
        }
        self._tickets = itertools.count()

    def __len__(self) -> int:
        return len(self._pods)

    def sizes(self) -> dict[str, int]:
        """How many pods wait where."""
        found = Counter(queued.place for queued in self._pods.values())
        return {place.value: found[place] for place in (Place.ACTIVE, Place.BACKOFF, Place.UNSCHEDULABLE, Place.GATED)}

    def place_of(self, key: Key) -> Place | None:
        queued = self._pods.get(key)
        return queued.place if queued is not None else None

    # --- pods come, change and go ----------------------------------------------------------------------------------

    def add(self, info: PodInfo, now_s: float) -> None:
        """A pod without a node appeared (or appears again under its key)."""
        self.delete(info.key)
        queued = self._pods[info.key] = QueuedPod(info)
        self._enqueue(queued, now_s)

    def update(self, info: PodInfo, now_s: float, events: Iterable[Event] = ()) -> None:
        """The pod's object changed. `events`: those changes of its own that plugins may want to hear of."""
        queued = self._pods.get(info.key)
        if queued is None or queued.info.uid != info.uid:
            self.add(info, now_s)
            return
        queued.info = info
        if queued.place is Place.GATED:
            self._enqueue(queued, now_s)
        elif queued.place is Place.UNSCHEDULABLE and any(self._queue_for(queued, event) for event in events):
            self._wake(queued, now_s)
        elif queued.place is Place.ACTIVE:
            self._activate(queued, queued.since_s)

    def delete(self, key: Key) -> None:
        """The pod is gone, or has a node."""
        queued = self._pods.pop(key, None)
        if queued is not None:
            queued.ticket = -1
            self._unpark(key)

    # --- scheduling ------------------------------------------------------------------------------------------------

    def pop(self, now_s: float) -> QueuedPod | None:
        """The next pod, now in flight: `delete`, `reject` or `fail` must follow. None if there is nothing to try now."""
        self.flush(now_s)
        queued = _take(self._active)
        if queued is None:
            # An idle scheduler need not wait for back-offs of rejected pods (errors must: something is broken).
            queued = _take(self._backoff)
        if queued is not None:
            queued.place, queued.ticket = Place.IN_FLIGHT, -1
        return queued

    def reject(self, queued: QueuedPod, plugins: frozenset[str], now_s: float) -> None:
        """No node fits: wait for an event that one of these plugins cares about."""
        queued.rejections += 1
        queued.errors = 0
        queued.rejected_by = plugins
        queued.backoff_end_s = _backoff_end(now_s, queued.rejections)
        if self._pods.get(queued.info.key) is queued:
            queued.place, queued.since_s = Place.UNSCHEDULABLE, now_s
            self._unschedulable[queued.info.key] = queued
            self._rejections.update(plugins)

    def fail(self, queued: QueuedPod, now_s: float) -> None:
        """Something went wrong that is not the pod's fault: try again after a while, whatever happens."""
        queued.errors += 1
        queued.rejected_by = frozenset()
        queued.backoff_end_s = _backoff_end(now_s, queued.errors)
        if self._pods.get(queued.info.key) is queued:
            self._back_off(queued)

    # --- the cluster changes ---------------------------------------------------------------------------------------

    def happened(self, event: Event, now_s: float) -> None:
        """Offer an event to every unschedulable pod whose rejecting plugins care about it."""
        if not any(self._rejections[name] for name in self._listeners[event.happening]):
            return
        for queued in [item for item in self._unschedulable.values() if self._queue_for(item, event)]:
            self._wake(queued, now_s)

    def release(self, key: Key, now_s: float) -> None:
        """Whatever a PreEnqueue plugin held a pod back for may be over."""
        queued = self._pods.get(key)
        if queued is not None and queued.place is Place.GATED:
            self._wake(queued, now_s)

    def activate(self, key: Key, now_s: float) -> None:
        """Try a waiting pod now, whatever it waits for (but not one that is gated)."""
        queued = self._pods.get(key)
        if queued is not None and queued.place in (Place.UNSCHEDULABLE, Place.BACKOFF, Place.GATED):
            self._unpark(key)
            self._enqueue(queued, now_s)

    def flush(self, now_s: float) -> None:
        """Move pods whose time has come: ended back-offs, and those that have waited too long for an event."""
        for heap in (self._backoff, self._error_backoff):
            while (first := _first(heap)) is not None and first.backoff_end_s <= now_s:
                heapq.heappop(heap)
                self._activate(first, now_s)
        limit_s = now_s - UNSCHEDULABLE_LIMIT_S
        # In order of arrival, so the first that is young enough ends the search.
        for queued in list(itertools.takewhile(lambda item: item.since_s <= limit_s, self._unschedulable.values())):
            self._wake(queued, now_s)

    def next_flush_s(self, now_s: float) -> float | None:
        """In how many seconds `pop` may find something though nothing happens. None: not before something happens."""
        heads = (_first(heap) for heap in (self._backoff, self._error_backoff))
        ends = [queued.backoff_end_s - now_s for queued in heads if queued is not None]
        if self._unschedulable:
            oldest = next(iter(self._unschedulable.values()))
            ends.append(max(oldest.since_s + UNSCHEDULABLE_LIMIT_S - now_s, FLUSH_PERIOD_S))
        return max(0.0, min(ends)) if ends else None

    # --- inside ----------------------------------------------------------------------------------------------------

    def _queue_for(self, queued: QueuedPod, event: Event) -> bool:
        for name in queued.rejected_by:
            hint = self._hints.get(name, {}).get(event.happening)
            if hint is not None and hint(queued.info, event):
                return True
        return False

    def _enqueue(self, queued: QueuedPod, now_s: float) -> None:
        if not self._is_gated(queued):
            self._activate(queued, now_s)

    def _is_gated(self, queued: QueuedPod) -> bool:
        for plugin in self._profile.pre_enqueue:
            if why := plugin.pre_enqueue(queued.info):
                queued.place, queued.gated_by, queued.ticket = Place.GATED, why, -1
                return True
        return False

    def _unpark(self, key: Key) -> None:
        queued = self._unschedulable.pop(key, None)
        if queued is not None:
            self._rejections.subtract(queued.rejected_by)

    def _wake(self, queued: QueuedPod, now_s: float) -> None:
        self._unpark(queued.info.key)
        if self._is_gated(queued):
            return
        if queued.backoff_end_s > now_s:
            self._back_off(queued)
        else:
            self._activate(queued, now_s)

    def _activate(self, queued: QueuedPod, now_s: float) -> None:
        queued.place, queued.since_s, queued.ticket = Place.ACTIVE, now_s, next(self._tickets)
        key = self._profile.queue_sort.sort_key(queued.info, now_s)
        heapq.heappush(self._active, (key, queued.ticket, queued))

    def _back_off(self, queued: QueuedPod) -> None:
        queued.place, queued.ticket = Place.BACKOFF, next(self._tickets)
        key = (queued.backoff_end_s, -queued.info.priority)
        heapq.heappush(self._error_backoff if queued.errors else self._backoff, (key, queued.ticket, queued))


def spec_changed(old: Obj, new: Obj) -> bool:
    """Whether a pod that waits changed in anything but its status (which the scheduler itself writes)."""
    return any((old["metadata"].get(part) != new["metadata"].get(part)) for part in ("labels", "deletionTimestamp")) or (
        old["spec"] != new["spec"] or _nominated(old) != _nominated(new)
    )


def _nominated(pod: Obj) -> str:
    return (pod.get("status") or {}).get("nominatedNodeName") or ""


def _backoff_end(now_s: float, attempts: int) -> float:
    """1, 2, 4, 8, 10, 10 … s after the failure, in whole-second windows so that equals are ordered by priority."""
    pause_s = min(MAX_BACKOFF_S, INITIAL_BACKOFF_S * 2.0 ** min(attempts - 1, 10))
    return float(math.floor(now_s + pause_s))


def _first(heap: _Heap) -> QueuedPod | None:
    """The head of a heap, once entries that were overtaken by newer ones are dropped."""
    while heap and heap[0][2].ticket != heap[0][1]:
        heapq.heappop(heap)
    return heap[0][2] if heap else None


def _take(heap: _Heap) -> QueuedPod | None:
    queued = _first(heap)
    if queued is not None:
        heapq.heappop(heap)
    return queued
