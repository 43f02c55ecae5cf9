"""How many seats each priority level has: its share of the server's, and what levels lend one another. Pure.

Source: KEP-1040, "Dispatching" and "Dynamic adjustment of priority levels' concurrency limits"; upstream apf_controller.go and
conc_alloc.go. The server's seats are --max-requests-inflight plus --max-mutating-requests-inflight.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from steersman.apiserver.flowcontrol.queues import Demand

ADJUST_EVERY_S = 10.0
_FORGETTING = 0.977
"""How much of a demand that has gone is still counted at the next adjustment: half of it after five minutes."""
_LEAST_TARGET = 0.001


@dataclass(slots=True)
class Limits:
    """Seats: by the shares, at least (the rest may be lent), at most (what may be borrowed on top), and now."""

    nominal: int = 0
    least: int = 0
    most: int = 0
    current: int = 0


@dataclass(slots=True)
class Share:
    """What a PriorityLevelConfiguration asks for. `borrowing_percent` None: without a limit."""

    shares: int
    lendable_percent: int = 0
    borrowing_percent: int | None = None


def nominal(total: int, asked: Mapping[str, Share]) -> dict[str, Limits]:
    """The limits by configuration alone; what is now is the nominal limit."""
    shares = sum(share.shares for share in asked.values()) or 1
    found: dict[str, Limits] = {}
    for name, share in asked.items():
        seats = math.ceil(total * share.shares / shares)
        lendable = round_half_up(seats * share.lendable_percent / 100)
        borrowing = total if share.borrowing_percent is None else round_half_up(seats * share.borrowing_percent / 100)
        found[name] = Limits(seats, seats - lendable, seats + borrowing, seats)
    return found


@dataclass(slots=True)
class Smoothed:
    """A level's demand over time: follows upwards at once, downwards slowly."""

    value: float = 0.0
    high: int = 0
    average: float = 0.0
    deviation: float = 0.0

    def take(self, demand: Demand) -> None:
        envelope = demand.average + demand.deviation
        self.value = max(envelope, _FORGETTING * self.value + (1 - _FORGETTING) * envelope)
        self.high, self.average, self.deviation = demand.high, demand.average, demand.deviation


def borrow(total: int, levels: Sequence[tuple[Limits, Smoothed]]) -> None:
    """Set what every level has now: what it needs and does not lend in any case, and of the rest in proportion to demand."""
    lower = [max(limits.least, min(limits.nominal, demand.high)) for limits, demand in levels]
    targets = [max(low, demand.value, _LEAST_TARGET) for low, (_, demand) in zip(lower, levels, strict=True)]
    upper = [max(low, limits.most) for low, (limits, _) in zip(lower, levels, strict=True)]
    found = _proportional(total, lower, targets, upper)
    for (limits, _), seats in zip(levels, found, strict=True):
        limits.current = round_half_up(seats)


def _proportional(total: int, lower: Sequence[float], targets: Sequence[float], upper: Sequence[float]) -> list[float]:
    """min(upper, max(lower, target * fraction)) with the one fraction that makes the sum `total`, or as near as bounds allow."""
    if sum(lower) >= total:
        return list(lower)
    if sum(upper) <= total:
        return list(upper)
    low, high = 0.0, total / min(targets) + 1
    for _ in range(100):
        middle = (low + high) / 2
        given = sum(min(most, max(least, want * middle)) for least, want, most in zip(lower, targets, upper, strict=True))
        low, high = (middle, high) if given < total else (low, middle)
    return [min(most, max(least, want * high)) for least, want, most in zip(lower, targets, upper, strict=True)]


def round_half_up(value: float) -> int:
    return math.floor(value + 0.5)
