"""Plain counters for the path of every request; what they look like to Prometheus is made when somebody asks (metrics.py)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence


class Histogram:
    """Observations by bucket. `bounds` are upper ones, without infinity."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def lap(self, last: float, now: float) -> float:
        """Observe the time since `last`. Returns now."""
        taken = now - last
        if taken <= self.bounds[0]:
            self.counts[0] += 1
            self.sum += taken
        else:
            self.observe(taken)
        return now

    def add(self, other: Histogram) -> None:
        """What another one, with the same bounds, has observed."""
        self.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum

    @property
    def count(self) -> int:
        return sum(self.counts)

    def with_more(self, value: float, times: int) -> Histogram:
        """A copy that has observed a value that often besides."""
        copy = Histogram(self.bounds)
        copy.counts, copy.sum = list(self.counts), self.sum + value * times
        copy.counts[bisect_left(self.bounds, value)] += times
        return copy

    def cumulated(self) -> Iterator[tuple[str, float]]:
        """(bound, how many up to it), as prometheus_client wants them."""
        total = 0
        for bound, count in zip((*self.bounds, "+Inf"), self.counts, strict=True):
            total += count
            yield str(bound), total
