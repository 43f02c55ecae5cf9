"""Rounds of killing: a forked process runs `workload.py` on a store, is killed, and `checker.py` judges what is left.

Processes are forked from this warm one: starting Python would take longer than a whole round.
"""

from __future__ import annotations

import asyncio
import os
import random
import select
import shutil
import signal
from pathlib import Path

import apsw
import orjson
from tests.robustness.store.checker import Broken, Disk, Ledger, Row
from tests.robustness.store.values import tag_of
from tests.robustness.store.workload import ALL, EVENTS, LEASES, PODS, ROOT, Following, Round, Workload

from steersman.machinery.clock import RealClock
from steersman.store import failpoints, sqlite_keeping
from steersman.store.sqlite_read import SHIFT

_PATIENCE_S = 180.0
_WATCHERS = {ALL: ROOT, "pods": PODS, "leases": LEASES, "events": EVENTS, "hopping": ROOT, "seldom": ROOT}
_SELDOM = 8
"""The last watcher takes part in every eighth round only: by then what it wants is compacted."""


class Crashes:
    """A store and its history."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._path = folder / "store.db"
        self._copy = folder / "copy"
        self._rng = random.Random(seed)
        self._clock = RealClock()
        self.ledger = Ledger(_WATCHERS)
        self.rounds = 0
        self.relisted = 0

    def killed_at(self, term: str) -> None:
        """A round that ends where the failpoint says."""
        if not self._round(term, 0, _PATIENCE_S):
            raise Broken(f"{term} was not reached in {_PATIENCE_S} s")

    def killed_after(self, messages: int, seconds: float) -> None:
        """A round that is killed from outside, so long after the process has told so much: on any machine it has come as far."""
        self._round("", messages, seconds)

    def _round(self, term: str, messages: int, seconds: float) -> bool:
        """True if the process died by itself."""
        self.rounds += 1
        names = [name for name in _WATCHERS if name != "seldom" or self.rounds % _SELDOM == 0]
        watchers = [
            Following(name, _WATCHERS[name], self.ledger.position(name), hop=3 if name == "hopping" else 0) for name in names
        ]
        task = Round(self._path, self.rounds, self._rng.randrange(1 << 32), watchers)
        child, told = self._fork(task, term)
        died, output = self._listen(child, told, messages, seconds)
        # The last line was not told if it is not whole.
        for line in output.split(b"\n")[:-1]:
            self._note(orjson.loads(line))
        self.ledger.check(self._disk())
        return died

    def _fork(self, task: Round, term: str) -> tuple[int, int]:
        told, out = os.pipe()
        child = os.fork()
        if child:
            os.close(out)
            return child, told
        try:
            os.close(told)
            os.environ[failpoints.VARIABLE] = term
            # So small that several fall into a round.
            sqlite_keeping.CHECKPOINT_PAGES = 200
            asyncio.run(Workload(task, out).run())
        except BaseException as fault:
            os.write(out, orjson.dumps(["failed", repr(fault), repr(getattr(fault, "exceptions", ""))]) + b"\n")
        finally:
            os._exit(1)

    def _listen(self, child: int, told: int, messages: int, seconds: float) -> tuple[bool, bytes]:
        received: list[bytes] = []
        end = self._clock.monotonic() + (_PATIENCE_S if messages else seconds)
        killed = False
        while True:
            left = end - self._clock.monotonic()
            readable, _, _ = select.select([told], [], [], max(0.0, left) if not killed else None)
            if not readable:
                os.kill(child, signal.SIGKILL)
                killed = True
                continue
            piece = os.read(told, 1 << 20)
            if not piece:
                break
            received.append(piece)
            if messages > 0 and (messages := messages - piece.count(b"\n")) <= 0:
                end = self._clock.monotonic() + seconds
        os.close(told)
        os.waitpid(child, 0)
        return not killed, b"".join(received)

    def _note(self, message: list[object]) -> None:
        match message:
            case ["opened", int(revision)]:
                self.ledger.opened(revision)
            case ["acknowledged", str(), int(revision), list(changes)]:
                self.ledger.acknowledge(revision, [(key, tag) for key, tag in changes])
            case ["seen", str(name), list(events)]:
                self.ledger.see(name, [Row(*event) for event in events])
            case ["listed", str(name), int(revision)]:
                self.relisted += 1
                self.ledger.list_anew(name, revision)
            case _:
                raise Broken(f"the process says {message}")

    def _disk(self) -> Disk:
        """Read from a copy: the next process is to find the files as the killed one left them."""
        shutil.rmtree(self._copy, ignore_errors=True)
        self._copy.mkdir()
        if not self._path.exists():
            return Disk([], [], 0)
        for suffix in ("", "-wal"):
            source = self._path.with_name(self._path.name + suffix)
            if source.exists():
                shutil.copyfile(source, self._copy / source.name)
        connection = apsw.Connection(str(self._copy / self._path.name))
        try:
            return read_disk(connection)
        finally:
            connection.close()


def read_disk(connection: apsw.Connection) -> Disk:
    """Raises Broken if SQLite says that the file is damaged."""
    verdict = connection.execute("PRAGMA integrity_check").get
    if verdict != "ok":
        raise Broken(f"integrity_check: {verdict}")
    if not connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'meta'").get:
        return Disk([], [], 0)
    compacted = int(connection.execute("SELECT value FROM meta WHERE name = 'compacted'").get or 0)
    log = connection.execute("SELECT id, key, value FROM log WHERE id >= ? ORDER BY id", ((compacted + 1) << SHIFT,))
    live = connection.execute("SELECT kv.id, kv.key, log.value FROM kv LEFT JOIN log ON log.id = kv.id")
    return Disk(_rows(log), _rows(live), compacted)


def _rows(cursor: apsw.Cursor) -> list[Row]:
    return [Row(row >> SHIFT, key, tag_of(value)) for row, key, value in cursor]
