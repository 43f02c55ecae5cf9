"""The fair queues of one priority level: who of those waiting is served next, by virtual time. Pure: the time is passed in.

Source: KEP-1040, "Fair Queuing for Server Requests"; upstream util/flowcontrol/fairqueuing/queueset. Every queue with work is
entitled to an equal share of the seats. R is the seat-seconds that such a queue could have had so far: it grows with
seats in use / queues at work. (Upstream takes min(seats wanted, limit) for the seats in use, which runs ahead while seats stay
empty before a wide request, to the loss of flows that have few requests waiting.) A queue's `next_r` is the R at which its next
work would begin if it got exactly its share; the queue whose head would end first by that reckoning is served. How long work
takes is guessed when it begins and corrected when it ends.

While nobody waits and there are seats, work takes them (`take`, `give_back`) and is in no queue: then nobody loses by it, and it
costs next to nothing. What is not here: what a flow is (rules.py) and how a level gets its limit (shares.py).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

GUESSED_S = 0.003
"""What work is taken to last, until it has ended."""


class Rejected(Exception):
    """There is no place for this work: `reason` is queue-full, or concurrency-limit where nobody queues."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Queue:
    """Work of the flows that were dealt this queue, in the order of its arrival."""

    __slots__ = ("index", "waiting", "waiting_seats", "seats_in_use", "executing", "next_r")

    def __init__(self, index: int) -> None:
        self.index = index
        self.waiting: deque[Work] = deque()
        self.waiting_seats = self.seats_in_use = self.executing = 0
        self.next_r = 0.0


class Work:
    """One request: it wants `seats` and may go to any queue of `hand`; none: its level has no queues.

    `began_s` is negative until it begins; what had to wait for that is told by `begin`.
    """

    __slots__ = ("seats", "hand", "arrived_s", "began_s", "arrived_r", "queue")

    def __init__(self, seats: int, hand: tuple[int, ...]) -> None:
        self.seats = seats
        self.hand = hand
        self.arrived_s = 0.0
        self.began_s = -1.0
        self.arrived_r = 0.0
        self.queue: Queue | None = None

    def begin(self) -> None:
        """There are seats for it now."""


@dataclass(slots=True)
class Demand:
    """How many seats were wanted since the last look: what borrowing goes by."""

    average: float = 0.0
    deviation: float = 0.0
    high: int = 0


@dataclass(slots=True)
class QueueSet:
    """`limit` seats. Without queues (`queues` 0) what finds no seat is rejected; an `exempt` level has seats for all."""

    limit: int
    queues: int = 0
    length_limit: int = 0
    exempt: bool = False
    r: float = 0.0
    seats_in_use: int = 0
    queued_in_use: int = 0
    """Of these, the seats of work that came through a queue."""
    waiting_seats: int = 0
    executing: int = 0
    waiting: int = 0
    at_work: int = 0
    """Queues with work, executing or waiting."""
    all: list[Queue] = field(default_factory=list)
    _pending: dict[int, Queue] = field(default_factory=dict)
    """Queues with work waiting; the one served last comes last."""
    _now_s: float = 0.0
    _looked_s: float = 0.0
    area: float = 0.0
    """Seat-seconds of what has ended or has waited since the last look."""
    _looks: int = 0
    _seen: int = 0
    _seen_squares: int = 0
    _high: int = 0

    def __post_init__(self) -> None:
        self.all = [Queue(index) for index in range(self.queues)]

    @property
    def idle(self) -> bool:
        return not self.executing and not self.waiting

    def take(self, seats: int) -> bool:
        """Seats for work that need not queue. False: there are none, or others wait for them: then `arrive`."""
        used = self.seats_in_use + seats
        if self.waiting or (used > self.limit and self.seats_in_use and not self.exempt):
            return False
        self.executing += 1
        self.seats_in_use = used
        self._looks += 1
        self._seen += used
        self._seen_squares += used * used
        if used > self._high:
            self._high = used
        return True

    def give_back(self, seats: int, seconds: float, now_s: float) -> None:
        """That work is done, after so long."""
        self.executing -= 1
        self.seats_in_use -= seats
        self.area += seats * seconds
        if self.waiting:
            self._advance(now_s)
            self._serve()

    def arrive(self, work: Work, now_s: float) -> None:
        """Begin it as soon as it is its turn: at once (`began_s` is set) or later. Raises Rejected."""
        if not work.hand:
            raise Rejected("concurrency-limit")
        self._advance(now_s)
        queue = work.queue = self._shortest(work.hand)
        if len(queue.waiting) >= self.length_limit:
            raise Rejected("queue-full")
        if not queue.executing and not queue.waiting:
            self.at_work += 1
            queue.next_r = self.r
        work.arrived_s, work.arrived_r = now_s, self.r
        self._enqueue(work, queue)
        self._look()
        self._serve()

    def finish(self, work: Work, now_s: float) -> None:
        """The work is done: its seats are free, and the guess of its length is corrected."""
        self._advance(now_s)
        seats, queue = work.seats, work.queue
        assert queue is not None
        self.executing -= 1
        self.seats_in_use -= seats
        self.queued_in_use -= seats
        self.area += seats * (now_s - work.began_s)
        queue.executing -= 1
        queue.seats_in_use -= seats
        queue.next_r -= seats * (GUESSED_S - (now_s - work.began_s))
        if queue.waiting:
            self._bound(queue)
        elif not queue.executing:
            self._rest()
        if self.waiting:
            self._serve()

    def withdraw(self, work: Work, now_s: float) -> None:
        """Who sent it has gone, or has waited long enough."""
        queue = work.queue
        assert queue is not None and work.began_s < 0
        self._advance(now_s)
        queue.waiting.remove(work)
        self._leave_queue(work, queue)
        if not queue.waiting and not queue.executing:
            self._rest()
        # A wide request at the head may have kept others from seats that were free.
        self._serve()

    def wish(self, queues: int, length_limit: int) -> None:
        """Other queues from now on. What waits in one that is dealt no more is served where it is."""
        self.queues, self.length_limit = queues, length_limit
        self.all += [Queue(index) for index in range(len(self.all), queues)]
        self._trim()

    def resize(self, limit: int, now_s: float) -> None:
        """Another limit. What there are seats for now begins."""
        self._advance(now_s)
        self.limit = limit
        self._serve()

    def look(self, now_s: float) -> Demand:
        """The seats wanted since the last look: the mean over time, the deviation as those saw it who came."""
        self._advance(now_s)
        wanted = self.seats_in_use + self.waiting_seats
        seconds = now_s - self._looked_s
        average = self.area / seconds if seconds > 0 else float(wanted)
        deviation = 0.0
        if self._looks:
            seen = self._seen / self._looks
            deviation = max(0.0, self._seen_squares / self._looks - seen * seen) ** 0.5
        # Work that lasts from look to look: it is seen before it ends, and when it ends counts no more than it was.
        high = max(self._high, wanted)
        demand = Demand(min(max(average, float(wanted)), float(high)), deviation, high)
        self._looked_s, self.area, self._looks, self._seen, self._seen_squares = now_s, 0.0, 0, 0, 0
        self._high = wanted
        return demand

    def _look(self) -> None:
        wanted = self.seats_in_use + self.waiting_seats
        self._looks += 1
        self._seen += wanted
        self._seen_squares += wanted * wanted
        self._high = max(self._high, wanted)

    def _advance(self, now_s: float) -> None:
        seconds = now_s - self._now_s
        if seconds <= 0:
            return
        self._now_s = now_s
        self.area += self.waiting_seats * seconds
        if self.at_work:
            self.r += self.queued_in_use * seconds / self.at_work

    def _fits(self, seats: int) -> bool:
        # What is wider than the level is served alone.
        return self.seats_in_use + seats <= self.limit or not self.seats_in_use

    def _shortest(self, hand: tuple[int, ...]) -> Queue:
        queues = self.all
        best = queues[hand[0]]
        least = best.waiting_seats + best.seats_in_use
        if not least:
            return best
        for index in hand:
            queue = queues[index]
            load = queue.waiting_seats + queue.seats_in_use
            if load < least:
                best, least = queue, load
        return best

    def _enqueue(self, work: Work, queue: Queue) -> None:
        queue.waiting.append(work)
        queue.waiting_seats += work.seats
        self.waiting += 1
        self.waiting_seats += work.seats
        self._pending[queue.index] = queue
        self._bound(queue)

    def _leave_queue(self, work: Work, queue: Queue) -> None:
        queue.waiting_seats -= work.seats
        self.waiting -= 1
        self.waiting_seats -= work.seats
        del self._pending[queue.index]
        if queue.waiting:
            self._pending[queue.index] = queue

    def _begin(self, work: Work, queue: Queue) -> None:
        seats = work.seats
        self.executing += 1
        self.seats_in_use += seats
        self.queued_in_use += seats
        queue.executing += 1
        queue.seats_in_use += seats
        queue.next_r += seats * GUESSED_S
        work.began_s = self._now_s

    def _serve(self) -> None:
        """Begin what there are seats for. The head that is next and does not fit is waited for: it would starve else."""
        while self._pending:
            queue = min(self._pending.values(), key=_ends_at)
            work = queue.waiting[0]
            if not self._fits(work.seats):
                return
            queue.waiting.popleft()
            self._leave_queue(work, queue)
            self._begin(work, queue)
            if queue.waiting:
                self._bound(queue)
            work.begin()

    def _rest(self) -> None:
        """It has no work any more."""
        self.at_work -= 1
        if len(self.all) > self.queues:
            self._trim()

    def _trim(self) -> None:
        while len(self.all) > self.queues and not self.all[-1].executing and not self.all[-1].waiting:
            self.all.pop()

    @staticmethod
    def _bound(queue: Queue) -> None:
        """No queue saves up a right to seats that it could not use when it had it."""
        queue.next_r = max(queue.next_r, queue.waiting[0].arrived_r)


def _ends_at(queue: Queue) -> float:
    return queue.next_r + queue.waiting[0].seats * GUESSED_S
