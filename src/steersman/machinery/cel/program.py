"""Programs: an expression compiled once, evaluated many times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steersman.machinery.cel.ast import Node
from steersman.machinery.cel.checker import Checker
from steersman.machinery.cel.cost.charges import CALL_LIMIT
from steersman.machinery.cel.environment import Env
from steersman.machinery.cel.errors import CelError, CelRuntimeError, CostLimitExceeded, Issue, no_such_overload
from steersman.machinery.cel.frame import MISSING, Budget, Frame
from steersman.machinery.cel.parser import MAX_DEPTH, parse
from steersman.machinery.cel.planner import Planner
from steersman.machinery.cel.types import Type
from steersman.machinery.re2 import Allowance, TooMuchWork


class Program:
    """source: its text. tree: checked. type: of its value. references: the variables it mentions."""

    __slots__ = ("source", "tree", "type", "references", "_run", "_globals", "_slots")

    def __init__(self, source: str, tree: Node, checker: Checker) -> None:
        self.source = source
        self.tree = tree
        self.type: Type = tree.type
        self.references = frozenset(checker.references)
        planner = Planner()
        self._run = planner.plan(tree)
        self._globals = tuple(planner.globals.items())
        self._slots = planner.slots

    def evaluate(self, activation: Mapping[str, Any], budget: Budget | None = None, limit: int = CALL_LIMIT) -> Any:
        """The value. Raises CelRuntimeError, CostLimitExceeded, BudgetExceeded."""
        return self.measure(activation, budget, limit)[0]

    def measure(self, activation: Mapping[str, Any], budget: Budget | None = None, limit: int = CALL_LIMIT) -> tuple[Any, int]:
        """The value, and what it cost."""
        slots = [MISSING] * self._slots
        for name, slot in self._globals:
            slots[slot] = activation.get(name, MISSING)
        frame = Frame(slots, limit, budget.searching if budget is not None else Allowance())
        try:
            value = self._run(frame)
        except TooMuchWork:
            raise CostLimitExceeded from None
        except (TypeError, AttributeError, ValueError, ArithmeticError):
            # Data that are not of the type that was declared (a null in a list that may have some), or are no text (half of a
            # surrogate pair): no function takes them.
            raise no_such_overload() from None
        except RecursionError:
            raise CelRuntimeError("recursion limit exceeded") from None
        finally:
            if frame.cost > limit:
                raise CostLimitExceeded
            if budget is not None:
                budget.spend(frame.cost)
        return value, frame.cost


def compile(source: str, env: Env) -> Program:
    """Raises CelError, and InstantiationError."""
    try:
        tree = parse(source)
        checker = Checker(env.variables, env.types, env.functions)
        checker.check(tree)
        if checker.issues:
            raise CelError(source, checker.issues)
        return Program(source, tree, checker)
    except RecursionError:
        raise CelError(source, [Issue(0, f"expression recursion limit exceeded: {MAX_DEPTH}")]) from None
