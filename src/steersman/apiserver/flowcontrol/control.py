"""What the pipeline asks: may this request begin, or does it wait, or is it turned away? Classified, queued, counted.

Uncontended, this is a few microseconds: what a request is comes from a memo by user and kind, and the rest is arithmetic.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from steersman.apiserver.contracts import Dropped, RequestInfo, UserInfo
from steersman.apiserver.flowcontrol import rules
from steersman.apiserver.flowcontrol.bootstrap import CATCH_ALL, MANDATORY_LEVELS, MANDATORY_SCHEMAS
from steersman.apiserver.flowcontrol.estimate import seats_of_list
from steersman.apiserver.flowcontrol.levels import QUICK_S, Counts, Level, level_of
from steersman.apiserver.flowcontrol.queues import QueueSet, Rejected, Work
from steersman.apiserver.flowcontrol.sharding import hand
from steersman.apiserver.flowcontrol.shares import ADJUST_EVERY_S, borrow, nominal
from steersman.apiserver.http import Request
from steersman.machinery.clock import Clock
from steersman.machinery.counting import Quick
from steersman.machinery.meta import Obj, name_of, uid_of

_LOOK_EVERY_S = 0.25
_MEMO_LIMIT = 4096


class Size(NamedTuple):
    """How much of a kind there is."""

    objects: int
    bytes_each: int


Sizes = Callable[[RequestInfo], Size]


@dataclass(frozen=True, slots=True)
class Flow:
    """Where requests of one kind and user go. `headers` go with their answers."""

    level: Level
    queues: QueueSet
    schema: str
    distinguisher: str
    hand: tuple[int, ...]
    headers: Mapping[str, str]
    counts: Counts
    took: Quick
    listing: bool
    """Whether such a request may need more than one seat."""


class Begun:
    """A request that found seats free and nobody waiting. `leave` when the answer is made."""

    __slots__ = ("flow", "headers", "seats", "_now", "_began_s")
    waits = False

    def __init__(self, flow: Flow, seats: int, now: Callable[[], float]) -> None:
        self.flow = flow
        self.headers = flow.headers
        self.seats = seats
        self._now = now
        self._began_s = now()
        """Negative once it has left."""

    async def granted(self, limit_s: float) -> None: ...

    def leave(self) -> None:
        began_s = self._began_s
        if began_s < 0:
            return
        self._began_s = -1.0
        now_s = self._now()
        flow, seats, seconds = self.flow, self.seats, now_s - began_s
        flow.queues.give_back(seats, seconds, now_s)
        _count(flow, seats, seconds)


def _count(flow: Flow, seats: int, seconds: float) -> None:
    """One of the flow's requests is served."""
    took = flow.took
    took.sum += seconds
    if seconds < QUICK_S:
        took.quick += 1
    else:
        took.slow(seconds)
    if seats != 1:
        flow.counts.wide_seats -= seats - 1


class Seat(Work):
    """A request's place in a queue, later its seats. `leave` once, when the answer is made."""

    __slots__ = ("flow", "headers", "info", "user", "_control", "_begun", "_left")

    def __init__(self, control: FlowControl, flow: Flow, seats: int, info: RequestInfo, user: UserInfo) -> None:
        super().__init__(seats, flow.hand)
        self.flow, self.headers = flow, flow.headers
        self.info, self.user = info, user
        self._control = control
        self._begun: asyncio.Future[bool] | None = None
        self._left = False

    @property
    def waits(self) -> bool:
        return self.began_s < 0

    def begin(self) -> None:
        if self._begun is not None and not self._begun.done():
            self._begun.set_result(True)

    def expire(self) -> None:
        """It has waited as long as it may."""
        if self._begun is not None and not self._begun.done():
            self._begun.set_result(False)

    async def granted(self, limit_s: float) -> None:
        """Wait for the turn. Raises Dropped when it does not come in time."""
        control = self._control
        self._begun = asyncio.get_running_loop().create_future()
        control.limit_wait(self, limit_s)
        try:
            begun = await self._begun
        except asyncio.CancelledError:
            if self.waits:
                control.withdrawn(self, "cancelled")
            else:
                control.begun(self)
                self.leave()
            raise
        if not begun and self.waits:
            raise control.withdrawn(self, "time-out")
        control.begun(self)

    def leave(self) -> None:
        if not self._left:
            self._left = True
            self._control.left(self)


class FlowControl:
    """`total`: the server's seats. `run()` adjusts what levels lend and ends waits; `configure` says what there is."""

    def __init__(self, total: int, clock: Clock, sizes: Sizes) -> None:
        self._total, self._clock, self._sizes = total, clock, sizes
        self._now = clock.monotonic
        self.levels: dict[str, Level] = {}
        self._schemas: list[Obj] = []
        self._flows: dict[tuple[object, ...], Flow] = {}
        self._waits: list[tuple[float, int, Seat]] = []
        self._order = itertools.count()
        self._somebody_waits = asyncio.Event()
        self.configure((), ())

    # --- requests ---

    def admit(self, request: Request, info: RequestInfo, user: UserInfo) -> Begun | Seat:
        """Its seats, or (`waits`) a place in a queue. Raises Dropped if there is neither."""
        key = (
            (user.name, user.groups, info.verb, info.group, info.plural, info.subresource, info.namespace)
            if info.is_resource
            else (user.name, user.groups, info.verb, info.path)
        )
        flow = self._flows.get(key) or self._classify(key, info, user)
        seats = 1
        counts = flow.counts
        if flow.listing:
            seats = self._seats(flow, request, info)
            if seats != 1:
                counts.wide.observe(seats)
        if flow.queues.take(seats):
            counts.at_once += 1
            if seats != 1:
                counts.wide_seats += seats - 1
            return Begun(flow, seats, self._now)
        return self._queue(flow, seats, info, user)

    def _queue(self, flow: Flow, seats: int, info: RequestInfo, user: UserInfo) -> Seat:
        seat = Seat(self, flow, seats, info, user)
        now_s, counts = self._now(), flow.counts
        try:
            flow.queues.arrive(seat, now_s)
        except Rejected as rejected:
            raise self._dropped(flow, rejected.reason, now_s) from None
        counts.waiting += 1
        if not seat.waits:
            self.begun(seat)
        elif seat.queue is not None:
            counts.queue_lengths.observe(len(seat.queue.waiting))
        return seat

    def begun(self, seat: Seat) -> None:
        """It was in a queue and has its turn."""
        counts = seat.flow.counts
        counts.waiting -= 1
        counts.waited.observe(seat.began_s - seat.arrived_s)
        counts.wide_seats += seat.seats - 1

    def left(self, seat: Seat) -> None:
        now_s = self._now()
        seat.flow.queues.finish(seat, now_s)
        _count(seat.flow, seat.seats, now_s - seat.began_s)

    def withdrawn(self, seat: Seat, reason: str) -> Dropped:
        """It waits no longer. What to tell its sender."""
        now_s = self._clock.monotonic()
        flow = seat.flow
        flow.level.queues.withdraw(seat, now_s)
        flow.counts.waiting -= 1
        flow.counts.waited_in_vain.observe(now_s - seat.arrived_s)
        return self._dropped(flow, reason, now_s)

    def limit_wait(self, seat: Seat, limit_s: float) -> None:
        heapq.heappush(self._waits, (seat.arrived_s + limit_s, next(self._order), seat))
        self._somebody_waits.set()

    def _dropped(self, flow: Flow, reason: str, now_s: float) -> Dropped:
        rejected = flow.counts.rejected
        rejected[reason] = rejected.get(reason, 0) + 1
        return Dropped(flow.level.retry.dropped(now_s), flow.headers)

    def _seats(self, flow: Flow, request: Request, info: RequestInfo) -> int:
        count, each = self._sizes(info)
        query = request.query_pairs if request.raw_query else ()
        watch, named = info.verb == "watch", bool(info.name)
        return seats_of_list(query, watch=watch, named=named, count=count, bytes_each=each, most=flow.level.most_seats)

    def _classify(self, key: tuple[object, ...], info: RequestInfo, user: UserInfo) -> Flow:
        schema = rules.first_match(self._schemas, user, info) or self._catch_all()
        level = self.levels[schema["spec"]["priorityLevelConfiguration"]["name"]]
        name, told_by = name_of(schema), rules.distinguisher(schema, user, info)
        dealt = hand(name, told_by, level.queues.queues, level.hand_size) if level.hand_size else ()
        headers = {"X-Kubernetes-Pf-Flowschema-Uid": uid_of(schema), "X-Kubernetes-Pf-Prioritylevel-Uid": level.uid}
        listing = info.is_resource and info.verb in ("list", "watch") and not level.exempt
        counts = level.counts_of(name)
        took = counts.initialised if info.verb == "watch" else counts.executed
        flow = Flow(level, level.queues, name, told_by, dealt, headers, counts, took, listing)
        if len(self._flows) >= _MEMO_LIMIT:
            self._flows.clear()
        self._flows[key] = flow
        return flow

    def _catch_all(self) -> Obj:
        return next(schema for schema in self._schemas if name_of(schema) == CATCH_ALL)

    # --- configuration ---

    def configure(self, schemas: Sequence[Obj], levels: Sequence[Obj]) -> None:
        """What there is from now on. The mandatory objects are there even where nobody has made them."""
        found = {name_of(level): level for level in (*MANDATORY_LEVELS, *levels)}
        for name, obj in found.items():
            level = self.levels.get(name)
            if level is None:
                self.levels[name] = level_of(obj)
            else:
                level.configure(obj)
        for name, level in self.levels.items():
            level.quiescing = name not in found
        self._forget_quiet()
        known = {name_of(schema): schema for schema in (*MANDATORY_SCHEMAS, *schemas)}
        present = [schema for schema in known.values() if schema["spec"]["priorityLevelConfiguration"]["name"] in found]
        self._schemas = rules.ordered(present)
        self._flows.clear()
        self._share()

    def _share(self) -> None:
        limits = nominal(self._total, {name: level.share for name, level in self.levels.items()})
        for name, level in self.levels.items():
            level.limits = limits[name]
        self._borrow()

    def adjust(self) -> None:
        """What levels lend one another follows what was wanted since the last time."""
        now_s = self._clock.monotonic()
        for level in self.levels.values():
            level.demand.take(level.queues.look(now_s))
        if self._forget_quiet():
            self._share()
        else:
            self._borrow()

    def _borrow(self) -> None:
        borrow(self._total, [(level.limits, level.demand) for level in self.levels.values()])
        now_s = self._clock.monotonic()
        for level in self.levels.values():
            level.queues.resize(level.limits.current, now_s)

    def _forget_quiet(self) -> bool:
        quiet = [name for name, level in self.levels.items() if level.quiescing and level.queues.idle]
        for name in quiet:
            del self.levels[name]
        return bool(quiet)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._end_waits())
            while True:
                await self._clock.sleep(ADJUST_EVERY_S)
                self.adjust()

    async def _end_waits(self) -> None:
        """Looked at in steps while anybody waits: cheaper than a timer each."""
        while True:
            await self._somebody_waits.wait()
            while self._waits:
                now_s = self._clock.monotonic()
                while self._waits and (self._waits[0][0] <= now_s or not self._waits[0][2].waits):
                    heapq.heappop(self._waits)[2].expire()
                if self._waits:
                    await self._clock.sleep(_LOOK_EVERY_S)
            self._somebody_waits.clear()
