"""What one evaluation needs: the values of its variables, and what it has cost so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from steersman.machinery.cel.errors import BudgetExceeded, CostLimitExceeded

MISSING: Final = object()
"""In the slot of a variable without a value."""


class Frame:
    """slots: by the numbers that the planner gave. limit: the cost at which it is stopped."""

    __slots__ = ("slots", "cost", "limit")

    def __init__(self, slots: list[Any], limit: int) -> None:
        self.slots = slots
        self.cost = 0
        self.limit = limit

    def check(self) -> None:
        """Raises CostLimitExceeded."""
        if self.cost > self.limit:
            raise CostLimitExceeded


Run = Callable[[Frame], Any]


class Budget:
    """What is left for all evaluations of a request."""

    __slots__ = ("remaining",)

    def __init__(self, remaining: int) -> None:
        self.remaining = remaining

    def spend(self, cost: int) -> None:
        """Raises BudgetExceeded."""
        self.remaining -= cost
        if self.remaining < 0:
            raise BudgetExceeded
