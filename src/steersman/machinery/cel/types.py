"""Types as the checker knows them. Immutable; equal by what they say, object types by identity of their declaration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Type:
    """kind: `int`, `list`, `opaque`, `param` … name: of opaque types, object types and type parameters."""

    kind: str
    name: str = ""
    params: tuple[Type, ...] = ()
    fields: Mapping[str, Field] = field(default_factory=dict, compare=False, repr=False)
    """Of object types: what can be selected."""

    def __str__(self) -> str:
        """As messages of the checker show it."""
        shown = _SHOWN.get(self.kind) or self.name or self.kind
        return f"{shown}({', '.join(map(str, self.params))})" if self.params else shown

    @property
    def runtime_name(self) -> str:
        """As `type()` names it, and errors of evaluation."""
        return _RUNTIME.get(self.kind) or self.name or self.kind

    @property
    def is_dyn(self) -> bool:
        return self.kind in ("dyn", "any", "error")

    @property
    def is_scalar(self) -> bool:
        """Whether all its values are of size 1."""
        if self.kind == "opaque" and self.name == OPTIONAL:
            return self.params[0].is_scalar
        return self.kind in ("bool", "double", "duration", "int", "timestamp", "uint")


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an object type. key: where the data have it, which may be spelt differently."""

    type: Type
    key: str


_SHOWN = {"error": "!error!", "null": "null"}
_RUNTIME = {"null": "null_type", "timestamp": "google.protobuf.Timestamp", "duration": "google.protobuf.Duration"}
OPTIONAL: Final = "optional_type"

DYN: Final = Type("dyn")
ANY: Final = Type("any")
ERROR: Final = Type("error")
NULL: Final = Type("null")
BOOL: Final = Type("bool")
INT: Final = Type("int")
UINT: Final = Type("uint")
DOUBLE: Final = Type("double")
STRING: Final = Type("string")
BYTES: Final = Type("bytes")
TIMESTAMP: Final = Type("timestamp")
DURATION: Final = Type("duration")
TYPE: Final = Type("type")


def list_of(item: Type) -> Type:
    return Type("list", "", (item,))


def map_of(key: Type, value: Type) -> Type:
    return Type("map", "", (key, value))


def optional_of(item: Type) -> Type:
    return Type("opaque", OPTIONAL, (item,))


def type_of(item: Type) -> Type:
    return Type("type", "", (item,))


def opaque(name: str) -> Type:
    return Type("opaque", name)


def object_of(name: str, fields: Mapping[str, Field]) -> Type:
    return Type("object", name, (), fields)


def param(name: str) -> Type:
    return Type("param", name)


IP: Final = opaque("net.IP")
CIDR: Final = opaque("net.CIDR")
URL: Final = opaque("kubernetes.URL")
QUANTITY: Final = opaque("kubernetes.Quantity")
SEMVER: Final = opaque("kubernetes.Semver")
FORMAT: Final = opaque("kubernetes.NamedFormat")

NAMED: Final[Mapping[str, Type]] = {
    "bool": BOOL,
    "bytes": BYTES,
    "double": DOUBLE,
    "int": INT,
    "uint": UINT,
    "string": STRING,
    "null_type": NULL,
    "list": list_of(DYN),
    "map": map_of(DYN, DYN),
    "type": TYPE,
    "google.protobuf.Timestamp": TIMESTAMP,
    "google.protobuf.Duration": DURATION,
    "optional_type": optional_of(DYN),
    "net.IP": IP,
    "net.CIDR": CIDR,
    "kubernetes.URL": URL,
    "kubernetes.Quantity": QUANTITY,
    "kubernetes.Semver": SEMVER,
    "kubernetes.NamedFormat": FORMAT,
}
"""Types that are values too, by the name an expression calls them."""
