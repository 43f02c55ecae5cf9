"""Sets of fields, in the shape that FieldsV1 has on the wire, so that nothing is converted on the way to or from an object.

A FieldSet is a dict from path elements (`f:spec`, `k:{"name":"a"}`, `v:"x"`, `i:0`; elements.py) to FieldSets. A path is a member
if its dict is empty, or has the key `.`, which it has when paths below it are members as well. The empty set is `{}`.
Sets are never changed once made: results share parts with what they were made of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from steersman.machinery.apply import elements

FieldSet: TypeAlias = dict[str, Any]
Path: TypeAlias = tuple[str, ...]

SELF = "."
EMPTY: FieldSet = {}
LEAF: FieldSet = {}
MOST_DEPTH = 200
"""Deeper objects can be stored (orjson writes 254 levels), but nobody owns anything in them."""


def is_member(node: FieldSet) -> bool:
    """Whether the path that leads to this node is in the set."""
    return not node or SELF in node


def at(fields: FieldSet, *path: str) -> FieldSet | None:
    """The node of a path; None if neither it nor anything below is there."""
    node: FieldSet | None = fields
    for element in path:
        node = node.get(element) if node is not None else None
    return node


def of(*paths: Path) -> FieldSet:
    """The set of these paths."""
    made: FieldSet = {}
    for path in paths:
        one = LEAF
        for element in reversed(path):
            one = {element: one}
        made = union(made, one)
    return made


def union(left: FieldSet, right: FieldSet) -> FieldSet:
    if not right or left is right:
        return left
    if not left:
        return right
    made = dict(left)
    for element, node in right.items():
        other = made.get(element)
        if other is None:
            made[element] = node
        elif other is not node and element != SELF:
            made[element] = _both(other, node)
    return made


def _both(left: FieldSet, right: FieldSet) -> FieldSet:
    if not left:
        return right if is_member(right) else {SELF: LEAF, **right}
    if not right:
        return left if is_member(left) else {SELF: LEAF, **left}
    return union(left, right)


def difference(left: FieldSet, right: FieldSet) -> FieldSet:
    """Paths of the left that are not in the right. A path does not stand for what is below it."""
    return _without(left, right, _outside)


def recursive_difference(left: FieldSet, right: FieldSet) -> FieldSet:
    """Paths of the left that are neither in the right nor below one that is."""
    return _without(left, right, _outside_and_above)


def _without(left: FieldSet, right: FieldSet, reduce: Callable[[FieldSet, FieldSet], FieldSet | None]) -> FieldSet:
    if not left or not right:
        return left
    made = left
    for element, other in right.items():
        node = left.get(element)
        if node is None or element == SELF:
            continue
        rest = reduce(node, other)
        if rest is node:
            continue
        if made is left:
            made = dict(left)
        if rest is None:
            del made[element]
        else:
            made[element] = rest
    return made


def _outside(node: FieldSet, other: FieldSet) -> FieldSet | None:
    """What stays of a node; None if nothing does."""
    gone = is_member(other)
    if not node:
        return None if gone else node
    rest = _without(node, other, _outside)
    if gone and SELF in rest:
        rest = {element: inner for element, inner in rest.items() if element != SELF}
        return rest or None
    return _shrunk(rest)


def _outside_and_above(node: FieldSet, other: FieldSet) -> FieldSet | None:
    if is_member(other):
        return None
    return _shrunk(_without(node, other, _outside_and_above)) if node else node


def _shrunk(rest: FieldSet) -> FieldSet | None:
    """A node that had something in it, after taking away: a lone `.` is written as a leaf."""
    if not rest:
        return None
    return LEAF if len(rest) == 1 and SELF in rest else rest


def intersection(left: FieldSet, right: FieldSet) -> FieldSet:
    made: FieldSet = {}
    if len(right) < len(left):
        left, right = right, left
    for element, node in left.items():
        other = right.get(element)
        if other is None or element == SELF:
            continue
        both = intersection(node, other)
        if is_member(node) and is_member(other):
            made[element] = {SELF: LEAF, **both} if both else LEAF
        elif both:
            made[element] = both
    return made


def paths(fields: FieldSet, before: Path = ()) -> Iterator[Path]:
    """All paths of the set, in upstream's order."""
    for element in sorted(fields, key=elements.order):
        if element == SELF:
            continue
        node = fields[element]
        path = (*before, element)
        if is_member(node):
            yield path
        yield from paths(node, path)


def ordered(fields: FieldSet, room: int = MOST_DEPTH) -> FieldSet:
    """The same set as upstream writes it: fields, then keys, values and indexes, each sorted.

    Raises RecursionError for a set that is too deep to be written.
    """
    if not fields:
        return fields
    if not room:
        raise RecursionError("a set of fields is too deep")
    # `.` and fields come first and sort as text; only what holds values has to be looked at.
    plain = all(element[0] in ".f" for element in fields)
    found = sorted(fields) if plain else sorted(fields, key=elements.order)
    return {element: ordered(fields[element], room - 1) for element in found}


def decode(raw: Any) -> FieldSet:
    """A FieldsV1 that came from outside. Unknown path elements are dropped, as upstream does. Raises ValueError."""
    if not isinstance(raw, dict):
        raise ValueError("fieldsV1 is no object")
    made: FieldSet = {}
    for element, inner in raw.items():
        if element == SELF:
            continue
        canonical = elements.canonical(element)
        if canonical is None:
            continue
        if not isinstance(inner, dict):
            raise ValueError(f"{element} is no object")
        node = decode(inner)
        if inner and not node:
            if SELF in inner:
                made[canonical] = LEAF
            continue
        made[canonical] = {SELF: LEAF, **node} if SELF in inner else node
    return made
