"""What runs in the process that is killed: writers, watchers, compaction and expiry on one store, each told to the parent.

What is told leaves this process at once (a pipe), so what the parent has received is exactly what had happened. Messages are
JSON lines:

    ["opened", revision]
    ["acknowledged", writer, revision, [[key, tag or null], …]]
    ["seen", watcher, [[revision, key, tag or null], …]]         a batch: whole revisions
    ["listed", watcher, revision]                                the watcher was too far behind and began anew
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
from tests.robustness.store.values import TOGETHER, tag_of, value_of

from steersman.machinery.clock import RealClock
from steersman.store.interface import Commit, Compacted, Delete, Guard, Put
from steersman.store.sqlite import SQLiteStore

ROOT, PODS, LEASES, EVENTS = "/registry/", "/registry/pods/default/", "/registry/leases/", "/registry/events/"
ALL = "all"
"""The watcher that has to see everything before it may be compacted."""
_WRITERS, _RENEWERS, _LEASES = 4, 2, 3
_KEPT_REVISIONS = 100


@dataclass(frozen=True, slots=True)
class Following:
    """A watcher: what it follows, after which revision, and after how many batches it takes a new watch (0: never)."""

    name: str
    prefix: str
    after: int
    hop: int = 0


@dataclass(frozen=True, slots=True)
class Round:
    path: Path
    number: int
    seed: int
    watchers: Sequence[Following]


class Workload:
    """`run()` never returns."""

    def __init__(self, task: Round, out: int) -> None:
        self._task = task
        self._out = out
        self._rng = random.Random(task.seed)
        self._all_seen = 0
        self._seen_more = asyncio.Event()

    async def run(self) -> None:
        self._store = await SQLiteStore.open(self._task.path, RealClock())
        self._tell("opened", await self._store.progress())
        async with asyncio.TaskGroup() as group:
            for following in self._task.watchers:
                group.create_task(self._watch(following))
            for writer in range(_WRITERS):
                group.create_task(self._write(f"{self._task.number}.{writer}"))
            for renewer in range(_RENEWERS):
                group.create_task(self._renew(f"{self._task.number}.r{renewer}"))
            group.create_task(self._compact())
            group.create_task(self._expire(f"{self._task.number}.e"))

    def _tell(self, *message: object) -> None:
        line = orjson.dumps(message) + b"\n"
        while line:
            line = line[os.write(self._out, line) :]

    async def _commit(self, writer: str, guards: list[Guard], ops: list[Put | Delete]) -> Commit:
        outcome = await self._store.commit(guards, ops)
        if outcome.ok:
            changes = [(op.key, tag_of(op.value) if isinstance(op, Put) else None) for op in ops]
            self._tell("acknowledged", writer, outcome.revision, changes)
        return outcome

    async def _write(self, writer: str) -> None:
        """Creates, updates, deletes, and pairs of keys in one commit, of pods that nobody else writes."""
        mine: dict[str, int] = {}
        for number in range(10**9):
            tag = f"{writer}.{number}"
            choice = self._rng.random()
            if choice < 0.35 or not mine:
                key = PODS + tag
                outcome = await self._commit(writer, [Guard(key, 0)], [Put(key, value_of(tag))])
            elif choice < 0.5:
                keys = PODS + tag + "-a", PODS + tag + "-b"
                value = value_of(tag + TOGETHER)
                outcome = await self._commit(writer, [Guard(key, 0) for key in keys], [Put(key, value) for key in keys])
                key = keys[0]
            else:
                key = self._rng.choice(sorted(mine))
                guards, gone = [Guard(key, mine[key])], choice > 0.75
                outcome = await self._commit(writer, guards, [Delete(key) if gone else Put(key, value_of(tag))])
                if gone:
                    assert outcome.ok
                    del mine[key]
                    continue
            assert outcome.ok, f"{key} is written by nobody else, but was refused: {outcome.current}"
            mine[key] = outcome.revision

    async def _renew(self, writer: str) -> None:
        """Guarded updates of leases that others want as well."""
        held: dict[str, int] = {}
        for number in range(10**9):
            key = f"{LEASES}{self._rng.randrange(_LEASES)}"
            guards = [Guard(key, held.get(key, 0))]
            outcome = await self._commit(writer, guards, [Put(key, value_of(f"{writer}.{number}"))])
            entry = outcome.current.get(key)
            held[key] = outcome.revision if outcome.ok else entry.mod_revision if entry else 0

    async def _expire(self, writer: str) -> None:
        """Events that are over as soon as they are there, and their removal."""
        for number in range(10**9):
            tag = f"{writer}.{number}"
            await self._store.commit([], [Put(EVENTS + tag, value_of(tag), ttl_s=0)])
            if number % 10 == 9:
                await self._store.reap()

    async def _watch(self, following: Following) -> None:
        after = following.after
        while True:
            try:
                async with self._store.watch(following.prefix, after=after) as batches:
                    number = 0
                    async for events in batches:
                        self._tell("seen", following.name, [(event.revision, event.key, tag_of(event.value)) for event in events])
                        after = events[-1].revision
                        if following.name == ALL:
                            self._all_seen = after
                            self._seen_more.set()
                        number += 1
                        if following.hop and number >= following.hop:
                            break
            except Compacted:
                after = (await self._store.range(following.prefix)).revision
                self._tell("listed", following.name, after)

    async def _compact(self) -> None:
        """The parent must be able to tell what was compacted: only what the watcher of everything has seen, and told."""
        before = 0
        while True:
            await self._seen_more.wait()
            self._seen_more.clear()
            if self._all_seen - _KEPT_REVISIONS > before + 50:
                before = self._all_seen - _KEPT_REVISIONS
                await self._store.compact(before)
