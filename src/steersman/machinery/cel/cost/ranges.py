"""Ranges of sizes and of costs: unsigned 64-bit numbers that stay at the largest where they would overflow."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

LARGEST: Final = (1 << 64) - 1


class Range(NamedTuple):
    """From `low` to `high`, both included."""

    low: int
    high: int

    def plus(self, other: Range) -> Range:
        return Range(min(self.low + other.low, LARGEST), min(self.high + other.high, LARGEST))

    def times(self, other: Range) -> Range:
        return Range(min(self.low * other.low, LARGEST), min(self.high * other.high, LARGEST))

    def scaled(self, factor: float) -> Range:
        """Times a factor, rounded up."""
        return Range(_scaled(self.low, factor), _scaled(self.high, factor))

    def union(self, other: Range) -> Range:
        return Range(min(self.low, other.low), max(self.high, other.high))


def exactly(value: int) -> Range:
    return Range(value, value)


def _scaled(value: int, factor: float) -> int:
    return min(math.ceil(float(value) * factor), LARGEST)


NOTHING: Final = Range(0, 0)
ONE: Final = Range(1, 1)
UNKNOWN: Final = Range(0, LARGEST)
