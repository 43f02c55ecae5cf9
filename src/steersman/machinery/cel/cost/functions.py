"""The estimated cost of a call, and the size of its result, by what its overload says (`Overload.cost`). Else it costs 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from steersman.machinery.cel.ast import Call, Literal, Node
from steersman.machinery.cel.cost.charges import PATTERN, TRAVERSAL
from steersman.machinery.cel.cost.ranges import LARGEST, NOTHING, ONE, Range, exactly
from steersman.machinery.cel.functions import Overload

if TYPE_CHECKING:
    from steersman.machinery.cel.cost.estimate import Estimator

_ADDRESS = Range(4, 16)
_FORMAT_COST = exactly(32)
_CALL = exactly(11)
_PLAIN = ("net.IP", "net.CIDR", "kubernetes.Quantity", "kubernetes.Semver")
"""Types whose `==` costs 1."""


class CallCost(NamedTuple):
    """cost: of the call itself. size: of its result, where that is known."""

    cost: Range
    size: Range | None = None


def call(estimator: Estimator, node: Call, candidate: Overload, args: Sequence[Range]) -> CallCost:
    """As a call of one overload, the costs of its arguments included, that of its target not."""
    if candidate.cost == "logical":
        return CallCost(Range(args[0].low, args[0].plus(args[1]).high))
    if candidate.cost == "conditional":
        return _conditional(estimator, node, args)
    own = _OWN.get(candidate.cost)
    found = own(estimator, node) if own is not None else CallCost(ONE)
    total = found.cost
    for arg in args:
        total = total.plus(arg)
    return CallCost(total, found.size)


def _conditional(estimator: Estimator, node: Call, args: Sequence[Range]) -> CallCost:
    _, first, second = node.args
    size = estimator.size(first).union(estimator.size(second))
    entries = estimator.entries(first)
    estimator.set_entries(node, entries.union(estimator.entries(second)) if entries is not None else None)
    return CallCost(args[0].plus(args[1].union(args[2])), size)


def _sizes(estimator: Estimator, node: Call) -> list[Range]:
    return [estimator.size(item) for item in node.operands]


def _first(estimator: Estimator, node: Call) -> CallCost:
    return CallCost(estimator.size(node.operands[0]).scaled(TRAVERSAL))


def _first_sized(estimator: Estimator, node: Call) -> CallCost:
    size = estimator.size(node.operands[0])
    return CallCost(size.scaled(TRAVERSAL), size)


def _first_twice(estimator: Estimator, node: Call) -> CallCost:
    return CallCost(estimator.size(node.operands[0]).scaled(2 * TRAVERSAL))


def _to_string(estimator: Estimator, node: Call) -> CallCost:
    size = estimator.size(node.args[0])
    return CallCost(size.scaled(TRAVERSAL), Range(size.low // 4, size.high))


def _to_bytes(estimator: Estimator, node: Call) -> CallCost:
    size = estimator.size(node.args[0])
    return CallCost(size.scaled(TRAVERSAL), Range(size.low, min(size.high * 4, LARGEST)))


def _quote(estimator: Estimator, node: Call) -> CallCost:
    size = estimator.size(node.args[0])
    return CallCost(size.scaled(TRAVERSAL), Range(size.low + 2, min(size.high * 2 + 2, LARGEST)))


def _add(estimator: Estimator, node: Call) -> CallCost:
    a, b = _sizes(estimator, node)
    _add_entries(estimator, node)
    return CallCost(a.plus(b).scaled(TRAVERSAL), a.plus(b))


def _add_list(estimator: Estimator, node: Call) -> CallCost:
    a, b = _sizes(estimator, node)
    _add_entries(estimator, node)
    return CallCost(ONE, a.plus(b))


def _add_entries(estimator: Estimator, node: Call) -> None:
    entries = estimator.entries(node.args[0])
    if entries is not None:
        estimator.set_entries(node, entries.union(estimator.entries(node.args[1])))


def _compare(estimator: Estimator, node: Call) -> CallCost:
    if any(item.type.name in _PLAIN for item in node.args):
        return CallCost(ONE)
    a, b = _sizes(estimator, node)
    most = min(a.high, b.high)
    return CallCost(Range(min(most, 1), most).scaled(TRAVERSAL))


def _in_list(estimator: Estimator, node: Call) -> CallCost:
    return CallCost(estimator.size(node.args[1]))


def _contains(estimator: Estimator, node: Call) -> CallCost:
    text, part = _sizes(estimator, node)
    return CallCost(text.scaled(TRAVERSAL).times(part.scaled(TRAVERSAL)))


def _starts(estimator: Estimator, node: Call) -> CallCost:
    return CallCost(estimator.size(node.args[0]).scaled(TRAVERSAL))


def _matches(estimator: Estimator, node: Call) -> CallCost:
    text, pattern = _sizes(estimator, node)[:2]
    return CallCost(text.plus(ONE).scaled(TRAVERSAL).times(pattern.scaled(PATTERN)))


def _find(estimator: Estimator, node: Call) -> CallCost:
    return CallCost(_matches(estimator, node).cost, Range(0, estimator.size(node.operands[0]).high))


def _elements(estimator: Estimator, node: Call) -> CallCost:
    target = node.operands[0]
    size, kind = estimator.size(target), target.type
    if kind.kind != "list":
        return CallCost(size.scaled(TRAVERSAL))
    each = ONE
    if kind.params[0].kind in ("string", "bytes"):
        each = each.plus(estimator.item_size(target).scaled(TRAVERSAL))
    return CallCost(size.times(each))


def _replace(estimator: Estimator, node: Call) -> CallCost:
    text, old, new = _sizes(estimator, node)[:3]
    high, low = _replaced(text.high, old.low, new.high, longer=True), _replaced(text.low, old.high, new.low, longer=False)
    return CallCost(text.scaled(2 * TRAVERSAL), Range(low, high))


def _replaced(text: int, old: int, new: int, *, longer: bool) -> int:
    """How long a text of that length becomes, when as much as possible is replaced."""
    if old == 0:
        # Before, between and after all characters.
        return min(min(text + 1, LARGEST) * new + text, LARGEST)
    if (new <= old) if longer else (old <= new):
        return text
    return min(-(-text // old) * new, LARGEST)


def _split(estimator: Estimator, node: Call) -> CallCost:
    size = estimator.size(node.operands[0])
    most = size.high
    if len(node.args) > 1 and isinstance(node.args[1], Literal) and isinstance(node.args[1].value, int):
        most = max(node.args[1].value, 0) or most
    return CallCost(size.scaled(2 * TRAVERSAL), Range(0, most))


def _join(estimator: Estimator, node: Call) -> CallCost:
    target = node.operands[0]
    count = estimator.size(target)
    size = count.times(estimator.item_size(target))
    if node.args:
        between = Range(max(count.low - 1, 0), max(count.high - 1, 0))
        size = size.plus(estimator.size(node.args[0]).times(between))
    return CallCost(size.scaled(TRAVERSAL), size)


def _parsed(estimator: Estimator, node: Call) -> Range:
    """Where an argument is a string in place of what it says."""
    arg = node.args[0]
    return estimator.size(arg).scaled(TRAVERSAL) if arg.type.kind in ("string", "dyn") else NOTHING


def _contains_ip(estimator: Estimator, node: Call) -> CallCost:
    return CallCost(_ADDRESS.plus(_ADDRESS).scaled(TRAVERSAL).plus(_parsed(estimator, node)))


def _contains_cidr(estimator: Estimator, node: Call) -> CallCost:
    masked = _ADDRESS.scaled(TRAVERSAL).plus(ONE)
    return CallCost(_contains_ip(estimator, node).cost.plus(masked))


def _validate(estimator: Estimator, node: Call) -> CallCost:
    return CallCost(estimator.size(node.args[0]).scaled(TRAVERSAL).times(_FORMAT_COST))


def _sets(estimator: Estimator, node: Call) -> CallCost:
    a, b = _sizes(estimator, node)
    return CallCost(a.times(b).plus(ONE))


def _sets_both(estimator: Estimator, node: Call) -> CallCost:
    a, b = _sizes(estimator, node)
    return CallCost(a.times(b).times(exactly(2)).plus(ONE))


def _result(estimator: Estimator, node: Call) -> CallCost:
    """slice(), reverse(), lists.range()."""
    numbers = [arg.value for arg in node.args if isinstance(arg, Literal) and isinstance(arg.value, int)]
    if numbers and len(numbers) == len(node.args):
        size = exactly(max(numbers[-1] - (numbers[0] if len(numbers) > 1 else 0), 0))
    elif node.target is None:
        size = Range(0, LARGEST)
    else:
        size = estimator.size(node.operands[0])
    return CallCost(size.plus(_CALL), size)


def _flatten(estimator: Estimator, node: Call) -> CallCost:
    depth: Node | None = node.args[0] if node.args else None
    times = 1 if depth is None else depth.value if isinstance(depth, Literal) else LARGEST
    return CallCost(estimator.size(node.operands[0]).times(exactly(max(times, 1))).plus(_CALL))


def _quadratic(estimator: Estimator, node: Call) -> CallCost:
    size = estimator.size(node.operands[0])
    cost = size.times(size).times(exactly(2)).plus(_CALL)
    kind = node.operands[0].type
    if kind.kind == "list" and kind.params[0].kind in ("string", "bytes"):
        cost = cost.plus(size.times(estimator.item_size(node.operands[0]).scaled(TRAVERSAL)))
    return CallCost(cost, size)


_OWN: Mapping[str, Callable[[Estimator, Call], CallCost]] = {
    "first": _first,
    "first_sized": _first_sized,
    "first_twice": _first_twice,
    "to_string": _to_string,
    "to_bytes": _to_bytes,
    "quote": _quote,
    "format": _first,
    "add": _add,
    "add_list": _add_list,
    "compare": _compare,
    "in_list": _in_list,
    "contains": _contains,
    "starts": _starts,
    "matches": _matches,
    "find": _find,
    "elements": _elements,
    "replace": _replace,
    "split": _split,
    "join": _join,
    "contains_ip": _contains_ip,
    "contains_cidr": _contains_cidr,
    "validate": _validate,
    "sets": _sets,
    "sets_both": _sets_both,
    "result": _result,
    "flatten": _flatten,
    "quadratic": _quadratic,
}
