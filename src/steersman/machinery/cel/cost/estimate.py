"""What an expression may cost at least and at most, before it ever runs, from what a schema says of sizes.

Every node has a cost; strings, bytes, lists and maps have a size as well, found by the path from a variable to them (`self`,
`spec`, `@items`), from the expression itself, or unknown. What calls cost is in functions.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from steersman.machinery.cel.ast import Call, Comprehension, Ident, ListOf, Literal, MapOf, Node, ObjectOf, Select
from steersman.machinery.cel.cost import functions
from steersman.machinery.cel.cost.charges import BASE_LIST, BASE_MAP, BASE_OBJECT
from steersman.machinery.cel.cost.ranges import LARGEST, NOTHING, ONE, UNKNOWN, Range, exactly

Path = tuple[str, ...]
SizeOf = Callable[[Path], Range | None]
"""The size of what is at a path; None if nothing is known of it."""


class Entries(NamedTuple):
    """Sizes of what is in a list or map."""

    is_list: bool
    key: Range
    value: Range

    def union(self, other: Entries | None) -> Entries | None:
        return None if other is None else Entries(self.is_list, self.key.union(other.key), self.value.union(other.value))


class _Local(NamedTuple):
    """A variable of a macro."""

    path: Path
    size: Range | None
    entries: Entries | None


def estimate(tree: Node, size_of: SizeOf) -> Range:
    """The cost of a checked tree."""
    return Estimator(size_of).cost(tree)


class Estimator:
    """One estimate. Nodes are known by identity."""

    def __init__(self, size_of: SizeOf) -> None:
        self._size_of = size_of
        self._paths: dict[int, Path] = {}
        self._sizes: dict[int, Range] = {}
        self._entries: dict[int, Entries] = {}
        self._locals: dict[str, list[_Local]] = {}

    def cost(self, node: Node) -> Range:
        if isinstance(node, Ident):
            return self._ident(node)
        if isinstance(node, Select):
            return self._select(node)
        if isinstance(node, Call):
            return self._call(node)
        if isinstance(node, ListOf):
            return self._list(node)
        if isinstance(node, MapOf):
            return self._map(node)
        if isinstance(node, ObjectOf):
            return self._sum([value for _, value, _, _ in node.entries]).plus(exactly(BASE_OBJECT))
        if isinstance(node, Comprehension):
            return self._bind(node) if node.macro == "bind" else self._fold(node)
        return NOTHING

    def _sum(self, nodes: list[Node]) -> Range:
        total = NOTHING
        for node in nodes:
            total = total.plus(self.cost(node))
        return total

    # Sizes

    def path(self, node: Node) -> Path:
        if isinstance(node, Ident):
            local = self._local(node.name)
            if local is not None:
                return local.path
        return self._paths.get(id(node), ())

    def size(self, node: Node) -> Range:
        found = self._known_size(node)
        return UNKNOWN if found is None else found

    def item_size(self, node: Node) -> Range:
        """Of the items of a list, as far as the schema tells."""
        path = self.path(node)
        found = self._size_of((*path, "@items")) if path else None
        return UNKNOWN if found is None else found

    def entries(self, node: Node) -> Entries | None:
        found = self._entries.get(id(node))
        if found is None and isinstance(node, Ident):
            local = self._local(node.name)
            return local.entries if local is not None else None
        return found

    def set_entries(self, node: Node, found: Entries | None) -> None:
        if found is not None:
            self._entries[id(node)] = found

    def _known_size(self, node: Node) -> Range | None:
        found = self._sizes.get(id(node))
        if found is None:
            found = _literal_size(node)
        if found is None:
            path = self.path(node)
            found = self._size_of(path) if path else None
        if found is None and node.type.is_scalar:
            found = ONE
        if found is None and isinstance(node, Ident):
            local = self._local(node.name)
            found = local.size if local is not None else None
        return found

    def _set_size(self, node: Node, found: Range | None) -> None:
        if found is not None:
            self._sizes[id(node)] = found

    def _local(self, name: str) -> _Local | None:
        found = self._locals.get(name)
        return found[-1] if found else None

    def _push(self, name: str, local: _Local) -> None:
        self._locals.setdefault(name, []).append(local)

    # Nodes

    def _ident(self, node: Ident) -> Range:
        local = self._local(node.name)
        self._paths[id(node)] = local.path if local is not None else (node.name,)
        return ONE

    def _select(self, node: Select) -> Range:
        if node.variable:
            self._paths[id(node)] = (node.variable,)
            return ONE
        total = self.cost(node.operand)
        if node.test_only:
            return total
        if node.operand.type.kind in ("map", "object", "param"):
            total = total.plus(ONE)
        path = self.path(node.operand)
        self._paths[id(node)] = (*path, node.name)
        return total

    def _list(self, node: ListOf) -> Range:
        total = self._sum(node.items)
        items = Range(LARGEST if node.items else 0, 0)
        for item in node.items:
            items = items.union(self.size(item))
        self.set_entries(node, Entries(True, ONE, items))
        return total.plus(exactly(BASE_LIST))

    def _map(self, node: MapOf) -> Range:
        keys = values = Range(LARGEST if node.entries else 0, 0)
        total = NOTHING
        for key, value, _ in node.entries:
            total = total.plus(self.cost(key)).plus(self.cost(value))
            keys, values = keys.union(self.size(key)), values.union(self.size(value))
        self.set_entries(node, Entries(False, keys, values))
        return total.plus(exactly(BASE_MAP))

    def _call(self, node: Call) -> Range:
        if node.function == "dyn" and node.target is None:
            total = self.cost(node.args[0]).plus(ONE)
            self._set_size(node, self._known_size(node.args[0]))
            self.set_entries(node, self.entries(node.args[0]))
            return total
        args = [self.cost(arg) for arg in node.args]
        target = self.cost(node.target) if node.target is not None else NOTHING
        total, size = Range(LARGEST, 0), None
        for candidate in node.overloads:
            found = functions.call(self, node, candidate, args)
            total = total.union(found.cost)
            if found.size is not None:
                size = found.size if size is None else size.union(found.size)
            if candidate.cost in ("index_list", "index_map"):
                size = self._indexed(node, candidate.cost)
            if size is None:
                size = self._known_size(node)
        if not node.overloads:
            total = ONE.plus(args[0])
        self._set_size(node, size)
        return target.plus(total)

    def _indexed(self, node: Call, kind: str) -> Range | None:
        step = "@items" if kind == "index_list" else "@values"
        self._paths[id(node)] = (*self.path(node.args[0]), step)
        entries = self.entries(node.args[0])
        return entries.value if entries is not None else None

    def _fold(self, node: Comprehension) -> Range:
        total = self.cost(node.range).plus(self.cost(node.start))
        self._push(node.accumulator, _Local(self.path(node.start), self._known_size(node.start), self.entries(node.start)))
        self._push_variables(node)
        turn = self.cost(node.condition).plus(self.cost(node.step))
        self._locals[node.variable].pop()
        if node.second:
            self._locals[node.second].pop()
        total = total.plus(self.cost(node.result))
        self._locals[node.accumulator].pop()
        count = self.size(node.range)
        if isinstance(node.start, Literal):
            self._set_size(node, self._known_size(node.start))
        elif isinstance(node.start, ListOf | MapOf):
            self._set_size(node, count)
            self.set_entries(node, self.entries(node.step))
        return total.plus(count.times(turn))

    def _push_variables(self, node: Comprehension) -> None:
        entries, path = self.entries(node.range), self.path(node.range)
        is_list = entries.is_list if entries is not None else node.range.type.kind == "list"
        key, value = (entries.key, entries.value) if entries is not None else (None, None)
        keys = _Local((*path, "@indices" if is_list and node.second else "@keys"), key, None)
        values = _Local((*path, "@items" if is_list else "@values"), value, None)
        if node.second:
            self._push(node.variable, keys)
            self._push(node.second, values)
        else:
            self._push(node.variable, values if is_list else keys)

    def _bind(self, node: Comprehension) -> Range:
        total = self.cost(node.range).plus(self.cost(node.start))
        self._push(node.accumulator, _Local(self.path(node.start), self._known_size(node.start), self.entries(node.start)))
        total = total.plus(self.cost(node.result))
        self._locals[node.accumulator].pop()
        self._set_size(node, self._known_size(node.result))
        self.set_entries(node, self.entries(node.result))
        return total


def _literal_size(node: Node) -> Range | None:
    if isinstance(node, Literal):
        return exactly(len(node.value) if isinstance(node.value, str | bytes) else 1)
    if isinstance(node, ListOf):
        return exactly(len(node.items))
    return exactly(len(node.entries)) if isinstance(node, MapOf) else None
