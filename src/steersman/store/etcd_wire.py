"""etcd's messages on the wire: the few of etcdserverpb and mvccpb that the store sends and reads, and nothing else of them.

Requests are functions that give bytes, answers are small records read from bytes. Field numbers are those of etcd's rpc.proto.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from steersman.api.protobuf.wire import BYTES, VARINT, int64, put_bytes, put_varint, skip, tag_bytes, varint
from steersman.store.interface import Delete, Entry, Event, Guard, Put

RANGE = "/etcdserverpb.KV/Range"
TXN = "/etcdserverpb.KV/Txn"
COMPACT = "/etcdserverpb.KV/Compact"
WATCH = "/etcdserverpb.Watch/Watch"
LEASE_GRANT = "/etcdserverpb.Lease/LeaseGrant"
STATUS = "/etcdserverpb.Maintenance/Status"

EVERYTHING = b"\0"
"""As a key and as the end of a range: the first key that can be, and no end."""
_EQUAL_MOD = 2


class RangeAnswer(NamedTuple):
    revision: int
    entries: list[Entry]
    more: bool
    total: int


class TxnAnswer(NamedTuple):
    """`found`: the entry of each key that was read because a guard did not hold, in order."""

    revision: int
    succeeded: bool
    found: list[Entry | None]


class WatchAnswer(NamedTuple):
    """`fragment`: more of the same answer follows. `compact_revision`: why it was cancelled, if not 0."""

    created: bool
    canceled: bool
    compact_revision: int
    reason: str
    fragment: bool
    events: list[Event]


def range_request(
    key: bytes, end: bytes = b"", *, limit: int = 0, revision: int = 0, keys_only: bool = False, count_only: bool = False
) -> bytes:
    return _message((1, key), (2, end), (3, limit), (4, revision), (8, keys_only), (9, count_only))


def txn_request(guards: Sequence[Guard], ops: Sequence[Put | Delete], leases: Sequence[int]) -> bytes:
    """If all guards hold: the ops, each put with its lease (0: none). Otherwise: read the guarded keys."""
    compares = [(1, _message((2, _EQUAL_MOD), (3, guard.key.encode()), (6, guard.mod_revision))) for guard in guards]
    writes = [(2, _write(op, lease)) for op, lease in zip(ops, leases, strict=True)]
    reads = [(3, _message((1, range_request(guard.key.encode())))) for guard in guards]
    return _message(*compares, *writes, *reads)


def _write(op: Put | Delete, lease: int) -> bytes:
    if isinstance(op, Put):
        return _message((2, _message((1, op.key.encode()), (2, op.value), (3, lease))))
    return _message((3, _message((1, op.key.encode()))))


def compaction_request(revision: int) -> bytes:
    return _message((1, revision))


def watch_request(start_revision: int) -> bytes:
    """Every key from a revision on, with what was there before; large answers may come in fragments."""
    create = _message((1, EVERYTHING), (2, EVERYTHING), (3, start_revision), (6, True), (8, True))
    return _message((1, create))


def lease_request(ttl_s: int) -> bytes:
    return _message((1, ttl_s))


def range_answer(data: bytes) -> RangeAnswer:
    numbers, parts = _fields(data)
    return RangeAnswer(_revision(parts), [_entry(kv) for kv in parts.get(2, ())], bool(numbers.get(3)), numbers.get(4, 0))


def txn_answer(data: bytes) -> TxnAnswer:
    numbers, parts = _fields(data)
    succeeded = bool(numbers.get(2))
    found: list[Entry | None] = []
    for operation in () if succeeded else parts.get(3, ()):
        answer = range_answer(_fields(operation)[1][1][0])
        found.append(answer.entries[0] if answer.entries else None)
    return TxnAnswer(_revision(parts), succeeded, found)


def watch_answer(data: bytes) -> WatchAnswer:
    numbers, parts = _fields(data)
    reason = parts[6][0].decode(errors="replace") if 6 in parts else ""
    events = [_event(event) for event in parts.get(11, ())]
    return WatchAnswer(bool(numbers.get(3)), bool(numbers.get(4)), numbers.get(5, 0), reason, bool(numbers.get(7)), events)


def lease_answer(data: bytes) -> int:
    """The new lease's id."""
    return _fields(data)[0].get(2, 0)


def status_answer(data: bytes) -> int:
    """The size of the database in bytes."""
    return _fields(data)[0].get(3, 0)


def _event(data: bytes) -> Event:
    numbers, parts = _fields(data)
    entry = _entry(parts[2][0])
    previous = _entry(parts[3][0]) if 3 in parts else None
    if numbers.get(1):
        # etcd's record of a deletion knows its own revision only.
        return Event(entry.key, entry.mod_revision, None, previous.create_revision if previous else 0, previous)
    return Event(entry.key, entry.mod_revision, entry.value, entry.create_revision, previous)


def _entry(data: bytes) -> Entry:
    numbers, parts = _fields(data)
    value = parts[5][0] if 5 in parts else b""
    return Entry(parts[1][0].decode(), value, numbers.get(3, 0), numbers.get(2, 0))


def _revision(parts: dict[int, list[bytes]]) -> int:
    """The store's revision, from the header that every answer has."""
    return _fields(parts[1][0])[0].get(3, 0) if 1 in parts else 0


def _message(*fields: tuple[int, int | bytes]) -> bytes:
    """Zero and empty are left out. For the end of a range that matters: to etcd one that is there but empty means "no end"."""
    out = bytearray()
    for number, value in fields:
        if not value:
            continue
        if isinstance(value, bytes):
            put_bytes(out, tag_bytes(number, BYTES), value)
        else:
            out += tag_bytes(number, VARINT)
            put_varint(out, value)
    return bytes(out)


def _fields(data: bytes) -> tuple[dict[int, int], dict[int, list[bytes]]]:
    """A message's numbers and its byte fields, by field number."""
    numbers: dict[int, int] = {}
    parts: dict[int, list[bytes]] = {}
    place, end = 0, len(data)
    while place < end:
        tag, place = varint(data, place)
        kind = tag & 7
        if kind == VARINT:
            numbers[tag >> 3], place = int64(data, place)
        elif kind == BYTES:
            size, place = varint(data, place)
            parts.setdefault(tag >> 3, []).append(data[place : place + size])
            place += size
        else:
            place = skip(data, place, tag, end)
    return numbers, parts
