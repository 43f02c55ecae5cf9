"""Macros over lists and maps as loops. What an iteration costs is what the fold it stands for would (macros.py)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from steersman.machinery.cel.ast import Comprehension, Node
from steersman.machinery.cel.cost.charges import BASE_LIST
from steersman.machinery.cel.errors import CelRuntimeError, no_such_overload
from steersman.machinery.cel.frame import Frame, Run
from steersman.machinery.cel.values import key_of, key_value

if TYPE_CHECKING:
    from steersman.machinery.cel.planner import Planner

_TO_RESULT = 1


class _Loop:
    """The range of a macro, and the slots of its variables."""

    __slots__ = ("over", "first", "second")

    def __init__(self, over: Run, first: int, second: int | None) -> None:
        self.over = over
        self.first = first
        self.second = second

    def __call__(self, frame: Frame) -> Iterator[int]:
        """How many items are left after this one, for each, with the variables set."""
        value = self.over(frame)
        slots, first, second = frame.slots, self.first, self.second
        if type(value) is dict or isinstance(value, Mapping):
            pairs = [(key_value(key), item) for key, item in value.items()]
        elif isinstance(value, list):
            pairs = list(enumerate(value)) if second is not None else [(item, None) for item in value]
        else:
            raise no_such_overload()
        left = len(pairs)
        for key, item in pairs:
            left -= 1
            slots[first] = key
            if second is not None:
                slots[second] = item
            frame.check()
            yield left


def plan(planner: Planner, node: Comprehension) -> Run:
    if node.macro == "bind":
        return _bind(planner, node)
    over = planner.plan(node.range)
    names = (node.variable, node.second) if node.second else (node.variable,)
    slots = planner.enter(*names)
    loop = _Loop(over, slots[0], slots[1] if node.second else None)
    predicate = planner.plan(node.predicate) if node.predicate is not None else None
    try:
        if node.macro == "all":
            assert predicate is not None
            return _quantified(loop, predicate, decides=False, condition=2)
        if node.macro == "exists":
            assert predicate is not None
            return _quantified(loop, predicate, decides=True, condition=3)
        if node.macro == "exists_one":
            assert predicate is not None
            return _exactly_one(loop, predicate)
        assert node.transform is not None
        return _collected(planner, node, loop, predicate, node.transform)
    finally:
        planner.leave()


def _bind(planner: Planner, node: Comprehension) -> Run:
    start = planner.plan(node.start)
    (slot,) = planner.enter(node.accumulator)
    result = planner.plan(node.result)
    planner.leave()

    def run(frame: Frame) -> Any:
        frame.slots[slot] = start(frame)
        return result(frame)

    return run


def _quantified(loop: _Loop, predicate: Run, *, decides: bool, condition: int) -> Run:
    """all() ends at the first false, exists() at the first true; errors count only if none decides."""

    def run(frame: Frame) -> bool:
        fault: CelRuntimeError | None = None
        for left in loop(frame):
            frame.cost += condition + 1
            try:
                value = predicate(frame)
                if value is decides:
                    frame.cost += (condition if left else 0) + _TO_RESULT
                    return decides is True
                if value is not True and value is not False:
                    raise no_such_overload()
            except CelRuntimeError as error:
                fault = fault or error
        frame.cost += _TO_RESULT
        if fault is not None:
            raise fault
        return not decides

    return run


def _exactly_one(loop: _Loop, predicate: Run) -> Run:
    def run(frame: Frame) -> bool:
        count = 0
        for _ in loop(frame):
            value = predicate(frame)
            if value is True:
                count += 1
                frame.cost += 2
            elif value is not False:
                raise no_such_overload()
        frame.cost += 2
        return count == 1

    return run


def _collected(planner: Planner, node: Comprehension, loop: _Loop, predicate: Run | None, transform: Node) -> Run:
    """map(), filter() and the transform macros."""
    known = planner.constant(transform) is not None
    value = planner.plan(transform)
    if node.macro == "map":
        return _listed(loop, predicate, value, 2 if known else 2 + BASE_LIST)
    if node.macro == "transformMap":
        return _mapped(loop, predicate, value)
    return _merged(loop, predicate, value)


def _wanted(predicate: Run | None, frame: Frame) -> bool:
    if predicate is None:
        return True
    value = predicate(frame)
    if value is not True and value is not False:
        raise no_such_overload()
    return value is True


def _listed(loop: _Loop, predicate: Run | None, value: Run, cost: int) -> Run:
    def run(frame: Frame) -> list[Any]:
        made: list[Any] = []
        for _ in loop(frame):
            if _wanted(predicate, frame):
                frame.cost += cost
                made.append(value(frame))
        frame.cost += _TO_RESULT
        return made

    return run


def _insert(made: dict[Any, Any], key: Any, item: Any) -> None:
    if key in made:
        raise CelRuntimeError(f"insert failed: key {key_value(key)} already exists")
    made[key] = item


def _mapped(loop: _Loop, predicate: Run | None, value: Run) -> Run:
    def run(frame: Frame) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        for _ in loop(frame):
            if _wanted(predicate, frame):
                frame.cost += 3
                _insert(made, key_of(frame.slots[loop.first]), value(frame))
        frame.cost += _TO_RESULT
        return made

    return run


def _merged(loop: _Loop, predicate: Run | None, value: Run) -> Run:
    """transformMapEntry(): each item gives a map, whose entries go into the result."""

    def run(frame: Frame) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        for _ in loop(frame):
            if _wanted(predicate, frame):
                frame.cost += 2
                entries = value(frame)
                if not isinstance(entries, Mapping):
                    raise no_such_overload()
                for key, item in entries.items():
                    _insert(made, key, item)
        frame.cost += _TO_RESULT
        return made

    return run
