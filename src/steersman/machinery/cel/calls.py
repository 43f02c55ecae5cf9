"""What calls become: closures over the closures of their operands. Which call becomes which is the planner's to say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from steersman.machinery.cel.ast import Call
from steersman.machinery.cel.cost.charges import BY_OVERLOAD, BY_RESULT, CHARGES, compared
from steersman.machinery.cel.errors import CelRuntimeError, no_such_overload
from steersman.machinery.cel.frame import Run
from steersman.machinery.cel.functions import Overload
from steersman.machinery.cel.kinds import accepts
from steersman.machinery.cel.types import Type
from steersman.machinery.cel.values import Optional, equal, key_of


def dispatcher(overloads: Sequence[Overload]) -> Callable[..., Any]:
    """Calls the overload that takes the arguments; the error no such overload if none does."""
    tests = [([accepts(item) for item in candidate.params], candidate.run) for candidate in overloads]

    def call(*args: Any) -> Any:
        for params, run in tests:
            # A search has one argument more, see Overload.searches.
            if all(test(arg) for test, arg in zip(params, args)):
                return run(*args)
        raise no_such_overload()

    return call


def applied(overloads: Sequence[Overload], types: Sequence[Type], operands: Sequence[Run]) -> Run:
    cost = overloads[0].cost
    if len(overloads) > 1 and cost in BY_OVERLOAD:
        cost = ""
    exact = len(overloads) == 1 and not any(item.is_dyn for item in types)
    call = overloads[0].run if exact else dispatcher(overloads)
    if overloads[0].searches:
        operands = [*operands, lambda frame: frame.searching]
    charge = CHARGES.get(cost)
    if charge is not None:
        return _charged(call, operands, charge, by_result=cost in BY_RESULT)
    if len(operands) == 1:
        (only,) = operands

        def unary(frame: Any) -> Any:
            frame.cost += 1
            return call(only(frame))

        return unary
    if len(operands) == 2:
        left, right = operands

        def binary(frame: Any) -> Any:
            frame.cost += 1
            return call(left(frame), right(frame))

        return binary

    def plain(frame: Any) -> Any:
        frame.cost += 1
        return call(*[item(frame) for item in operands])

    return plain


def _charged(call: Callable[..., Any], operands: Sequence[Run], charge: Callable[[Any, Any], int], *, by_result: bool) -> Run:
    """What can be charged before it runs is: a call that is too expensive does not happen."""

    def after(frame: Any) -> Any:
        args = [item(frame) for item in operands]
        result = call(*args)
        frame.cost += charge(args, result)
        frame.check()
        return result

    def before(frame: Any) -> Any:
        args = [item(frame) for item in operands]
        frame.cost += charge(args, None)
        frame.check()
        return call(*args)

    return after if by_result else before


def equality(left: Run, right: Run, node: Call) -> Run:
    wanted = node.function == "_==_"
    scalars = ("int", "bool", "uint", "string")
    a, b = (item.type.kind for item in node.args)
    if a == b and a in scalars and a != "string":

        def scalar(frame: Any) -> bool:
            frame.cost += 1
            return (left(frame) == right(frame)) is wanted

        return scalar

    def run(frame: Any) -> bool:
        try:
            one, other = left(frame), right(frame)
        except CelRuntimeError:
            # An error is of size 1, as a number is.
            frame.cost += 1
            raise
        frame.cost += compared((one, other), None)
        return equal(one, other) is wanted

    return run


def both(left: Run, right: Run) -> Run:
    def run(frame: Any) -> bool:
        try:
            value = left(frame)
            if value is False:
                return False
            if value is not True:
                raise no_such_overload()
        except CelRuntimeError as fault:
            if _quiet(right, frame) is False:
                return False
            raise fault
        value = right(frame)
        if value is True or value is False:
            return bool(value)
        raise no_such_overload()

    return run


def either(left: Run, right: Run) -> Run:
    def run(frame: Any) -> bool:
        try:
            value = left(frame)
            if value is True:
                return True
            if value is not False:
                raise no_such_overload()
        except CelRuntimeError as fault:
            if _quiet(right, frame) is True:
                return True
            raise fault
        value = right(frame)
        if value is True or value is False:
            return bool(value)
        raise no_such_overload()

    return run


def _quiet(run: Run, frame: Any) -> Any:
    """The value; None if there is none."""
    try:
        return run(frame)
    except CelRuntimeError:
        return None


def conditional(test: Run, first: Run, second: Run) -> Run:
    def run(frame: Any) -> Any:
        value = test(frame)
        if value is True:
            return first(frame)
        if value is False:
            return second(frame)
        raise no_such_overload()

    return run


def alternative(target: Run, other: Run, whole: bool) -> Run:
    """or() and orValue(), which look at their argument only if they need it."""

    def run(frame: Any) -> Any:
        frame.cost += 1
        found = optional_of(target(frame))
        if found.present:
            return found if whole else found.value
        return other(frame)

    return run


def optional_of(value: Any) -> Optional:
    if type(value) is not Optional:
        raise no_such_overload()
    return value


def put(made: dict[Any, Any], key: Any, value: Any) -> None:
    found = key_of(key)
    if found in made:
        raise CelRuntimeError(f"Failed with repeated key: {key}")
    made[found] = value
