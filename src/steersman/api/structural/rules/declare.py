"""Structural schemas as types of CEL, with what the cost of expressions is estimated by: how large things may be.

Source: apiserver pkg/cel/common/schemas.go. All sizes are in code points, items or entries; smallest sizes in bytes of JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from steersman.api.structural.model import MISSING, Node, build
from steersman.api.structural.rules import naming
from steersman.machinery.cel import types
from steersman.machinery.cel.cost.estimate import Path
from steersman.machinery.cel.cost.ranges import Range
from steersman.machinery.cel.types import Field, Type

LARGEST_REQUEST = 3 * 1024 * 1024
_TEXT = LARGEST_REQUEST - 2
_FORMATS = {
    "duration": (types.DURATION, 32, 3),
    "date": (types.TIMESTAMP, 12, 12),
    "date-time": (types.TIMESTAMP, 32, 21),
}
_SCALARS = {"boolean": (types.BOOL, 4), "integer": (types.INT, 1), "number": (types.DOUBLE, 1)}
_META = build(
    {
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}, "generateName": {"type": "string"}}},
        },
    }
)


@dataclass(slots=True)
class Decl:
    """One level of a schema. largest: size of its values. smallest: bytes that one takes in a request."""

    type: Type
    largest: int = 0
    smallest: int = 1
    fields: dict[str, Decl] = field(default_factory=dict)
    """Of objects, by names as CEL spells them."""
    inner: Decl | None = None
    """Of lists and maps: their items or values."""

    def size_of(self, path: Path) -> Range | None:
        """How large what is at a path from a variable may be. Whichever variable it starts from: it is of this type."""
        at: Decl | None = self
        for step in path[1:]:
            if at is None:
                return None
            if step in ("@items", "@values"):
                at = at.inner
            elif step == "@keys":
                return Range(0, 0) if at.inner is not None else None
            else:
                at = at.fields.get(step)
        return Range(0, at.largest) if at is not None else None


class Declarations:
    """The types of one schema, each level declared once."""

    def __init__(self) -> None:
        self._known: dict[int, Decl | None] = {}

    def of(self, node: Node, *, is_root: bool = False) -> Decl | None:
        """None for what expressions cannot see: fields without a type."""
        key = id(node)
        if key not in self._known:
            self._known[key] = self._declare(node, is_root or node.embedded)
        return self._known[key]

    def _declare(self, node: Node, is_resource: bool) -> Decl | None:
        raw = node.raw
        if node.int_or_string:
            length = raw.get("maxLength")
            return Decl(types.DYN, _TEXT if length is None else max(length, 0) * 4, 1)
        if node.type == "array":
            return self._list(node)
        if node.type == "object":
            return self._map(node, node.additional) if node.additional is not None else self._object(node, is_resource)
        if node.type == "string":
            return _string(node)
        known = _SCALARS.get(node.type)
        return Decl(known[0], 0, known[1]) if known is not None else None

    def _list(self, node: Node) -> Decl | None:
        inner = self.of(node.items) if node.items is not None else None
        if inner is None:
            return None
        most = node.raw.get("maxItems")
        largest = _TEXT // (inner.smallest + 1) if most is None else max(most, 0)
        return Decl(types.list_of(inner.type), largest, 2, inner=inner)

    def _map(self, node: Node, values: Node) -> Decl | None:
        inner = self.of(values)
        if inner is None:
            return None
        most = node.raw.get("maxProperties")
        largest = _TEXT // (inner.smallest + 6) if most is None else max(most, 0)
        return Decl(types.map_of(types.STRING, inner.type), largest, 2, inner=inner)

    def _object(self, node: Node, is_resource: bool) -> Decl:
        fields: dict[str, Field] = {}
        made = Decl(types.object_of(f"selfType{id(node):x}", fields), 0, 2)
        required = set(node.raw.get("required") or ())
        for name, inner in {**node.properties, **(_META.properties if is_resource else {})}.items():
            decl = self.of(inner)
            if decl is None:
                continue
            if name in required and inner.default is MISSING:
                made.smallest += len(name) + decl.smallest + 4
            spelt = naming.escape(name)
            if spelt is not None:
                fields[spelt] = Field(decl.type, name)
                made.fields[spelt] = decl
                if naming.is_plain_too(name):
                    fields[name] = fields[spelt]
        return made


def _string(node: Node) -> Decl:
    form, length, raw = node.raw.get("format") or "", node.raw.get("maxLength"), node.raw
    if form in _FORMATS:
        return Decl(*_FORMATS[form])
    if form == "byte":
        return Decl(types.BYTES, _TEXT if length is None else max(length, 0), 2)
    if length is not None:
        return Decl(types.STRING, max(length, 0) * 4, 2)
    enum = [item for item in raw.get("enum") or () if isinstance(item, str)]
    return Decl(types.STRING, max((len(item.encode()) for item in enum), default=_TEXT), 2)
