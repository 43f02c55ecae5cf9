"""The watch cache of one resource: newest objects ordered by key, recent changes to resume from, and fan-out to watchers.

Fed by feed.py, read by handlers and, as a Lister, by admission and authorisation. Everything here is synchronous: between
two awaits a reader sees one state.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeAlias

from steersman.apiserver.storage import Form, Stored
from steersman.apiserver.watchcache.selection import Selection
from steersman.apiserver.watchcache.watcher import Change, Watcher
from steersman.machinery.errors import InternalError
from steersman.machinery.meta import Obj
from steersman.store.interface import Entry, Event

log = logging.getLogger(__name__)

Found: TypeAlias = list[Stored]
_SAMPLES = 8


class TooOld(Exception):
    """A watch asks for changes before what is kept."""

    def __init__(self, wanted: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {wanted} ({oldest})")
        self.oldest = oldest


class WatchCache:
    """Implements contracts.Lister. `ready` is set once the objects are loaded."""

    lags = False
    """Whether it may be behind the feed, so that every reader waits for `ready`."""

    def __init__(self, form: Form, ring: int, settle: Callable[[], Awaitable[None]]) -> None:
        self.form = form
        self._settle = settle
        self.ready = asyncio.Event()
        self._filled = False
        self.loaded = False
        """Whether readers need not wait for `ready`."""
        self._objects: dict[str, Stored] = {}
        self._keys: list[str] = []
        self._ring: deque[tuple[int, Stored | None, Stored | None]] = deque()
        self._ring_limit = ring
        self._early: list[Event] = []
        self._next_form: Form | None = None
        self._floor = 0
        self._loaded_at = 0
        self._changed = 0
        self._watchers: dict[tuple[str, str], set[Watcher]] = {}
        self.watchers_lost = 0
        """Those that did not keep up."""
        self._trigger_fields: dict[str, int] = {}
        self._unreadable: dict[str, InternalError] = {}

    # --- reading ---

    @property
    def version(self) -> int:
        """The revision of the last change to any object of the resource."""
        return self._changed

    @property
    def count(self) -> int:
        return len(self._objects)

    @property
    def typical_bytes(self) -> int:
        """About how long an object is: the mean of a few, spread over all."""
        keys = self._keys
        if not keys:
            return 0
        some = keys[:: -(-len(keys) // _SAMPLES)]
        return sum(len(self._objects[key].tail) for key in some) // len(some)

    async def settle(self) -> None:
        """Return when everything that was committed before the call is here."""
        await self._settle()
        if not self._filled:
            # Not yet, or no longer: history may have been lost while the feed was waited for.
            await self.ready.wait()

    @property
    def source(self) -> WatchCache:
        """The cache that is fed by the store: another one where objects are converted (crd/versions.py)."""
        return self

    def as_of(self, revision: int) -> int:
        """Up to which revision everything is here, when the feed is at that one."""
        return max(revision, self._changed)

    async def values(self, entries: Sequence[Entry]) -> Sequence[bytes]:
        """What stored values are in this cache's version."""
        return [entry.value for entry in entries]

    async def to_storage(self, value: bytes) -> bytes:
        """What is written of an object of this cache's form."""
        return value

    def close(self) -> None:
        """It is no longer served."""
        self.end_watches()

    @property
    def sound(self) -> bool:
        """Whether every object can be read. Those that cannot (encryption/) are no absent ones: reading them raises."""
        return not self._unreadable

    def find(self, key: str) -> Stored | None:
        """Raises InternalError for an object that cannot be read."""
        found = self._objects.get(key)
        if found is None and self._unreadable and (fault := self._unreadable.get(key)) is not None:
            raise InternalError(fault.message, details=fault.details)
        return found

    def get(self, namespace: str, name: str) -> Obj | None:
        stored = self.find(self.form.key(namespace, name))
        return stored.shared if stored is not None else None

    def list(self, namespace: str | None = None) -> list[Obj]:
        # Asked by admission at every write, often of kinds that nobody uses.
        if not self._objects and self.sound:
            return []
        return [stored.shared for stored in self.select(Selection(namespace or ""))]

    def select(self, selection: Selection, start: str = "") -> Found:
        """Matching objects in key order, from the key `start` on. Raises InternalError if one among them cannot be read."""
        if self._unreadable:
            self.refuse_unreadable(selection, start)
        if selection.name and (selection.namespace or not self.form.resource.namespaced):
            found = self._objects.get(self.form.key(selection.namespace, selection.name))
            return [found] if found is not None and found.key >= start and selection.matches(found) else []
        objects = self._objects
        keys = self._range(selection.namespace, start)
        if not selection.filters and not selection.name:
            return [objects[key] for key in keys]
        matches = selection.matches
        return [stored for stored in map(objects.__getitem__, keys) if matches(stored)]

    def refuse_unreadable(self, selection: Selection, start: str = "") -> None:
        """Raises InternalError if an object cannot be read that may match: what is in it, selectors included, is not known."""
        lead = self.form.prefix
        if selection.namespace and self.form.resource.namespaced:
            lead += selection.namespace + "/"
        for key, fault in self._unreadable.items():
            if key >= start and key.startswith(lead) and selection.name in ("", key.rpartition("/")[2]):
                raise InternalError(fault.message, details=fault.details)

    def _range(self, namespace: str, start: str) -> Sequence[str]:
        first, last = 0, len(self._keys)
        if namespace and self.form.resource.namespaced:
            lead = f"{self.form.prefix}{namespace}/"
            first, last = bisect_left(self._keys, lead), bisect_left(self._keys, lead[:-1] + "0")
        if start:
            first = max(first, bisect_left(self._keys, start))
        return self._keys[first:last] if first or last != len(self._keys) else self._keys

    # --- watching ---

    def watch(self, selection: Selection, after: int) -> Watcher:
        """A watcher of the changes after that revision. Raises TooOld."""
        if after < self._floor:
            raise TooOld(after, self._floor)
        watcher = Watcher(selection, after)
        if after < self._changed:
            for revision, old, new in self._since(after):
                watcher.offer(Change(revision, old, new))
        trigger = selection.trigger
        self._watchers.setdefault(trigger, set()).add(watcher)
        self._trigger_fields[trigger[0]] = self._trigger_fields.get(trigger[0], 0) + 1
        return watcher

    def unwatch(self, watcher: Watcher) -> None:
        trigger = watcher.selection.trigger
        group = self._watchers.get(trigger)
        if group is None or watcher not in group:
            return
        group.discard(watcher)
        if not group:
            del self._watchers[trigger]
        self._trigger_fields[trigger[0]] -= 1
        if not self._trigger_fields[trigger[0]]:
            del self._trigger_fields[trigger[0]]

    def watchers(self) -> tuple[Watcher, ...]:
        return tuple(watcher for group in self._watchers.values() for watcher in group)

    def _since(self, after: int) -> Iterator[tuple[int, Stored | None, Stored | None]]:
        return (change for change in self._ring if change[0] > after)

    # --- feeding ---

    def load(self, entries: Sequence[Entry], revision: int) -> None:
        """Take a range read at `revision`; changes that arrived meanwhile follow. Watches end: what lies between the last change
        that they were told of and the range, nobody will tell them."""
        if self._next_form is not None:
            self.form, self._next_form = self._next_form, None
        self.end_watches()
        self._unreadable = {}
        found = (self._stored(entry.key, entry.value, entry.mod_revision) for entry in entries)
        self._objects = {stored.key: stored for stored in found if stored is not None}
        self._keys = sorted(self._objects)
        self._ring.clear()
        self._floor = self._changed = self._loaded_at = revision
        self._filled = True
        self.loaded = not self.lags
        early, self._early = self._early, []
        for event in early:
            self.apply(event)
        self.ready.set()

    def reset(self) -> None:
        """History was lost: end all watches, so that clients list again, and wait to be loaded anew."""
        self.loaded = self._filled = False
        self.ready.clear()
        self.end_watches()

    def end_watches(self) -> None:
        for watcher in self.watchers():
            watcher.end()

    @property
    def wants_loading(self) -> bool:
        return not self._filled or self._next_form is not None

    @property
    def form_to_be(self) -> Form:
        """The form that objects have, or will have after the next `load`."""
        return self._next_form or self.form

    def reform(self, form: Form) -> None:
        """Objects look different from the next `load` on; until then they are served as they were."""
        self._next_form = form

    def apply(self, event: Event) -> None:
        if not self._filled or self._next_form is not None:
            self._early.append(event)
        if not self._filled:
            return
        if event.revision <= self._loaded_at:
            return
        key = event.key
        if self._unreadable.pop(key, None) is not None:
            self._lose_sight(event.revision)
        old = self._objects.get(key)
        new: Stored | None = None
        if event.value is not None:
            new = self._stored(key, event.value, event.revision)
        if new is not None:
            self._objects[key] = new
            if old is None:
                insort(self._keys, key)
        elif old is not None:
            del self._objects[key]
            del self._keys[bisect_left(self._keys, key)]
        else:
            return
        self._changed = event.revision
        if len(self._ring) >= self._ring_limit:
            self._floor = self._ring.popleft()[0]
        self._ring.append((event.revision, old, new))
        if self._watchers:
            self._fan_out(Change(event.revision, old, new))

    def _stored(self, key: str, value: bytes, revision: int) -> Stored | None:
        """None for a value that is no object: one spoilt entry must not keep the others from being served."""
        try:
            return self.form.stored(key, value, revision)
        except InternalError as fault:
            self._unreadable[key] = fault
            self._lose_sight(revision)
            return None
        except (ValueError, KeyError, TypeError):
            log.error("stored value cannot be read, it is left out: key=%s revision=%d", key, revision)
            return None

    def _lose_sight(self, revision: int) -> None:
        """A change that watchers cannot be shown: they list again, and are told what is the matter."""
        self._ring.clear()
        self._floor = self._changed = revision
        self.end_watches()

    def _fan_out(self, change: Change) -> None:
        """Watchers are looked up by what they require, so that a thousand kubelets cost as much as one."""
        for field in self._trigger_fields:
            values = {_field(stored, field) for stored in (change.old, change.new) if stored is not None}
            for value in values:
                for watcher in self._watchers.get((field, value), ()):
                    watcher.offer(change)

    def forget_before(self, revision: int) -> None:
        """Let go of changes up to that revision: an idle cluster need not keep old states in memory."""
        while self._ring and self._ring[0][0] <= revision:
            self._floor = self._ring.popleft()[0]


def _field(stored: Stored, field: str) -> str:
    if not field:
        return ""
    if field == "metadata.name":
        return stored.name
    if field == "metadata.namespace":
        return stored.namespace
    return stored.fields.get(field, "")
