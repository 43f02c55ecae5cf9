"""Says whether a store kept its promises, from what processes told before they were killed and what the disk holds after.

The promises: every acknowledged write is there, or a later one of the same key; no commit is there in part, no value torn; a
revision is used once, and they grow; a watcher sees every change under its prefix once and in order. Pure: what is read where is
in `crash.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from tests.robustness.store.values import TOGETHER

Tag: TypeAlias = str | None
"""What a key was given in a commit; None: it was deleted."""


class Broken(AssertionError):
    """A promise that was not kept."""


class Row(NamedTuple):
    revision: int
    key: str
    tag: Tag


@dataclass(frozen=True, slots=True)
class Disk:
    """What a store's files hold: the log after `compacted`, whole, and the newest row of each key that lives."""

    log: Sequence[Row]
    live: Sequence[Row]
    compacted: int


@dataclass(slots=True)
class _Seen:
    """What a watcher was sent without a break: everything after the revision `start` up to the last row's."""

    start: int
    rows: list[Row] = field(default_factory=list)


@dataclass(slots=True)
class _Follower:
    prefix: str
    stretches: list[_Seen]


class Ledger:
    """All that is known to have happened, told as it is received. Raises Broken at the first contradiction."""

    def __init__(self, prefixes: Mapping[str, str], begin: int = 1) -> None:
        self.acknowledged = 0
        self._followers = {name: _Follower(prefix, [_Seen(begin)]) for name, prefix in prefixes.items()}
        self._known: dict[int, dict[str, Tag]] = {}
        self._live: dict[str, Row] = {}
        self._promised: set[int] = set()
        self._durable = begin
        """The newest revision on disk when the last process began."""

    def position(self, name: str) -> int:
        """The revision after which a watcher resumes."""
        stretch = self._followers[name].stretches[-1]
        return stretch.rows[-1].revision if stretch.rows else stretch.start

    # --- what the process says ---

    def opened(self, revision: int) -> None:
        if revision != self._durable:
            raise Broken(f"the store was opened at revision {revision}: on disk is {self._durable}")

    def acknowledge(self, revision: int, changes: Iterable[tuple[str, Tag]]) -> None:
        wanted = dict(changes)
        if revision <= self._durable or revision in self._promised:
            raise Broken(f"revision {revision} was given out again, for {wanted}")
        told = self._known.get(revision, {})
        if not told.items() <= wanted.items():
            raise Broken(f"revision {revision} was acknowledged as {wanted}, and seen as {told}")
        self._known[revision] = wanted
        self._promised.add(revision)
        self.acknowledged += 1

    def see(self, name: str, rows: Sequence[Row]) -> None:
        """A batch, of whole revisions."""
        if rows[0].revision <= self.position(name):
            raise Broken(f"watcher {name} was at revision {self.position(name)} and was sent {rows[0]}")
        for row in rows:
            self._learn(row)
        self._followers[name].stretches[-1].rows += rows

    def list_anew(self, name: str, revision: int) -> None:
        self._followers[name].stretches.append(_Seen(revision))

    # --- what the disk says ---

    def check(self, disk: Disk) -> None:
        """After a process was killed."""
        log: dict[int, dict[str, Tag]] = {}
        for row in disk.log:
            self._learn(row)
            log.setdefault(row.revision, {})[row.key] = row.tag
        newest = max([*log, *(row.revision for row in disk.live), self._durable, disk.compacted])
        self._check_log(log, disk.compacted, newest)
        self._check_live(disk.live, newest)
        self._check_watchers()
        self._durable = newest

    def _check_log(self, log: Mapping[int, Mapping[str, Tag]], compacted: int, newest: int) -> None:
        lost = [revision for revision in self._known if revision > newest]
        if lost:
            raise Broken(f"the store is at revision {newest}: {self._told(min(lost))} is lost")
        for revision in range(self._durable + 1, newest + 1):
            if revision not in self._known:
                raise Broken(f"nothing is known of revision {revision}: compacted before it was seen, or skipped")
        for revision in range(compacted + 1, newest + 1):
            here, known = log.get(revision, {}), self._known.get(revision, {})
            if here != known:
                raise Broken(f"{self._told(revision)}; on disk it is {dict(here)}")
            for tag in here.values():
                if tag is not None and tag.endswith(TOGETHER) and list(here.values()).count(tag) != 2:
                    raise Broken(f"one of two keys of revision {revision} is missing: {dict(here)}")

    def _check_live(self, live: Sequence[Row], newest: int) -> None:
        """The newest values are what all changes, one after the other, lead to."""
        for revision in range(self._durable + 1, newest + 1):
            for key, tag in self._known[revision].items():
                if tag is None:
                    self._live.pop(key, None)
                else:
                    self._live[key] = Row(revision, key, tag)
        found = {row.key: row for row in live}
        for key in sorted(self._live.keys() | found.keys()):
            if self._live.get(key) != found.get(key):
                raise Broken(f"{key} should be {self._live.get(key)}, on disk it is {found.get(key)}")

    def _check_watchers(self) -> None:
        for name, follower in self._followers.items():
            for stretch in follower.stretches:
                if stretch.rows:
                    self._check_stretch(name, follower.prefix, stretch)
            follower.stretches = [_Seen(self.position(name))]

    def _check_stretch(self, name: str, prefix: str, seen: _Seen) -> None:
        wanted = [
            Row(revision, key, tag)
            for revision in range(seen.start + 1, seen.rows[-1].revision + 1)
            for key, tag in self._known[revision].items()
            if key.startswith(prefix)
        ]
        # Keys of one revision have no order among themselves.
        if [row.revision for row in seen.rows] != [row.revision for row in wanted] or set(seen.rows) != set(wanted):
            missed, extra = sorted(set(wanted) - set(seen.rows)), sorted(set(seen.rows) - set(wanted))
            raise Broken(
                f"watcher {name} after revision {seen.start}: missed {missed[:3]}, was sent besides or twice {extra[:3]}"
            )

    def _learn(self, row: Row) -> None:
        if row.tag is not None and row.tag.startswith("torn:"):
            raise Broken(f"a torn value: {row}")
        known = self._known.setdefault(row.revision, {})
        if row.revision in self._promised and row.key not in known:
            raise Broken(f"revision {row.revision} was acknowledged as {known}, but there is {row}")
        if known.setdefault(row.key, row.tag) != row.tag:
            raise Broken(f"revision {row.revision} of {row.key} was {known[row.key]} and is {row.tag}")

    def _told(self, revision: int) -> str:
        how = "acknowledged" if revision in self._promised else "seen"
        return f"revision {revision}, {how} as {self._known.get(revision)}"
