"""One priority level at work: its queues, its limits, and what is counted of it. Pure.

configuration.py makes levels of objects, control.py puts requests into them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from steersman.apiserver.flowcontrol.estimate import most_seats
from steersman.apiserver.flowcontrol.queues import QueueSet
from steersman.apiserver.flowcontrol.retryafter import RetryAfter
from steersman.apiserver.flowcontrol.shares import Limits, Share, Smoothed
from steersman.machinery.counting import Histogram, Quick
from steersman.machinery.meta import Obj, name_of, uid_of

_SECONDS = (0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
QUICK_S = _SECONDS[1]
_LENGTHS = (0, 10, 25, 50, 100, 250, 500, 1000)
_SEATS = (1, 2, 4, 10)


class Counts:
    """Of the requests that one FlowSchema put into one level. What nearly all do, have one seat at once and be done within 5 ms,
    is counted in place; the histograms get it when they are looked at."""

    __slots__ = (
        "at_once", "wide_seats", "rejected", "waiting", "waited", "waited_in_vain", "executed", "initialised", "queue_lengths",
        "wide",
    )  # fmt: skip

    def __init__(self) -> None:
        self.at_once = self.wide_seats = self.waiting = 0
        """wide_seats: what those who are being served have beyond one each."""
        self.rejected: dict[str, int] = {}
        self.waited, self.waited_in_vain = Histogram(_SECONDS), Histogram(_SECONDS)
        self.executed, self.initialised = Quick(_SECONDS, QUICK_S), Quick(_SECONDS, QUICK_S)
        self.queue_lengths, self.wide = Histogram(_LENGTHS), Histogram(_SEATS)

    @property
    def dispatched(self) -> int:
        return self.at_once + self.waited.count

    @property
    def executing(self) -> int:
        return self.dispatched - self.executed.count - self.initialised.count

    @property
    def seats(self) -> int:
        return self.executing + self.wide_seats

    @property
    def waits(self) -> tuple[tuple[str, Histogram], ...]:
        return ("true", self.waited.with_more(0.0, self.at_once)), ("false", self.waited_in_vain)

    @property
    def runs(self) -> tuple[tuple[str, Histogram], ...]:
        return ("regular", self.executed.whole()), ("watch", self.initialised.whole())

    @property
    def lengths(self) -> tuple[tuple[str, Histogram], ...]:
        return (("", self.queue_lengths.with_more(1, self.at_once)),)

    @property
    def widths(self) -> tuple[tuple[str, Histogram], ...]:
        return (("", self.wide.with_more(1, self.dispatched + self.waiting - self.wide.count)),)


@dataclass(slots=True)
class Level:
    """`quiescing`: its object has gone, but requests are in it still."""

    name: str
    exempt: bool
    uid: str = ""
    share: Share = field(default_factory=lambda: Share(0))
    hand_size: int = 0
    """0: nobody queues here."""
    queues: QueueSet = field(default_factory=lambda: QueueSet(0))
    limits: Limits = field(default_factory=Limits)
    demand: Smoothed = field(default_factory=Smoothed)
    retry: RetryAfter = field(default_factory=RetryAfter)
    counts: dict[str, Counts] = field(default_factory=dict)
    quiescing: bool = False

    @property
    def most_seats(self) -> int:
        """What one list may have. An exempt level has no seats to run out of."""
        return 1 if self.exempt else most_seats(self.limits.nominal)

    def configure(self, obj: Obj) -> None:
        """Take over what a PriorityLevelConfiguration says; `resize` follows, once all levels are known."""
        spec = obj["spec"]
        self.uid, self.quiescing = uid_of(obj), False
        block = (spec.get("exempt") if self.exempt else spec.get("limited")) or {}
        borrowing = block.get("borrowingLimitPercent")
        self.share = Share(block.get("nominalConcurrencyShares") or 0, block.get("lendablePercent") or 0, borrowing)
        queuing = (block.get("limitResponse") or {}).get("queuing") or {}
        self.hand_size = queuing.get("handSize") or 0
        self.queues.exempt = self.exempt
        self.queues.wish(queuing.get("queues") or 0, queuing.get("queueLengthLimit") or 0)

    def counts_of(self, schema: str) -> Counts:
        found = self.counts.get(schema)
        if found is None:
            found = self.counts[schema] = Counts()
        return found


def level_of(obj: Obj) -> Level:
    """A new level as the object wants it."""
    level = Level(name_of(obj), obj["spec"].get("type") == "Exempt")
    level.configure(obj)
    return level
