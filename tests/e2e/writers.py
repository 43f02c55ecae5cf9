"""Clients that write while machines are cut off, each note what was acknowledged, and say whether all of that is there.

Every key has one writer, and every write is guarded by the resourceVersion of the last: so what a key must be is known, but for
writes that were not answered. Those may have been made, or may be made yet, until the next one that is acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steersman.api.resources import CONFIG_MAPS
from steersman.client import kubeconfig
from steersman.client.rest import RestClient
from steersman.machinery.clock import RealClock
from steersman.machinery.errors import NotFound, StatusError
from steersman.machinery.meta import Obj, name_of, resource_version_of
from steersman.machinery.waiting import within
from steersman.network.netns import entered

NAMESPACE = "default"
_PATIENCE_S = 5.0
_PAUSE_S = 0.05
_CATCH_UP_S = 120.0
_LIMIT_S = 240.0


@dataclass(slots=True)
class Key:
    """A ConfigMap as its writer knows it: value and version as acknowledged; `doubts` were asked for and not answered."""

    value: str = ""
    version: int = 0
    doubts: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Ledger:
    """What was acknowledged, and by which server."""

    keys: dict[str, Key] = field(default_factory=dict)
    acknowledged: dict[int, tuple[str, str]] = field(default_factory=dict)
    by: Counter[str] = field(default_factory=Counter)

    def note(self, server: str, name: str, value: str, version: int) -> None:
        assert version not in self.acknowledged, f"revision {version} was given out twice"
        known = self.keys[name]
        assert version > known.version, f"{name} went from revision {known.version} to {version}"
        self.acknowledged[version] = (name, value)
        self.keys[name] = Key(value, version)
        self.by[server] += 1

    def settle(self, name: str, found: Obj | None) -> None:
        """What a key turned out to be. Raises AssertionError if that contradicts what was acknowledged."""
        known = self.keys[name]
        value, version = (found["data"]["value"], resource_version_of(found)) if found else ("", 0)
        if (value, version) == (known.value, known.version):
            return
        assert value in known.doubts and version > known.version, f"{name} is {value!r} at {version}, known is {known}"
        # The others were guarded by the version before.
        self.keys[name] = Key(value, version)

    def compare(self, listed: Sequence[Obj]) -> None:
        """With all that is there at the end."""
        found = {name_of(item): item for item in listed}
        for name in self.keys:
            self.settle(name, found.get(name))

    def check_shown(self, shown: Sequence[tuple[int, str, str]]) -> None:
        """With all that a watch from the beginning has shown: also what was written over since was there once, in its order."""
        versions = [version for version, _, _ in shown]
        assert versions == sorted(set(versions)), "the watch showed a change twice, or out of order"
        changes = {version: (name, value) for version, name, value in shown}
        missing = [change for version, change in self.acknowledged.items() if changes.get(version) != change]
        assert not missing, f"{len(missing)} acknowledged writes are lost, the first: {missing[0]}"


class Writers:
    """So many writers for each server, and a watch on one, in a thread that lives in a network namespace.

    `servers`: name -> kubeconfig. `watched`: the server that is never cut off.
    """

    def __init__(self, netns: str, servers: Mapping[str, Path], each: int, watched: str) -> None:
        self._netns, self._servers, self._each, self._watched = netns, servers, each, watched
        self.ledger = Ledger()
        self._shown: list[tuple[int, str, str]] = []
        self._shown_more = asyncio.Event()
        self.failed: Counter[str] = Counter()
        self._clock = RealClock()
        self._ended = threading.Event()
        self._trouble: list[BaseException] = []

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Write for as long as the block lasts, then look whether the watch has shown it all. Raises what went wrong."""
        thread = threading.Thread(target=self._main, name="writers")
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join(_LIMIT_S)
            assert not thread.is_alive(), "the writers do not end"
        if self._trouble:
            raise self._trouble[0]
        self.ledger.check_shown(self._shown)

    def acknowledged(self, server: str) -> int:
        if self._trouble:
            raise self._trouble[0]
        return self.ledger.by[server]

    def _main(self) -> None:
        try:
            # The whole life of this thread is inside, so every socket it opens is.
            with entered(f"/run/netns/{self._netns}"):
                asyncio.run(self._run())
        except BaseException as error:
            self._trouble.append(error)

    async def _run(self) -> None:
        clients = {name: RestClient(kubeconfig.load(path), user_agent="writers") for name, path in self._servers.items()}
        try:
            async with asyncio.TaskGroup() as watching:
                begin = (await clients[self._watched].list(CONFIG_MAPS, NAMESPACE))["metadata"]["resourceVersion"]
                follower = watching.create_task(self._follow(clients[self._watched], begin))
                async with asyncio.TaskGroup() as group:
                    for server, client in clients.items():
                        for number in range(self._each):
                            group.create_task(self._write(server, client, f"w-{server}-{number}"))
                # Only now is it known which write was the last.
                await within(self._clock, _CATCH_UP_S, self._until_all_shown)
                follower.cancel()
        finally:
            for client in clients.values():
                await client.close()

    async def _follow(self, client: RestClient, begin: str) -> None:
        """Resumed where it broke off."""
        while True:
            after = str(self._shown[-1][0]) if self._shown else begin
            try:
                async for event in client.watch(CONFIG_MAPS, NAMESPACE, resource_version=after, bookmarks=False):
                    if name_of(event.object) in self.ledger.keys:
                        value = event.object["data"]["value"]
                        self._shown.append((resource_version_of(event.object), name_of(event.object), value))
                        self._shown_more.set()
            except (StatusError, ConnectionError):
                await self._clock.sleep(_PAUSE_S)

    async def _until_all_shown(self) -> None:
        while not self._shown or self._shown[-1][0] < max(self.ledger.acknowledged):
            self._shown_more.clear()
            await self._shown_more.wait()

    async def _write(self, server: str, client: RestClient, name: str) -> None:
        """Create, then update again and again."""
        self.ledger.keys[name] = Key()
        number = 0
        while not self._ended.is_set():
            number += 1
            value, known = f"{number}", self.ledger.keys[name]
            known.doubts.add(value)
            try:
                made = await self._answer(_put(client, name, value, known.version))
                self.ledger.note(server, name, value, resource_version_of(made))
            except (StatusError, ConnectionError) as error:
                self.failed[f"{server}: {type(error).__name__}"] += 1
                await self._look(client, name)
            await self._clock.sleep(_PAUSE_S)

    async def _look(self, client: RestClient, name: str) -> None:
        """What has become of a write that was not acknowledged; as soon as somebody says."""
        while not self._ended.is_set():
            await self._clock.sleep(_PAUSE_S)
            try:
                self.ledger.settle(name, await self._answer(_read(client, name)) or None)
                return
            except (StatusError, ConnectionError):
                continue

    async def _answer(self, asking: Coroutine[Any, Any, Obj]) -> Obj:
        """Raises ConnectionError if there is none in time."""
        answers: list[Obj] = []

        async def ask() -> None:
            answers.append(await asking)

        if not await within(self._clock, _PATIENCE_S, ask):
            raise ConnectionError("no answer")
        return answers[0]


async def _read(client: RestClient, name: str) -> Obj:
    """Empty if it is not there."""
    try:
        return await client.get(CONFIG_MAPS, name, NAMESPACE)
    except NotFound:
        return {}


async def _put(client: RestClient, name: str, value: str, version: int) -> Obj:
    metadata: Obj = {"name": name, "namespace": NAMESPACE}
    obj: Obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"value": value}}
    if not version:
        return await client.create(CONFIG_MAPS, obj)
    metadata["resourceVersion"] = str(version)
    return await client.update(CONFIG_MAPS, obj)
