"""Flows that send work to a QueueSet in virtual time: who got how many seat-seconds, and what never was exceeded."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from dataclasses import dataclass, field

from steersman.apiserver.flowcontrol.queues import QueueSet, Rejected, Work


@dataclass
class Sender:
    """Keeps `backlog` requests in the server all the time, and sends one `every_s`; each is `seats` wide and `lasts_s` long."""

    hand: tuple[int, ...]
    lasts_s: float
    seats: int = 1
    backlog: int = 0
    every_s: float = 0.0
    got_s: float = 0.0
    """Seat-seconds of what has ended."""
    waited_s: float = 0.0
    """The longest wait."""
    rejected: int = 0
    inside: int = 0


class Item(Work):
    __slots__ = ("sender", "world")

    def __init__(self, world: Simulation, sender: Sender) -> None:
        super().__init__(sender.seats, sender.hand)
        self.world, self.sender = world, sender

    def begin(self) -> None:
        self.world.begun.append(self)


@dataclass
class Simulation:
    queues: QueueSet
    senders: list[Sender]
    now_s: float = 0.0
    taken: int = 0
    """Requests that are being served and came through no queue."""
    begun: deque[Item] = field(default_factory=deque)
    events: list[tuple[float, int, Item | Sender]] = field(default_factory=list)
    order: itertools.count[int] = field(default_factory=itertools.count)

    def run(self, seconds: float) -> None:
        for sender in self.senders:
            for _ in range(sender.backlog):
                self.send(sender)
            if sender.every_s:
                self.at(self.now_s + sender.every_s, sender)
        while self.events and self.events[0][0] <= seconds:
            self.now_s, _, what = heapq.heappop(self.events)
            if isinstance(what, Sender):
                self.send(what)
                self.at(self.now_s + what.every_s, what)
            else:
                if what.queue is None:
                    self.taken -= 1
                    self.queues.give_back(what.seats, self.now_s - what.began_s, self.now_s)
                else:
                    self.queues.finish(what, self.now_s)
                what.sender.got_s += what.seats * what.sender.lasts_s
                what.sender.inside -= 1
                if what.sender.backlog:
                    self.send(what.sender)
            self.check()

    def at(self, when_s: float, what: Item | Sender) -> None:
        heapq.heappush(self.events, (when_s, next(self.order), what))

    def send(self, sender: Sender) -> None:
        item = Item(self, sender)
        if self.queues.take(sender.seats):
            item.began_s = item.arrived_s = self.now_s
            self.taken += 1
            self.begun.append(item)
        else:
            try:
                self.queues.arrive(item, self.now_s)
            except Rejected:
                sender.rejected += 1
                return
        sender.inside += 1
        self.check()

    def check(self) -> None:
        while self.begun:
            item = self.begun.popleft()
            item.sender.waited_s = max(item.sender.waited_s, item.began_s - item.arrived_s)
            self.at(item.began_s + item.sender.lasts_s, item)
        queues = self.queues
        widest = max(sender.seats for sender in self.senders)
        assert queues.seats_in_use <= max(queues.limit, widest)
        assert queues.executing == self.taken + sum(queue.executing for queue in queues.all)
        assert queues.waiting == sum(len(queue.waiting) for queue in queues.all)
        assert queues.at_work == sum(1 for queue in queues.all if queue.executing or queue.waiting)
        assert all(len(queue.waiting) <= queues.length_limit for queue in queues.all)
