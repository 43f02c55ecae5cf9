"""What a JSONPath template finds in an object: kubectl's dialect, with its error texts.

Differences to other JSONPaths, all deliberate: an index beyond a list is an error, a slice may not reach beyond it, a missing key
is nothing. Maps are walked in the order of their keys (upstream's order is random). Not here: the syntax (parse.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from steersman.machinery import govalues
from steersman.machinery.jsonpath.parse import (
    Field,
    Filter,
    Identifier,
    JSONPathError,
    Literal,
    Node,
    Path,
    Recursive,
    Slice,
    Union,
    parse,
)  # fmt: skip


class JSONPath:
    """A parsed template. `allow_missing_keys`: a key that is not there is nothing, else an error."""

    def __init__(self, template: str, *, allow_missing_keys: bool = True) -> None:
        self.template = template
        self._nodes = parse(template)
        self._lenient = allow_missing_keys

    def find(self, obj: Any) -> list[list[Any]]:
        """The results of each text and each action in turn. Raises JSONPathError."""
        results: list[list[Any]] = []
        self._block(0, obj, results, 0)
        return results

    def _block(self, at: int, obj: Any, results: list[list[Any]], depth: int) -> int | None:
        """Everything from a node up to the `{end}` of this range; its place, or None if there is no end."""
        while at < len(self._nodes):
            node = self._nodes[at]
            name = _identifier(node)
            if name == "end" and depth == 0:
                raise JSONPathError("not in range, nothing to end")
            found = self._walk([obj], node)
            if name == "end":
                return at
            if name == "range":
                ended = None
                for item in found or [None]:
                    # Without anything to range over, the block is walked all the same, to find where it ends.
                    ended = self._block(at + 1, item, results if found else [], depth + 1)
                at = at + 1 if ended is None else ended + 1
                continue
            results.append(found)
            at += 1
        return None

    def _walk(self, values: list[Any], node: Node) -> list[Any]:
        match node:
            case Literal(value):
                return [value] if isinstance(value, str) else [value for _ in values]
            case Field(name):
                return self._field(values, name)
            case Slice():
                return _sliced(values, node)
            case Recursive():
                return _descend(values)
            case Identifier(name):
                if name in ("range", "end"):
                    return values
                raise JSONPathError(f"unrecognized identifier {name}")
            case Path():
                return self._path(values, node)
            case Union(paths):
                return [found for path in paths for found in self._path(values, path)]
            case Filter():
                return self._filtered(values, node)
        return [found for value in values for found in _children(value)]

    def _path(self, values: list[Any], path: Path) -> list[Any]:
        for node in path.nodes:
            values = self._walk(values, node)
        return values

    def _field(self, values: list[Any], name: str) -> list[Any]:
        found = [value[name] for value in values if isinstance(value, dict) and name in value]
        if not found and not self._lenient:
            raise JSONPathError(f"{name} is not found")
        return found

    def _filtered(self, values: list[Any], node: Filter) -> list[Any]:
        results: list[Any] = []
        for value in values:
            if not isinstance(value, list):
                raise JSONPathError(f"{govalues.plain(value)} is not array or slice and cannot be filtered")
            results += [item for item in value if self._passes(item, node)]
        return results

    def _passes(self, item: Any, node: Filter) -> bool:
        lefts = self._path([item], node.left)
        if node.operator == "exists":
            return bool(lefts)
        if not lefts:
            return False
        if len(lefts) > 1:
            raise JSONPathError("can only compare one element at a time")
        rights = self._path([item], node.right)
        if not rights:
            return False
        if len(rights) > 1:
            raise JSONPathError("can only compare one element at a time")
        return _compare(lefts[0], node.operator, rights[0])


def _identifier(node: Node) -> str:
    """`range` or `end`, if that is what an action is about."""
    if isinstance(node, Path):
        for inner in node.nodes:
            if isinstance(inner, Identifier) and inner.name in ("range", "end"):
                return inner.name
    return ""


def _children(value: Any) -> Sequence[Any]:
    if isinstance(value, dict):
        return [value[key] for key in sorted(value)]
    return value if isinstance(value, list) else ()


def _descend(values: Sequence[Any]) -> list[Any]:
    """Every map and list that is not empty, from the outside in."""
    found: list[Any] = []
    for value in values:
        inner = _children(value)
        if inner:
            found.append(value)
            found += _descend(inner)
    return found


def _sliced(values: list[Any], node: Slice) -> list[Any]:
    results: list[Any] = []
    for value in values:
        if value is None:
            continue
        if not isinstance(value, list):
            raise JSONPathError(f"{govalues.type_name(value)} is not array or slice")
        size = len(value)
        start = node.start or 0
        start = start + size if start < 0 else start
        end = size if node.end is None else node.end
        end = end + size if end < 0 or (end == 0 and node.derived) else end
        if start == end:
            return results
        if start >= size or start < 0:
            raise JSONPathError(f"array index out of bounds: index {start}, length {size}")
        if end > size or end < 0:
            raise JSONPathError(f"array index out of bounds: index {end - 1}, length {size}")
        if start > end:
            raise JSONPathError(f"starting index {start} is greater than ending index {end}")
        if node.step is not None and node.step <= 0:
            raise JSONPathError("step must be > 0")
        results += value[start : end : node.step or 1]
    return results


def _compare(left: Any, operator: str, right: Any) -> bool:
    kinds = govalues.type_name(left).removesuffix("64"), govalues.type_name(right).removesuffix("64")
    if any(kind not in ("bool", "int", "float", "string") for kind in kinds):
        raise JSONPathError("invalid type for comparison")
    if kinds[0] != kinds[1]:
        raise JSONPathError("incompatible types for comparison")
    if operator not in ("==", "!=", "<", "<=", ">", ">="):
        raise JSONPathError(f"unrecognized filter operator {operator}")
    if operator in ("==", "!="):
        return bool(left == right) is (operator == "==")
    if kinds[0] == "bool":
        raise JSONPathError("invalid type for comparison")
    return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[operator])
