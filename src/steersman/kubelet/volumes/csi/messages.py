"""The messages of CSI's Node service and of plugin registration: the few fields that a kubelet sends and reads.

Requests are functions that give bytes, answers are small records read from bytes. Field numbers are those of csi.proto (v1.11)
and of upstream's pluginregistration/v1. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from steersman.api.protobuf.wire import BYTES, VARINT, Malformed, int64, put_bytes, put_varint, skip, tag_bytes, varint

NODE = "/csi.v1.Node/"
REGISTRATION = "/pluginregistration.Registration/"

STAGE_UNSTAGE, GET_VOLUME_STATS, EXPAND_VOLUME, SINGLE_NODE_MULTI_WRITER, MOUNT_GROUP = 1, 2, 3, 5, 6
"""What a node service can (NodeServiceCapability.RPC.Type)."""

_USAGE = {1: ("availableBytes", "capacityBytes", "usedBytes"), 2: ("inodesFree", "inodes", "inodesUsed")}
"""By VolumeUsage.Unit: what field 1, 2 and 3 are called."""


@dataclass(frozen=True, slots=True)
class Capability:
    """How a volume is to be used. `mode`: AccessMode.Mode's number."""

    mode: int
    fs_type: str = ""
    flags: tuple[str, ...] = ()
    group: str = ""
    block: bool = False

    def encoded(self) -> bytes:
        access = (3, message((1, self.mode)))
        if self.block:
            return message(Present(1, b""), access)
        mount = message((1, self.fs_type), *((2, each) for each in self.flags), (3, self.group))
        return message(Present(2, mount), access)


@dataclass(frozen=True, slots=True)
class PluginInfo:
    type: str
    name: str
    endpoint: str
    versions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NodeInfo:
    node_id: str
    max_volumes: int
    topology: Mapping[str, str] = field(default_factory=dict)


class Present(tuple[int, bytes]):
    """A message that is there even if it is empty: which alternative of a oneof is meant."""

    def __new__(cls, number: int, value: bytes) -> Present:
        return super().__new__(cls, (number, value))


def stage(
    volume: str,
    publish: Mapping[str, str],
    staging: str,
    capability: Capability,
    secrets: Mapping[str, str],
    context: Mapping[str, str],
) -> bytes:
    return message(
        (1, volume), *_map(2, publish), (3, staging), (4, capability.encoded()), *_map(5, secrets), *_map(6, context)
    )  # fmt: skip


def unstage(volume: str, staging: str) -> bytes:
    return message((1, volume), (2, staging))


def publish(
    volume: str,
    published: Mapping[str, str],
    staging: str,
    target: str,
    capability: Capability,
    readonly: bool,
    secrets: Mapping[str, str],
    context: Mapping[str, str],
) -> bytes:
    return message(
        (1, volume), *_map(2, published), (3, staging), (4, target), (5, capability.encoded()), (6, readonly),
        *_map(7, secrets), *_map(8, context),
    )  # fmt: skip


def unpublish(volume: str, target: str) -> bytes:
    return message((1, volume), (2, target))


def volume_stats(volume: str, path: str, staging: str) -> bytes:
    return message((1, volume), (2, path), (3, staging))


def expand(
    volume: str, path: str, required_bytes: int, staging: str, capability: Capability, secrets: Mapping[str, str]
) -> bytes:
    size = message((1, required_bytes))
    return message((1, volume), (2, path), (3, size), (4, staging), (5, capability.encoded()), *_map(6, secrets))


def volume_usage(data: bytes) -> dict[str, int]:
    """The numbers of NodeGetVolumeStatsResponse by the names of /stats/summary. Raises Malformed."""
    found: dict[str, int] = {}
    for each in fields(data)[1].get(1, ()):
        numbers = fields(each)[0]
        for number, key in enumerate(_USAGE.get(numbers.get(4, 0), ()), start=1):
            found[key] = numbers.get(number, 0)
    return found


def registered(ok: bool, error: str = "") -> bytes:
    return message((1, ok), (2, error))


def plugin_info(data: bytes) -> PluginInfo:
    """Raises Malformed."""
    _, parts = fields(data)
    return PluginInfo(_text(parts, 1), _text(parts, 2), _text(parts, 3), tuple(each.decode() for each in parts.get(4, ())))


def node_info(data: bytes) -> NodeInfo:
    """Raises Malformed."""
    numbers, parts = fields(data)
    topology: dict[str, str] = {}
    for part in parts.get(3, ()):
        for entry in fields(part)[1].get(1, ()):
            pair = fields(entry)[1]
            topology[_text(pair, 1)] = _text(pair, 2)
    return NodeInfo(_text(parts, 1), numbers.get(2, 0), topology)


def capabilities(data: bytes) -> frozenset[int]:
    """Raises Malformed."""
    found = set()
    for each in fields(data)[1].get(1, ()):
        for rpc in fields(each)[1].get(1, ()):
            found.add(fields(rpc)[0].get(1, 0))
    return frozenset(found)


def message(*parts: tuple[int, int | str | bytes]) -> bytes:
    """Zero and empty are left out, unless they are Present."""
    out = bytearray()
    for part in parts:
        number, value = part
        if not value and not isinstance(part, Present):
            continue
        if isinstance(value, int):
            out += tag_bytes(number, VARINT)
            put_varint(out, value)
        else:
            put_bytes(out, tag_bytes(number, BYTES), value.encode() if isinstance(value, str) else value)
    return bytes(out)


def fields(data: bytes) -> tuple[dict[int, int], dict[int, list[bytes]]]:
    """A message's numbers and its byte fields, by field number. Raises Malformed."""
    numbers: dict[int, int] = {}
    parts: dict[int, list[bytes]] = {}
    place, end = 0, len(data)
    try:
        while place < end:
            tag, place = varint(data, place)
            kind = tag & 7
            if kind == VARINT:
                numbers[tag >> 3], place = int64(data, place)
            elif kind == BYTES:
                size, place = varint(data, place)
                if place + size > end:
                    raise Malformed("unexpected EOF")
                parts.setdefault(tag >> 3, []).append(data[place : place + size])
                place += size
            else:
                place = skip(data, place, tag, end)
    except IndexError:
        raise Malformed("unexpected EOF") from None
    return numbers, parts


def _map(number: int, values: Mapping[str, str]) -> Sequence[tuple[int, bytes]]:
    return [Present(number, message((1, key), (2, value))) for key, value in sorted(values.items())]


def _text(parts: Mapping[int, Sequence[bytes]], number: int) -> str:
    return parts[number][-1].decode(errors="replace") if number in parts else ""
