"""The store's interface: shaped like etcd v3, so that etcd and SQLite keep the same contract (tests/contract/store).

One revision counter for the whole store. Every acknowledged commit has its own revision, is durable, and is seen by watches
in revision order. Keys are str (`/registry/pods/default/web`), values are bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Entry(NamedTuple):
    """A key's value at a revision. `create_revision` is when the key last came into being."""

    key: str
    value: bytes
    mod_revision: int
    create_revision: int


@dataclass(frozen=True, slots=True)
class RangeResult:
    """`revision` is the store's revision at which the range was read; `count` is the number of keys in the whole range."""

    entries: list[Entry]
    revision: int
    count: int
    more: bool


@dataclass(frozen=True, slots=True)
class Put:
    """Write a value. The key vanishes by itself `ttl_s` seconds later if given (seen by watches as a delete)."""

    key: str
    value: bytes
    ttl_s: int | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    key: str


@dataclass(frozen=True, slots=True)
class Guard:
    """The key must have this mod revision; 0 means: must not exist."""

    key: str
    mod_revision: int


@dataclass(frozen=True, slots=True)
class Commit:
    """Outcome of a commit. Refused: `ok` False, nothing written, `current` has the guarded keys as they are now."""

    ok: bool
    revision: int
    current: dict[str, Entry | None]


class Event(NamedTuple):
    """A change. Put: `value` is the new value. Delete: `value` is None. `previous` is the entry before, if there was one."""

    key: str
    revision: int
    value: bytes | None
    create_revision: int
    previous: Entry | None


class Compacted(Exception):
    """The revision asked for is older than what is kept. `oldest` is the oldest revision still readable."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"compacted: the oldest revision kept is {oldest}")
        self.oldest = oldest


class FutureRevision(Exception):
    """The revision asked for does not exist yet."""

    def __init__(self, wanted: int, current: int) -> None:
        super().__init__(f"revision {wanted} is in the future: the store is at {current}")
        self.wanted, self.current = wanted, current


class Unavailable(Exception):
    """The store cannot answer now (disk full, no leader, closed). The message is one clear sentence for a person."""


class NoSpace(Unavailable):
    """There is no room left to write. Reads and watches go on; so do writes once there is room again."""


class Store(Protocol):
    """All methods may raise Unavailable."""

    async def get(self, key: str) -> tuple[Entry | None, int]:
        """(the entry or None, the store's revision)."""

    async def range(
        self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0, count_only: bool = False
    ) -> RangeResult:
        """Entries whose key begins with prefix, from `start` (inclusive) on, in key order.

        limit 0 = all. revision 0 = newest; else exactly that one: Compacted or FutureRevision if it can't be had.
        """

    async def commit(self, guards: Sequence[Guard], ops: Sequence[Put | Delete]) -> Commit:
        """All or nothing: if every guard holds, apply ops under one new revision. Durable when it returns.

        Deleting a missing key is no change. A commit that changes nothing makes no revision.
        """

    def watch(self, prefix: str, *, after: int) -> AbstractAsyncContextManager[AsyncIterator[list[Event]]]:
        """Changes to keys under the prefix with revision > after, in order, in batches of one or more whole revisions.

        The iterator raises Compacted if `after` is older than what is kept, and StopAsyncIteration when the store closes.
        """

    async def progress(self) -> int:
        """The current revision; every event up to it has been handed to the watches' queues."""

    async def compact(self, revision: int) -> None:
        """Forget history before `revision`. The newest value of each key stays."""

    async def size_bytes(self) -> int:
        """What the store takes on disk, or in memory."""

    async def close(self) -> None:
        """Finish what was acknowledged, end watches, release files."""
