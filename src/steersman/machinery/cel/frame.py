"""What one evaluation needs: the values of its variables, and what it has cost so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from steersman.machinery.cel.errors import BudgetExceeded, CostLimitExceeded
from steersman.machinery.re2 import Allowance

MISSING: Final = object()
"""In the slot of a variable without a value."""


class Frame:
    """slots: by the numbers that the planner gave. limit: the cost at which it is stopped. searching: what pays for searches."""

    __slots__ = ("slots", "cost", "limit", "searching")

    def __init__(self, slots: list[Any], limit: int, searching: Allowance) -> None:
        self.slots = slots
        self.cost = 0
        self.limit = limit
        self.searching = searching

    def check(self) -> None:
        """Raises CostLimitExceeded."""
        if self.cost > self.limit:
            raise CostLimitExceeded


Run = Callable[[Frame], Any]


class Budget:
    """What is left for all evaluations of a request."""

    __slots__ = ("remaining", "searching")

    def __init__(self, remaining: int) -> None:
        self.remaining = remaining
        self.searching = Allowance()

    def spend(self, cost: int) -> None:
        """Raises BudgetExceeded."""
        self.remaining -= cost
        if self.remaining < 0:
            raise BudgetExceeded
