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


class Quick(Histogram):
    """Where nearly all belongs into one of the first buckets, and is counted in place by who observes: `quick` and `sum`.

    limit: what is below it, and above the bucket before, is quick.
    """

    __slots__ = ("quick", "limit")

    def __init__(self, bounds: Sequence[float], limit: float) -> None:
        super().__init__(bounds)
        self.quick, self.limit = 0, limit

    def slow(self, value: float) -> None:
        """Not quick. The sum has it already."""
        self.counts[bisect_left(self.bounds, value)] += 1

    @property
    def count(self) -> int:
        return self.quick + sum(self.counts)

    def add(self, other: Histogram) -> None:
        super().add(other)
        if isinstance(other, Quick):
            self.quick += other.quick

    def whole(self) -> Histogram:
        """With the quick ones where they belong."""
        copy = Histogram(self.bounds)
        copy.counts, copy.sum = list(self.counts), self.sum
        copy.counts[bisect_left(self.bounds, self.limit)] += self.quick
        return copy
