"""What one transaction of the SQLite store reads and writes: the newest entries of its keys at once, then all its rows at once.

The requests of a transaction are served from `Staged` one after the other, in memory. Every statement lets go of the interpreter
while it runs, and the event loop then keeps that for a while: a few statements for all requests cost less than three for each.
"""

from __future__ import annotations

from collections.abc import Iterable

import apsw
import orjson

from steersman.store import sqlite_read as read
from steersman.store.interface import Entry, Event

_NEWEST = (
    "SELECT kv.key, log.value, kv.id, kv.created FROM kv JOIN log ON log.id = kv.id "
    "WHERE kv.key IN (SELECT value FROM json_each(?))"
)


class Staged:
    """The keys of a transaction as they are after what was staged so far. `flush` writes it, once or several times."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._newest: dict[str, tuple[Entry | None, int]] = {}
        self._rows: list[tuple[int, str, bytes | None, int, int]] = []
        self._live: dict[str, tuple[str, int, int, int | None] | None] = {}

    def load(self, keys: Iterable[str]) -> None:
        """Read the entries of keys that nobody has loaded yet. The others are known better here than by the database."""
        wanted = [key for key in dict.fromkeys(keys) if key not in self._newest]
        if not wanted:
            return
        self._newest.update(dict.fromkeys(wanted, (None, 0)))
        for key, value, row, created in self._connection.execute(_NEWEST, (orjson.dumps(wanted).decode(),)):
            self._newest[key] = (Entry(key, value, row >> read.SHIFT, created), row)

    def entry(self, key: str) -> Entry | None:
        """The newest entry of a loaded key."""
        return self._newest[key][0]

    def put(self, key: str, value: bytes, row: int, expires: int | None) -> Event:
        """expires: unix seconds."""
        previous, previous_row = self._newest[key]
        revision = row >> read.SHIFT
        created = previous.create_revision if previous is not None else revision
        self._rows.append((row, key, value, created, previous_row))
        self._live[key] = (key, row, created, expires)
        self._newest[key] = (Entry(key, value, revision, created), row)
        return Event(key, revision, value, created, previous)

    def delete(self, key: str, row: int) -> Event | None:
        """None: there is nothing to delete."""
        previous, previous_row = self._newest[key]
        if previous is None:
            return None
        self._rows.append((row, key, None, previous.create_revision, previous_row))
        self._live[key] = None
        self._newest[key] = (None, 0)
        return Event(key, row >> read.SHIFT, None, previous.create_revision, previous)

    def flush(self) -> None:
        """Write what was staged since the last time."""
        if not self._rows:
            return
        gone = [(key,) for key, live in self._live.items() if live is None]
        rows = [live for live in self._live.values() if live is not None]
        many = self._connection.executemany
        many("INSERT INTO log VALUES(?,?,?,?,?)", self._rows)
        if rows:
            many("INSERT OR REPLACE INTO kv VALUES(?,?,?,?)", rows)
        if gone:
            many("DELETE FROM kv WHERE key = ?", gone)
        self._rows.clear()
        self._live.clear()
