"""Expressions as trees. Macros are expanded already; `type` and `overloads` are what the checker found out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from steersman.machinery.cel.types import DYN, Type

if TYPE_CHECKING:
    from steersman.machinery.cel.functions import Overload


@dataclass(slots=True, eq=False)
class Node:
    """place: code points before the token that stands for this node."""

    place: int
    type: Type = field(default=DYN, kw_only=True)


@dataclass(slots=True, eq=False)
class Literal(Node):
    value: Any


@dataclass(slots=True, eq=False)
class Ident(Node):
    name: str
    constant: Type | None = field(default=None, kw_only=True)
    """The type that this name is, where it is one."""


@dataclass(slots=True, eq=False)
class Select(Node):
    operand: Node
    name: str
    test_only: bool = False
    """has(operand.name)"""
    variable: str = field(default="", kw_only=True)
    """The whole chain is one dotted name: of a variable, or of the type in `constant`."""
    constant: Type | None = field(default=None, kw_only=True)


@dataclass(slots=True, eq=False)
class Call(Node):
    function: str
    target: Node | None
    args: list[Node]
    overloads: tuple[Overload, ...] = field(default=(), kw_only=True)

    @property
    def operands(self) -> list[Node]:
        return self.args if self.target is None else [self.target, *self.args]


@dataclass(slots=True, eq=False)
class ListOf(Node):
    items: list[Node]
    optional: frozenset[int] = frozenset()
    """Indexes of items written `?item`."""


@dataclass(slots=True, eq=False)
class MapOf(Node):
    entries: list[tuple[Node, Node, bool]]
    """Key, value, whether written `?key`."""


@dataclass(slots=True, eq=False)
class ObjectOf(Node):
    name: str
    entries: list[tuple[str, Node, bool, int]]
    """Field, value, whether written `?field`, its place."""


@dataclass(slots=True, eq=False)
class Comprehension(Node):
    """What a macro over a collection means: fold `step` over `range` into `accumulator`, while `condition` holds.

    macro, predicate, transform: the same as it was written, which is what runs.
    """

    macro: str
    range: Node
    variable: str
    second: str
    """The second variable; empty where there is one."""
    accumulator: str
    start: Node
    condition: Node
    step: Node
    result: Node
    predicate: Node | None = field(default=None, kw_only=True)
    transform: Node | None = field(default=None, kw_only=True)


def children(node: Node) -> list[Node]:
    """The nodes directly below."""
    if isinstance(node, Select):
        return [node.operand]
    if isinstance(node, Call):
        return node.operands
    if isinstance(node, ListOf):
        return node.items
    if isinstance(node, MapOf):
        return [part for key, value, _ in node.entries for part in (key, value)]
    if isinstance(node, ObjectOf):
        return [value for _, value, _, _ in node.entries]
    if isinstance(node, Comprehension):
        return [node.range, node.start, node.condition, node.step, node.result]
    return []


def dotted(node: Node) -> str:
    """`a.b` of a chain of names, empty of anything else."""
    if isinstance(node, Ident):
        return node.name
    if isinstance(node, Select) and not node.test_only:
        inner = dotted(node.operand)
        return f"{inner}.{node.name}" if inner else ""
    return ""
