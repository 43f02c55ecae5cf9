"""A Store over another one that holds the values of chosen resources encrypted. Above it all is plain, below it all is sealed.

Revisions, guards, keys and watches are the inner store's. A value that cannot be decrypted does not keep others from being
read: in its place stands `storage.unreadable(why)`, of which storage.Form makes a 500 for whoever wants that object. The log
names the key, never a value.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from steersman.apiserver import storage
from steersman.apiserver.encryption.ciphers import DecryptError
from steersman.apiserver.encryption.config import Encryption
from steersman.apiserver.encryption.transformer import Transformer
from steersman.store.interface import Commit, Delete, Entry, Event, Guard, Put, RangeResult, Store

if TYPE_CHECKING:
    from prometheus_client.core import Metric

log = logging.getLogger(__name__)

_OPERATIONS = "apiserver_storage_transformation_operations_total"


class EncryptedStore:
    """A Store. groups: those of built-in kinds, by plural of the core group (`""`) or name."""

    def __init__(self, inner: Store, encryption: Encryption, core: Iterable[str], groups: Iterable[str]) -> None:
        self._inner = inner
        self._core, self._groups = frozenset(core), frozenset(groups)
        self._encryption = encryption
        self._known: dict[tuple[str, str], Transformer | None] = {}
        self._counts: dict[tuple[str, str, str, str], int] = {}

    @property
    def encryption(self) -> Encryption:
        return self._encryption

    def use(self, encryption: Encryption) -> None:
        """From now on write and read as this says."""
        self._encryption = encryption
        self._known = {}

    async def stale(self, key: str) -> bool:
        """Whether the value there would be stored differently if it were written now."""
        transformer = self._transformer(key)
        if transformer is None:
            return False
        entry, _ = await self._inner.get(key)
        if entry is None:
            return False
        try:
            return transformer.read(entry.value, key)[1]
        except DecryptError:
            return False

    # --- Store ---

    async def get(self, key: str) -> tuple[Entry | None, int]:
        entry, revision = await self._inner.get(key)
        return (None if entry is None else self._opened(entry)), revision

    async def range(
        self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0, count_only: bool = False
    ) -> RangeResult:
        found = await self._inner.range(prefix, start=start, limit=limit, revision=revision, count_only=count_only)
        return RangeResult([self._opened(entry) for entry in found.entries], found.revision, found.count, found.more)

    async def commit(self, guards: Sequence[Guard], ops: Sequence[Put | Delete]) -> Commit:
        commit = await self._inner.commit(guards, [self._sealed(op) for op in ops])
        if commit.ok:
            return commit
        current = {key: None if entry is None else self._opened(entry) for key, entry in commit.current.items()}
        return Commit(False, commit.revision, current)

    @asynccontextmanager
    async def watch(self, prefix: str, *, after: int) -> AsyncIterator[AsyncIterator[list[Event]]]:
        async with self._inner.watch(prefix, after=after) as batches:
            yield self._plain(batches)

    async def _plain(self, batches: AsyncIterator[list[Event]]) -> AsyncIterator[list[Event]]:
        async for events in batches:
            yield [self._seen(event) for event in events]

    async def progress(self) -> int:
        return await self._inner.progress()

    async def compact(self, revision: int) -> None:
        await self._inner.compact(revision)

    async def size_bytes(self) -> int:
        return await self._inner.size_bytes()

    async def close(self) -> None:
        await self._inner.close()

    # --- values ---

    def _transformer(self, key: str) -> Transformer | None:
        """Of the key's resource. Keys that are no resource's (addresses, leases of servers) are left alone."""
        parts = key.split("/", 4)
        if len(parts) < 4 or parts[1] != "registry":
            return None
        first = parts[2]
        if first in self._core:
            resource = ("", first)
        elif first in self._groups or "." in first:
            # The group of a custom resource has a dot in it: a definition must be called after a domain.
            resource = (first, parts[3])
        else:
            return None
        try:
            return self._known[resource]
        except KeyError:
            found = self._known[resource] = self._encryption.of(*resource)
            return found

    def _sealed(self, op: Put | Delete) -> Put | Delete:
        if isinstance(op, Delete):
            return op
        transformer = self._transformer(op.key)
        if transformer is None:
            return op
        self._count(op.key, "to_storage", "OK", transformer.providers[0].prefix)
        return Put(op.key, transformer.write(op.value, op.key), op.ttl_s)

    def _opened(self, entry: Entry) -> Entry:
        if self._transformer(entry.key) is None:
            return entry
        value = self._open(entry.key, entry.value, entry.mod_revision)
        return Entry(entry.key, value, entry.mod_revision, entry.create_revision)

    def _seen(self, event: Event) -> Event:
        if self._transformer(event.key) is None:
            return event
        value = None if event.value is None else self._open(event.key, event.value, event.revision)
        previous = None if event.previous is None else self._opened(event.previous)
        return Event(event.key, event.revision, value, event.create_revision, previous)

    def _open(self, key: str, value: bytes, revision: int) -> bytes:
        transformer = self._transformer(key)
        assert transformer is not None
        prefix = next((p.prefix for p in transformer.providers if p.prefix and value.startswith(p.prefix)), b"")
        try:
            plain, _ = transformer.read(value, key)
        except DecryptError as fault:
            self._count(key, "from_storage", "Unknown", prefix)
            log.error("stored value cannot be decrypted: key=%s revision=%d error=%s", key, revision, fault)
            return storage.unreadable(str(fault))
        self._count(key, "from_storage", "OK", prefix)
        return plain

    # --- metrics ---

    def _count(self, key: str, direction: str, status: str, prefix: bytes) -> None:
        parts = key.split("/", 4)
        resource = parts[2] if parts[2] in self._core else f"{parts[3]}.{parts[2]}"
        series = (resource, status, direction, prefix.decode() or ("" if status == "OK" else "unknown"))
        self._counts[series] = self._counts.get(series, 0) + 1

    @property
    def counts(self) -> Mapping[tuple[str, str, str, str], int]:
        return self._counts

    def collect(self) -> Iterable[Metric]:
        from prometheus_client.core import CounterMetricFamily

        labels = ("resource", "status", "transformation_type", "transformer_prefix")
        family = CounterMetricFamily(_OPERATIONS, "Values encrypted and decrypted.", labels=labels)
        for series, count in self._counts.items():
            family.add_metric(series, count)
        yield family
