"""The slow way through an object along its schema: cleans it as Go's decoding would and words every complaint as upstream does.

Used when the fast check (schema/checker.py) refused an object, or nulls need care. Paths of unknown fields have indexes
(`spec.containers[0].foo`), those of type errors have none (Go's struct field names): both as upstream shows them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from steersman.api.schema import scalars
from steersman.api.schema.loader import Type, schema
from steersman.machinery import quantity

_GO_TYPES = {
    "boolean": "bool", "double": "float64", "number": "float64", "integer": "int64", "bytes": "[]uint8",
    "raw": "runtime.RawExtension", "quantity": "resource.Quantity",
    "time": "v1.Time", "micro-time": "v1.MicroTime", "int-or-string": "intstr.IntOrString",
}  # fmt: skip
_BOUNDS = {"int32": 2**31, "int64": 2**63, "integer": 2**63}
_ZERO = {
    **{"string": "", "bytes": "", "quantity": "0", "boolean": False},
    **dict.fromkeys(("int32", "int64", "integer", "double", "number", "int-or-string"), 0),
}
_DROP = object()


@dataclass(slots=True)
class Findings:
    """`errors`: values of the wrong type, each fatal. `unknown`: paths of fields that the kind does not have."""

    errors: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def walk(value: Any, name: str) -> tuple[Any, Findings]:
    """A cleaned copy of an object (nulls and unknown fields gone, scalars canonical) and what was wrong with it."""
    findings = Findings()
    cleaned = _value(value, Type("ref", ref=name), _Place("", "", ""), findings)
    return ({} if cleaned is _DROP else cleaned), findings


def walk_type(value: Any, kind: Type) -> str | None:
    """The first complaint about a value that stands for itself, None if there is none."""
    findings = Findings()
    _value(value, kind, _Place("", "", ""), findings)
    return findings.errors[0] if findings.errors else None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a value is: `path` with indexes, `go` without, `struct` the innermost Go struct."""

    path: str
    go: str
    struct: str

    def field(self, struct: str, name: str) -> _Place:
        return _Place(f"{self.path}.{name}" if self.path else name, f"{self.go}.{name}" if self.go else name, struct)

    def index(self, index: int) -> _Place:
        return _Place(f"{self.path}[{index}]", self.go, self.struct)

    def key(self, key: str) -> _Place:
        return _Place(f"{self.path}.{key}", self.go, self.struct)


def _value(value: Any, kind: Type, place: _Place, findings: Findings) -> Any:
    if kind.kind == "any":
        return value
    if value is None:
        return _DROP
    if kind.kind == "ref":
        return _struct(value, kind, place, findings)
    if kind.kind == "list":
        return _list(value, kind, place, findings)
    if kind.kind == "map":
        return _map(value, kind, place, findings)
    if kind.kind == "raw":
        return value
    return _scalar(value, kind, place, findings)


def _struct(value: Any, kind: Type, place: _Place, findings: Findings) -> Any:
    if not isinstance(value, dict):
        return _mismatch(value, kind, place, findings)
    definition = schema().definition(kind.ref)
    cleaned = {}
    for name, item in value.items():
        known = definition.fields.get(name)
        inner = place.field(definition.short_name, name)
        if known is None:
            if definition.fields:
                findings.unknown.append(inner.path)
            continue
        found = _value(item, known.type, inner, findings)
        if found is not _DROP:
            cleaned[name] = found
    return cleaned


def _list(value: Any, kind: Type, place: _Place, findings: Findings) -> Any:
    assert kind.item is not None
    if not isinstance(value, list):
        return _mismatch(value, kind, place, findings)
    cleaned = []
    for index, item in enumerate(value):
        found = _value(item, kind.item, place.index(index), findings)
        cleaned.append(_zero(kind.item) if found is _DROP else found)
    return cleaned


def _map(value: Any, kind: Type, place: _Place, findings: Findings) -> Any:
    assert kind.item is not None
    if not isinstance(value, dict):
        return _mismatch(value, kind, place, findings)
    cleaned = {}
    amounts = kind.item.kind == "quantity"
    for key, item in value.items():
        found = _value(item, kind.item, place.key(key), findings)
        if found is _DROP:
            found = _zero(kind.item)
        cleaned[key] = quantity.canonical_resource(found) if amounts and isinstance(found, str) else found
    return cleaned


def _zero(kind: Type) -> Any:
    """What Go leaves where a list or map holds null, once it has been stored."""
    if kind.kind in ("ref", "map"):
        return {}
    if kind.kind == "list":
        return []
    return _ZERO.get(kind.kind)


def _scalar(value: Any, kind: Type, place: _Place, findings: Findings) -> Any:
    word = kind.kind
    if word in ("time", "micro-time", "quantity", "bytes"):
        return _encoded(value, word, place, findings)
    if word == "string":
        return value if isinstance(value, str) else _mismatch(value, kind, place, findings)
    if word == "boolean":
        return value if isinstance(value, bool) else _mismatch(value, kind, place, findings)
    if word == "int-or-string":
        if isinstance(value, str):
            return value
        kind = Type("int32")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _mismatch(value, kind, place, findings)
    bound = _BOUNDS.get(kind.kind)
    if bound is not None and (isinstance(value, float) or not -bound <= value < bound):
        return _mismatch(value, kind, place, findings, literal=f"number {value}")
    return value


def _encoded(value: Any, word: str, place: _Place, findings: Findings) -> Any:
    """Values that are text with a form of their own."""
    try:
        if word == "quantity":
            return quantity.canonical(value if isinstance(value, str | int | float) and value is not True else str(value))
        if not isinstance(value, str):
            return _mismatch(value, Type("string"), place, findings)
        if word == "bytes":
            scalars.check_base64(value)
            return value.replace("\n", "").replace("\r", "")
        scalars.check_time(value, micro=word == "micro-time")
        return scalars.canonical_time(value) if word == "time" else scalars.canonical_micro_time(value)
    except ValueError as error:
        findings.errors.append(str(error))
        return _DROP


def _mismatch(value: Any, kind: Type, place: _Place, findings: Findings, literal: str = "") -> Any:
    got = literal or json_kind(value)
    if place.struct:
        findings.errors.append(
            f"json: cannot unmarshal {got} into Go struct field {place.struct}.{place.go} of type {go_type(kind)}"
        )
    else:
        findings.errors.append(f"json: cannot unmarshal {got} into Go value of type {go_type(kind)}")
    return _DROP


def json_kind(value: Any) -> str:
    """The word that Go's decoder has for a JSON value."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, dict):
        return "object"
    return "array" if isinstance(value, list) else "string"


def go_type(kind: Type) -> str:
    """A type as Go prints it: `int32`, `[]v1.Container`, `map[string]string`."""
    if kind.kind == "ref":
        package, _, name = kind.ref.rpartition(".")
        return f"{package.rpartition('.')[2]}.{name}"
    if kind.kind == "list" and kind.item is not None:
        return f"[]{go_type(kind.item)}"
    if kind.kind == "map" and kind.item is not None:
        return "v1.ResourceList" if kind.item.kind == "quantity" else f"map[string]{go_type(kind.item)}"
    return _GO_TYPES.get(kind.kind, kind.kind)
