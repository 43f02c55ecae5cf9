"""The SQLite store: durable commits, single and from 16 writers, against bare apsw with the same settings."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

import apsw

from bench.report import Figure, Report
from steersman.machinery.clock import RealClock
from steersman.store.interface import Guard, Put
from steersman.store.sqlite import SQLiteStore

_VALUE = b"x" * 1024


def measure(report: Report) -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        single_bare = bare(Path(directory) / "bare1.db", rows=1500, per_transaction=1)
        grouped_bare = bare(Path(directory) / "bare16.db", rows=16000, per_transaction=16)
        single = asyncio.run(_commits(Path(directory) / "one.db", writers=1, each=1500))
        grouped = asyncio.run(_commits(Path(directory) / "many.db", writers=16, each=500))
    report.add(Figure("store: commits, one writer", single, "/s", single_bare, "apsw, WAL FULL, one 1 KB row a transaction"))
    report.add(Figure("store: commits, 16 writers", grouped, "/s", grouped_bare, "apsw, WAL FULL, 16 rows a transaction"))


def bare(path: Path, *, rows: int, per_transaction: int, value: bytes = _VALUE) -> float:
    """Rows per second that SQLite alone takes, durably."""
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE t(key TEXT PRIMARY KEY, value BLOB)")
    begin = time.perf_counter()
    for first in range(0, rows, per_transaction):
        with connection:
            for row in range(first, first + per_transaction):
                connection.execute("INSERT INTO t VALUES(?,?)", (f"/registry/pods/default/{row}", value))
    took = time.perf_counter() - begin
    connection.close()
    return rows / took


async def _commits(path: Path, *, writers: int, each: int) -> float:
    store = await SQLiteStore.open(path, RealClock())

    async def write(writer: int) -> None:
        for number in range(each):
            key = f"/registry/pods/{writer}/{number}"
            await store.commit([Guard(key, 0)], [Put(key, _VALUE)])

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for writer in range(writers):
            group.create_task(write(writer))
    took = time.perf_counter() - begin
    await store.close()
    return writers * each / took
