"""How much checking one object may take: a large schema over a large object is their product of work, and holds the server up."""

from __future__ import annotations

from steersman.machinery import re2

_MOST_CHECKS = 1_000_000
"""How often a value may be compared with a schema, or something said to be missing: two or three seconds' work. The largest
object has some 100,000 values."""
_NAMES = 16
"""So many enumerated values or required names are as much work as one schema."""


class TooMuchWork(Exception):
    """Schema and object are too large for each other."""


class Effort:
    """What is left for one object. `searching` pays for its patterns."""

    __slots__ = ("checks", "searching")

    def __init__(self) -> None:
        self.checks = _MOST_CHECKS
        self.searching = re2.Allowance()

    def spend(self, checks: int) -> None:
        """Raises TooMuchWork."""
        self.checks -= checks
        if self.checks < 0:
            raise TooMuchWork

    def look_through(self, names: int) -> None:
        """Pays for comparing a value with enumerated values or required names. Raises TooMuchWork."""
        self.spend(names // _NAMES)

    def find(self, pattern: str, text: str) -> bool:
        """Whether a pattern is found in a text; one that cannot be compiled is in none. Raises TooMuchWork."""
        try:
            return re2.compile(pattern, self.searching).search(text, self.searching) is not None
        except re2.TooMuchWork:
            raise TooMuchWork from None
        except ValueError:
            return False
