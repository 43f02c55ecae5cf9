"""Make src/steersman/api/schema/protobuf-v1.36.json: the numbers that fields have in Kubernetes' protobuf wire form.

Run when a new upstream version is taken up: `python tools/build_protobuf_facts.py DIRECTORY`. The directory holds example
objects with every field set, twice each: `<group>.<version>.<Kind>.json`, and in wire form `.pb`. A field's number is found by
comparing the two trees: its JSON value must be what the wire has under the number. Where several fit (two booleans, say), fields
take their numbers in the order in which the JSON form has them, and EXCEPTIONS say where that is wrong; `--ambiguous` lists what
order alone decided. Lists are in no example: all of them have metadata = 1 and items = 2. What no example can show, which fields
keep their zero values, is in tools/protobuf_zeros.txt; definitions that no example has are in tools/protobuf_numbers.txt. What
the result looks like is told in steersman/api/protobuf/facts.py.
"""

from __future__ import annotations

import base64
import json
import struct
import sys
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from steersman.api.schema.loader import PREFIX, Type, definition, schema
from steersman.machinery.gvk import GroupVersionKind

ZEROS = Path(__file__).with_name("protobuf_zeros.txt")
ELSEWHERE = Path(__file__).with_name("protobuf_numbers.txt")
TARGET = Path(__file__).parent.parent / "src/steersman/api/schema/protobuf-v1.36.json"
ENVELOPE = b"k8s\x00"

Value: TypeAlias = "int | bytes"
Wire: TypeAlias = "dict[int, list[Value]]"
Number: TypeAlias = "int | list[int]"

EMBEDDED = {
    "api.admissionregistration.v1.RuleWithOperations": (2, ("apiGroups", "apiVersions", "resources", "scope")),
    "api.admissionregistration.v1.NamedRuleWithOperations": (
        2,
        ("operations", "apiGroups", "apiVersions", "resources", "scope"),
    ),
    "api.core.v1.ConfigMapEnvSource": (1, ("name",)),
    "api.core.v1.ConfigMapKeySelector": (1, ("name",)),
    "api.core.v1.ConfigMapProjection": (1, ("name",)),
    "api.core.v1.ConfigMapVolumeSource": (1, ("name",)),
    "api.core.v1.EphemeralContainer": (1, ()),
    "api.core.v1.PersistentVolumeSpec": (2, ()),
    "api.core.v1.Probe": (1, ("exec", "httpGet", "tcpSocket", "grpc")),
    "api.core.v1.SecretEnvSource": (1, ("name",)),
    "api.core.v1.SecretKeySelector": (1, ("name",)),
    "api.core.v1.SecretProjection": (1, ("name",)),
    "api.core.v1.Volume": (2, ()),
    "api.networking.v1.IngressRule": (2, ("http",)),
    "api.resource.v1.DeviceAllocationConfiguration": (3, ("opaque",)),
    "api.resource.v1.DeviceClaimConfiguration": (2, ("opaque",)),
    "api.resource.v1.DeviceClassConfiguration": (1, ("opaque",)),
}
"""Definitions with a Go struct embedded in them, which JSON flattens and protobuf has as a message: its number, and the fields
in it (empty: all that fit nowhere else)."""

EXCEPTIONS: dict[str, dict[str, int]] = {
    "api.core.v1.PodSpec": {
        "containers": 2,
        "initContainers": 20,
        "hostNetwork": 11,
        "hostPID": 12,
        "hostIPC": 13,
        "automountServiceAccountToken": 21,
        "shareProcessNamespace": 27,
        "enableServiceLinks": 30,
        "setHostnameAsFQDN": 35,
        "hostUsers": 37,
    },
    "api.core.v1.PodStatus": {"containerStatuses": 8, "initContainerStatuses": 10, "podIPs": 12, "hostIPs": 16},
}


class Inference:
    """The numbers found so far; `guesses` are the groups of fields that order alone told apart."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, Number]] = {}
        self.guesses: dict[str, list[str]] = {}

    def message(self, name: str, value: dict[str, Any], wire: Wire) -> dict[str, Number] | None:
        """Numbers of the fields of one object; None if this message cannot be that object."""
        short = name.removeprefix(PREFIX)
        fields = {key: item for key, item in value.items() if key in definition(name).fields}
        inside: Wire = {}
        outside = wire
        number = 0
        if short in EMBEDDED:
            number, names = EMBEDDED[short]
            embedded = wire.get(number)
            if embedded is None or not isinstance(embedded[0], bytes):
                return None
            inside = parse(embedded[0]) or {}
            outside = {key: items for key, items in wire.items() if key != number}
            if names:
                inner = {key: item for key, item in fields.items() if key in names}
            else:
                inner = {key: item for key, item in fields.items() if not self._candidates(name, key, item, outside)}
            fields = {key: item for key, item in fields.items() if key not in inner}
        if len(outside) != len(fields):
            return None
        numbers: dict[str, Number] | None = self._assign(name, fields, outside)
        if number and numbers is not None:
            again = "api.admissionregistration.v1.RuleWithOperations"
            deeper = (
                self.message(PREFIX + again, inner, inside)
                if short == "api.admissionregistration.v1.NamedRuleWithOperations"
                else self._assign(name, inner, inside)
            )
            if deeper is None:
                return None
            for key, place in deeper.items():
                numbers[key] = [number, *place] if isinstance(place, list) else [number, place]
        if numbers is not None and len(numbers) >= len(self.found.get(short, ())):
            self.found[short] = numbers
        return numbers

    def _candidates(self, name: str, key: str, item: Any, wire: Wire) -> list[int]:
        kind = definition(name).fields[key].type
        return [number for number, values in sorted(wire.items()) if self._fits(kind, item, values)]

    def _assign(self, name: str, fields: dict[str, Any], wire: Wire) -> dict[str, Number] | None:
        short = name.removeprefix(PREFIX)
        open_fields = {key: self._candidates(name, key, item, wire) for key, item in fields.items()}
        for key, fixed in EXCEPTIONS.get(short, {}).items():
            if key in open_fields:
                open_fields[key] = [number for number in open_fields[key] if number == fixed]
        numbers: dict[str, Number] = {}
        while open_fields:
            first = min(open_fields, key=lambda key: len(open_fields[key]))
            choice = open_fields[first]
            group = [key for key, others in open_fields.items() if others == choice]
            if len(group) != len(choice):
                return None
            if len(group) > 1:
                text = f"{', '.join(group)}: {choice}"
                self.guesses[short] = sorted({*self.guesses.get(short, ()), text})
            for key, number in zip(group, choice, strict=True):
                numbers[key] = number
                del open_fields[key]
            for key, others in open_fields.items():
                open_fields[key] = [number for number in others if number not in choice]
        return numbers

    def _fits(self, kind: Type, value: Any, values: list[Value]) -> bool:
        if kind.kind == "list":
            assert kind.item is not None
            item = kind.item
            return len(values) == len(value) and all(self._equal(item, *pair) for pair in zip(value, values, strict=True))
        if kind.kind == "map":
            return len(values) == len(value) and all(self._entry(kind, *pair) for pair in zip(value.items(), values, strict=True))
        return len(values) == 1 and self._equal(kind, value, values[0])

    def _entry(self, kind: Type, entry: tuple[str, Any], wire: Value) -> bool:
        parts = parse(wire) if isinstance(wire, bytes) else None
        if parts is None or set(parts) != {1, 2} or parts[1] != [entry[0].encode()]:
            return False
        assert kind.item is not None
        if kind.item.kind == "list":
            inner = parse(parts[2][0]) if isinstance(parts[2][0], bytes) else None
            return inner is not None and self._fits(kind.item, entry[1], inner.get(1, []))
        return self._equal(kind.item, entry[1], parts[2][0])

    def _equal(self, kind: Type, value: Any, wire: Value) -> bool:
        word = kind.kind
        if word in ("boolean", "int32", "int64", "integer"):
            return wire == int(value) and (word == "boolean") == isinstance(value, bool)
        if not isinstance(wire, bytes):
            return False
        if word == "string":
            return wire == str(value).encode()
        if word == "bytes":
            return wire == base64.b64decode(value)
        if word == "double":
            return wire == struct.pack("<d", value)
        parts = parse(wire)
        if parts is None:
            return False
        if word == "ref":
            return self.message(kind.ref, value, parts) is not None
        return _special(word, value, parts)


def _special(word: str, value: Any, parts: Wire) -> bool:
    """Whether a message is this time, quantity, int-or-string or free-form object."""
    if word in ("time", "micro-time"):
        return parts == {} if value is None else parts.get(1) == [int(datetime.fromisoformat(value).timestamp())]
    if word == "quantity":
        return parts == {1: [str(value).encode()]}
    if word == "int-or-string":
        return set(parts) == {1, 2, 3} and parts[3] == [str(value).encode()]
    raw = parts.get(1, [b""])[0]
    try:
        return set(parts) == {1} and isinstance(raw, bytes) and bool(json.loads(raw) == value)
    except ValueError:
        return False


@cache
def parse(data: bytes) -> Wire | None:
    """The fields of a message, with their values in order; None if the bytes are none."""
    found: Wire = {}
    place = 0
    try:
        while place < len(data):
            tag, place = _varint(data, place)
            width = {1: 8, 5: 4}.get(tag & 7)
            value: Value
            if tag & 7 == 0:
                value, place = _varint(data, place)
                value -= (value >> 63) << 64
            else:
                if tag & 7 == 2:
                    width, place = _varint(data, place)
                if width is None or tag < 8 or place + width > len(data):
                    return None
                value, place = data[place : place + width], place + width
            found.setdefault(tag >> 3, []).append(value)
    except IndexError:
        return None
    return found


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, place


def read(example: Path, inference: Inference) -> None:
    """Learn from one example and its wire form."""
    value = json.loads(example.read_text())
    group, _, version = value.get("apiVersion", "").rpartition("/")
    name = schema().name_for(GroupVersionKind(group, version, value.get("kind", "")))
    if name is None:
        return
    body = example.with_suffix(".pb").read_bytes()
    envelope = parse(body.removeprefix(ENVELOPE)) or {}
    raw = envelope.get(2, [b""])[0]
    wire = parse(raw) if isinstance(raw, bytes) else None
    rest = {key: item for key, item in value.items() if key not in ("kind", "apiVersion")}
    if wire is None or inference.message(name, rest, wire) is None:
        raise SystemExit(f"{example.name}: the two forms do not match")


def lists() -> dict[str, dict[str, Number]]:
    """The list definitions whose elements are known."""
    names = (name for name in schema().names() if set(definition(name).fields) == {"apiVersion", "items", "kind", "metadata"})
    return {name.removeprefix(PREFIX): {"metadata": 1, "items": 2} for name in names}


def elsewhere() -> dict[str, dict[str, Number]]:
    """The definitions that no example has."""
    found: dict[str, dict[str, Number]] = {}
    for name, words in _table(ELSEWHERE).items():
        pairs = (word.split("=") for word in words.split())
        found[name] = {key: int(number) for key, number in pairs}
    return found


def _table(path: Path) -> dict[str, str]:
    """Lines of `definition: words`."""
    lines = (line.partition(":") for line in path.read_text().splitlines() if not line.startswith("#"))
    return {name: words.strip() for name, _, words in lines}


def main() -> None:
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    inference = Inference()
    for example in sorted(Path(sys.argv[1]).glob("*.json")):
        read(example, inference)
    if "--ambiguous" in sys.argv:
        for name, guesses in sorted(inference.guesses.items()):
            print(name, *guesses, sep="\n  ")
    known: dict[str, dict[str, Number]] = {**inference.found, **elsewhere()}
    for name, numbers in lists().items():
        element = definition(PREFIX + name).fields["items"].type.leaf.ref
        if element.removeprefix(PREFIX) in known:
            known[name] = numbers
    zeros = _table(ZEROS)
    lines = []
    for name in sorted(known):
        entry: dict[str, Any] = {"numbers": dict(sorted(known[name].items()))}
        if name in zeros:
            entry["zeros"] = sorted(zeros[name].split())
        lines.append(f"{json.dumps(name)}:{json.dumps(entry, separators=(',', ':'))}")
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
