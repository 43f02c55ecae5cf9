"""What keeps the SQLite store's file as small as what it holds: compaction, expiry, giving pages back, checkpoints.

Run by the writer thread (`sqlite_write.py`), in slices that share a transaction with other requests, so that no writer waits for
a long one. Compaction has two halves: `forget` notes the revision, from when on nobody reads what is older; `sweep` deletes rows,
slice by slice. A crash in between leaves rows that nobody reads, and the next compaction goes on where the last one stood.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import islice

import apsw

from steersman.store import sqlite_read as read

log = logging.getLogger(__name__)

_SWEPT_ROWS = 500
_EXPIRED_KEYS = 500
_FREED_PAGES = 256
_SPARE_PAGES = 1024
"""So many free pages are kept for what is written next, and half as many as are in use."""
CHECKPOINT_PAGES = 1000
_PRESSING_PAGES = 16 * CHECKPOINT_PAGES


def forget(connection: apsw.Connection, revision: int) -> None:
    """From now on nothing older than `revision` is read."""
    if revision > read.compacted(connection):
        connection.execute("INSERT OR REPLACE INTO meta VALUES('compacted', ?)", (revision,))


def sweep(connection: apsw.Connection, passed: Callable[[str], None] | None) -> bool:
    """Delete some of the rows that nobody may read any more: True when none is left."""
    execute = connection.execute
    compacted = read.compacted(connection)
    done = execute("SELECT value FROM meta WHERE name = 'swept'").get or 0
    end = (compacted + 1) << read.SHIFT
    # Rows of a slice, not revisions: one revision may have a thousand of them.
    beyond = execute("SELECT id FROM log WHERE id >= ? AND id < ? ORDER BY id LIMIT 1 OFFSET ?", (done, end, _SWEPT_ROWS)).get
    span = (done, beyond or end)
    newest = execute("SELECT max(id) FROM log").get
    execute("DELETE FROM log WHERE id IN (SELECT previous FROM log WHERE id >= ? AND id < ? AND previous > 0)", span)
    if passed:
        passed("duringCompaction")
    # The newest row tells the store's revision, so it stays even if it is a deletion. That is why the next sweep looks at the
    # last revision of this one again.
    execute("DELETE FROM log WHERE id >= ? AND id < ? AND value IS NULL AND id < ?", (*span, newest))
    swept = beyond or compacted << read.SHIFT
    if swept != done:
        execute("INSERT OR REPLACE INTO meta VALUES('swept', ?)", (swept,))
    return beyond is None


def shrink(connection: apsw.Connection) -> bool:
    """Give some free pages at the file's end back to the file system: True when no more than the spare ones are left."""
    pages, free = (int(connection.pragma(name)) for name in ("page_count", "freelist_count"))
    surplus = free - (pages - free) // 2 - _SPARE_PAGES
    if surplus <= 0 or connection.pragma("auto_vacuum") != 2:
        return True
    # Each step of the statement frees one page.
    for _ in connection.execute(f"PRAGMA incremental_vacuum({min(surplus, _FREED_PAGES)})"):
        pass
    return surplus <= _FREED_PAGES


def expired(connection: apsw.Connection, now: int) -> tuple[list[str], bool]:
    """Some of the keys whose time is over, and whether that is all of them."""
    due = connection.execute("SELECT key FROM kv WHERE expires <= ?", (now,))
    keys = [key for (key,) in islice(due, _EXPIRED_KEYS)]
    return keys, len(keys) < _EXPIRED_KEYS


class Checkpoints:
    """Copies the write-ahead log into the database once it is CHECKPOINT_PAGES long. Not by SQLite itself, which does it as a
    part of the commit: here what was committed is acknowledged first."""

    def __init__(self, connection: apsw.Connection, passed: Callable[[str], None] | None) -> None:
        self._connection = connection
        self._passed = passed
        self._pages = 0
        self._due_at = CHECKPOINT_PAGES
        connection.set_wal_hook(self._committed)

    def _committed(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        self._pages = pages
        return apsw.SQLITE_OK

    def hurry(self) -> None:
        """The next one is due whatever the log's length."""
        self._due_at = 0

    def take_if_due(self) -> None:
        """Without waiting for readers, unless the log has become very long. What fails is tried again some pages later."""
        if self._pages < self._due_at:
            return
        if self._passed:
            self._passed("duringCheckpoint")
        pressing = self._pages >= _PRESSING_PAGES
        mode = apsw.SQLITE_CHECKPOINT_TRUNCATE if pressing else apsw.SQLITE_CHECKPOINT_PASSIVE
        try:
            in_log, copied = self._connection.wal_checkpoint(mode=mode)
        except apsw.BusyError:
            in_log, copied = self._pages, 0
        except (apsw.Error, OSError) as fault:
            # A full disk is told by the writer, once the log cannot grow any more either.
            log.log(
                logging.DEBUG if isinstance(fault, apsw.FullError) else logging.WARNING, "store not checkpointed error=%s", fault
            )
            in_log, copied = self._pages, 0
        # A log that readers still need goes on growing: it is not looked at for every commit.
        self._due_at = CHECKPOINT_PAGES if copied >= in_log else in_log + CHECKPOINT_PAGES // 4
        self._pages = 0
