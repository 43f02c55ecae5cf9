"""Variables and what is reached from them: `a.b[0].?c`, has(a.b). A step costs 1, and so does what it starts from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from steersman.machinery.cel.ast import Call, Ident, Literal, Node, Select
from steersman.machinery.cel.errors import CelRuntimeError, no_such_key, no_such_overload
from steersman.machinery.cel.frame import MISSING, Run
from steersman.machinery.cel.types import Type
from steersman.machinery.cel.unify import is_optional
from steersman.machinery.cel.values import NONE, Optional, item_at, lookup_key

if TYPE_CHECKING:
    from steersman.machinery.cel.planner import Planner

_STEPS = ("_[_]", "_[?_]", "_?._")


def is_path(node: Node) -> bool:
    """Whether a node is a variable, or something reached by steps."""
    return isinstance(node, Ident | Select) or (isinstance(node, Call) and node.function in _STEPS)


def branch(planner: Planner, node: Node) -> Run:
    """A path in a place where its start is not charged: a branch of `?:`."""
    if is_path(node) and planner.constant(node) is None and not (isinstance(node, Select) and node.test_only):
        return plan(planner, node, start=0)
    return planner.plan(node)


def plan(planner: Planner, node: Node, start: int = 1) -> Run:
    """start: what the beginning of the path costs."""
    if isinstance(node, Ident):
        return _variable(planner.slot(node.name), node.name, start)
    if isinstance(node, Select):
        if node.variable:
            return _variable(planner.slot(node.variable), node.variable, start + node.variable.count("."))
        operand, key = node.operand, _key(node.operand.type, node.name)
        if node.test_only:
            return _present(_operand(planner, operand, start), key)
        return _named(_operand(planner, operand, start), key)
    assert isinstance(node, Call)
    operand, index = node.args
    value = _operand(planner, operand, start)
    if node.function == "_?._":
        assert isinstance(index, Literal)
        return _maybe(value, _constantly(_key(operand.type, index.value)))
    # A key that is a path itself does not cost its start.
    key_run = plan(planner, index, start=0) if is_path(index) and planner.constant(index) is None else planner.plan(index)
    return _maybe(value, key_run) if node.function == "_[?_]" else _indexed(value, key_run)


def _operand(planner: Planner, node: Node, start: int) -> Run:
    if is_path(node) and planner.constant(node) is None:
        return plan(planner, node, start)
    value = planner.plan(node)

    def run(frame: Any) -> Any:
        frame.cost += start
        return value(frame)

    return run


def _key(operand: Type, name: str) -> str:
    """How the data spell a field."""
    inner = operand.params[0] if is_optional(operand) else operand
    field = inner.fields.get(name) if inner.kind == "object" else None
    return field.key if field is not None else name


def _constantly(value: Any) -> Run:
    return lambda frame: value


def _variable(slot: int, name: str, cost: int) -> Run:
    def run(frame: Any) -> Any:
        frame.cost += cost
        value = frame.slots[slot]
        if value is MISSING:
            raise CelRuntimeError(f"no such attribute(s): {name}")
        return value

    return run


def _named(operand: Run, key: str) -> Run:
    def run(frame: Any) -> Any:
        value = operand(frame)
        frame.cost += 1
        try:
            return value[key]
        except KeyError:
            raise no_such_key(key) from None
        except TypeError:
            return _of_other(value, key)

    return run


def _of_other(value: Any, key: str) -> Any:
    """A selection from what is no map."""
    if type(value) is Optional:
        return _maybe_in(value, key)
    raise no_such_overload()


def _present(operand: Run, key: str) -> Run:
    def run(frame: Any) -> bool:
        value = operand(frame)
        if type(value) is dict or isinstance(value, Mapping):
            return key in value
        if type(value) is Optional:
            return value.present and isinstance(value.value, Mapping) and key in value.value
        raise no_such_overload()

    return run


def _indexed(operand: Run, key: Run) -> Run:
    def run(frame: Any) -> Any:
        value = operand(frame)
        index = key(frame)
        frame.cost += 1
        if isinstance(value, list):
            return item_at(value, index)
        if type(value) is dict or isinstance(value, Mapping):
            try:
                return value[lookup_key(index)]
            except KeyError:
                raise no_such_key(index) from None
        if type(value) is Optional:
            return _maybe_in(value, index)
        raise no_such_overload()

    return run


def _maybe(operand: Run, key: Callable[[Any], Any]) -> Run:
    def run(frame: Any) -> Optional:
        value = operand(frame)
        frame.cost += 1
        return _maybe_in(value, key(frame))

    return run


def _maybe_in(value: Any, key: Any) -> Optional:
    """What is there under a key, if anything is."""
    if type(value) is Optional:
        if not value.present:
            return NONE
        value = value.value
    if type(value) is dict or isinstance(value, Mapping):
        found = lookup_key(key)
        return Optional(value[found]) if found in value else NONE
    if isinstance(value, list):
        if isinstance(key, bool) or not isinstance(key, int | float) or int(key) != key:
            raise no_such_overload()
        return Optional(value[int(key)]) if 0 <= key < len(value) else NONE
    raise no_such_overload()
