"""The reading statements of the SQLite store: plain functions of a connection, run on the loop or in a reader thread."""

from __future__ import annotations

from itertools import groupby

import apsw

from steersman.store.interface import Compacted, Entry, Event, FutureRevision, RangeResult
from steersman.store.watchers import prefix_end

SHIFT = 10
"""log.id = revision << SHIFT | position in the commit."""

_ENTRY = "SELECT log.value, kv.id, kv.created FROM kv JOIN log ON log.id = kv.id WHERE kv.key = ?"
_NOW = (
    "SELECT kv.key, log.value, kv.id, kv.created FROM kv JOIN log ON log.id = kv.id "
    "WHERE kv.key >= ? AND kv.key < ? ORDER BY kv.key LIMIT ?"
)
_THEN = (
    # Keys untouched since the revision, and, for keys touched later, the row before their first later change.
    "SELECT kv.key, log.value, kv.id, kv.created FROM kv JOIN log ON log.id = kv.id "
    "WHERE kv.key >= :a AND kv.key < :b AND kv.id < :bound "
    "UNION ALL "
    "SELECT old.key, old.value, old.id, old.created FROM log old WHERE old.id IN ("
    "  SELECT previous FROM (SELECT min(id), previous FROM log WHERE id >= :bound AND key >= :a AND key < :b GROUP BY key)"
    ") AND old.value IS NOT NULL ORDER BY 1"
)


def revision(connection: apsw.Connection) -> int:
    """The newest revision; a new store is at 1. The newest row is never compacted away."""
    newest = connection.execute("SELECT max(id) FROM log").get
    return int(newest) >> SHIFT if newest else 1


def compacted(connection: apsw.Connection) -> int:
    """The oldest revision still readable; 0 if nothing was ever compacted."""
    found = connection.execute("SELECT value FROM meta WHERE name = 'compacted'").get
    return int(found or 0)


def has_expiring(connection: apsw.Connection) -> bool:
    return bool(connection.execute("SELECT EXISTS(SELECT 1 FROM kv WHERE expires IS NOT NULL)").get)


def entry(connection: apsw.Connection, key: str) -> Entry | None:
    for value, row, created in connection.execute(_ENTRY, (key,)):
        return Entry(key, value, row >> SHIFT, created)
    return None


def range_now(connection: apsw.Connection, prefix: str, start: str, limit: int, count_only: bool) -> RangeResult:
    """The newest state, in one read transaction."""
    return range_at(connection, prefix, start, limit, 0, count_only)


def range_at(connection: apsw.Connection, prefix: str, start: str, limit: int, wanted: int, count_only: bool) -> RangeResult:
    """The state at a revision, 0 = newest. Raises Compacted, FutureRevision."""
    found: list[Entry] = []
    with connection:
        current = revision(connection)
        if not wanted or wanted == current:
            return _range_now(connection, prefix, start, limit, count_only, current)
        if wanted > current:
            raise FutureRevision(wanted, current)
        oldest = compacted(connection)
        if wanted < oldest:
            raise Compacted(oldest)
        bounds = {"a": prefix, "b": prefix_end(prefix), "bound": (wanted + 1) << SHIFT}
        found += [Entry(key, value, row >> SHIFT, created) for key, value, row, created in connection.execute(_THEN, bounds)]
    after = [item for item in found if item.key >= start] if start else found
    page = after[:limit] if limit else after
    return RangeResult([] if count_only else page, wanted, len(found), len(page) < len(after))


def _range_now(connection: apsw.Connection, prefix: str, start: str, limit: int, count_only: bool, current: int) -> RangeResult:
    end = prefix_end(prefix)
    counted = "SELECT count(*) FROM kv WHERE key >= ? AND key < ?"
    if count_only:
        return RangeResult([], current, int(connection.execute(counted, (prefix, end)).get), False)
    rows = connection.execute(_NOW, (max(start, prefix), end, limit + 1 if limit else -1))
    entries = [Entry(key, value, row >> SHIFT, created) for key, value, row, created in rows]
    more = bool(limit) and len(entries) > limit
    if more:
        entries.pop()
    count = int(connection.execute(counted, (prefix, end)).get) if more or start else len(entries)
    return RangeResult(entries, current, count, more)


def changes(connection: apsw.Connection, prefix: str, after: int, upto: int) -> list[list[Event]]:
    """Events with after < revision <= upto under the prefix, one list per revision. Raises Compacted."""
    with connection:
        oldest = compacted(connection)
        if after < oldest:
            raise Compacted(oldest)
        rows = connection.execute(
            "SELECT new.id, new.key, new.value, new.created, old.value, old.id, old.created FROM log new "
            "LEFT JOIN log old ON old.id = new.previous "
            "WHERE new.id >= ? AND new.id < ? AND new.key >= ? AND new.key < ? ORDER BY new.id",
            ((after + 1) << SHIFT, (upto + 1) << SHIFT, prefix, prefix_end(prefix)),
        )
        events = []
        for row, key, value, created, old_value, old_row, old_created in rows:
            previous = Entry(key, old_value, old_row >> SHIFT, old_created) if old_value is not None else None
            events.append(Event(key, row >> SHIFT, value, created, previous))
    return [list(group) for _, group in groupby(events, key=lambda event: event.revision)]
