"""kill -9 of a real API server process under load: what it answered with 200 or 201 is there when it is started again.

The store below is judged by `test_crash.py`; this shows that an answer is not sent before the store has acknowledged.
"""

from __future__ import annotations

import asyncio
import functools
import random
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.fakes.etcd import free_ports

from steersman.api.resources import CONFIG_MAPS
from steersman.client.http import HttpTransport
from steersman.client.rest import RestClient
from steersman.cluster import pki
from steersman.cluster.settings import ClusterSettings, Paths
from steersman.machinery.clock import RealClock
from steersman.machinery.errors import Expired, StatusError
from steersman.machinery.meta import Obj, name_of
from steersman.store import failpoints

CLOCK = RealClock()
_ROUNDS = 10
_WRITERS = 8


@contextmanager
def api_server(paths: Paths, port: int, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """`steersman apiserver` as a process of its own; killed at the end at the latest."""
    certificates = paths.pki
    flags = {
        "store": paths.state / "store.db",
        "secure-port": port,
        "bind-address": "127.0.0.1",
        "advertise-address": "192.0.2.1",
        "tls-cert-file": certificates / "apiserver.crt",
        "tls-private-key-file": certificates / "apiserver.key",
        "client-ca-file": certificates / "ca.crt",
        "service-account-signing-key-file": certificates / "sa.key",
    }
    command = [sys.executable, "-m", "steersman", "apiserver", *(f"--{name}={value}" for name, value in flags.items())]
    with (paths.state / "apiserver.log").open("ab") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        yield server
    finally:
        server.kill()
        server.wait()


@dataclass(slots=True)
class Known:
    """A ConfigMap as its one writer knows it. "": it does not exist. `wanted` is what was asked for and not answered."""

    value: str = ""
    version: str = ""
    wanted: str | None = None


@dataclass(slots=True)
class History:
    """What was answered, and what the watch has shown, across the servers' deaths."""

    maps: dict[str, Known] = field(default_factory=dict)
    answered: dict[int, tuple[str, str]] = field(default_factory=dict)
    shown: list[tuple[int, str, str]] = field(default_factory=list)
    after: int = 0
    resumed: int = 0

    def compare(self, found: dict[str, Obj]) -> None:
        """With what a new server lists. What was in doubt is known now."""
        assert found.keys() <= self.maps.keys()
        for name, known in self.maps.items():
            here = found.get(name)
            value, version = (here["data"]["value"], here["metadata"]["resourceVersion"]) if here else ("", "")
            as_answered = (value, version) == (known.value, known.version)
            assert as_answered or (known.wanted is not None and value == known.wanted), f"{name} is {here}, known is {known}"
            self.maps[name] = Known(value, version)

    def check_watch(self) -> None:
        """Every answered write that the watch has come past was shown, once, in order."""
        revisions = [revision for revision, _, _ in self.shown]
        assert revisions == sorted(set(revisions))
        shown = {revision: (name, value) for revision, name, value in self.shown}
        for revision, change in self.answered.items():
            if self.after < revision <= max(revisions, default=0):
                assert shown.get(revision) == change
        for revision, change in shown.items():
            assert self.answered.get(revision, change) == change

    def begin_anew(self, after: int) -> None:
        self.check_watch()
        self.shown.clear()
        self.after = after


async def write(client: RestClient, history: History, writer: int, rng: random.Random) -> None:
    """Creates, updates and deletes ConfigMaps of its own, until the server is gone."""
    for number in range(10**9):
        name = f"w{writer}-{rng.randrange(5)}"
        known = history.maps.setdefault(name, Known())
        obj: Obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}}
        delete = bool(known.value) and rng.random() < 0.3
        known.wanted = "" if delete else f"{writer}.{number}.{rng.random()}"
        obj["data"] = {"value": known.wanted}
        try:
            if delete:
                await client.delete(CONFIG_MAPS, name, "default")
                history.maps[name] = Known()
                continue
            if known.value:
                obj["metadata"]["resourceVersion"] = known.version
                done = await client.update(CONFIG_MAPS, obj)
            else:
                done = await client.create(CONFIG_MAPS, obj)
        except ConnectionError:
            return
        version = done["metadata"]["resourceVersion"]
        history.maps[name] = Known(known.wanted, version)
        history.answered[int(version)] = (name, known.wanted)


async def follow(client: RestClient, history: History) -> None:
    """A watch that resumes where the last one broke; the server says if it cannot. Until the server is gone."""
    with suppress(ConnectionError):
        while True:
            last = history.shown[-1][0] if history.shown else history.after
            try:
                async for event in client.watch(CONFIG_MAPS, "default", resource_version=str(last), bookmarks=False):
                    value = "" if event.type == "DELETED" else event.object["data"]["value"]
                    history.shown.append((int(event.object["metadata"]["resourceVersion"]), name_of(event.object), value))
                return
            except Expired:
                # It may be killed here as well.
                listed = await client.list(CONFIG_MAPS, "default")
                history.begin_anew(int(listed["metadata"]["resourceVersion"]))
                history.resumed += 1


async def ready(client: RestClient, server: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(180):
        while server.poll() is None:
            try:
                await client.raw("GET", "/readyz")
                return
            except (ConnectionError, StatusError):
                await CLOCK.sleep(0.02)
    raise AssertionError("the API server ended before it was ready")


async def one_life(
    client: RestClient, server: subprocess.Popen[bytes], history: History, rng: random.Random, life_s: float
) -> None:
    await ready(client, server)
    listed = await client.list(CONFIG_MAPS, "default")
    history.compare({name_of(item): item for item in listed["items"]})
    if not history.after:
        history.after = int(listed["metadata"]["resourceVersion"])
    async with asyncio.TaskGroup() as group:
        group.create_task(follow(client, history))
        for writer in range(_WRITERS):
            group.create_task(write(client, history, writer, rng))
        if life_s:
            await CLOCK.sleep(life_s)
            server.send_signal(signal.SIGKILL)


Serve = Callable[[str, Callable[[RestClient, subprocess.Popen[bytes]], Awaitable[None]]], None]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Runs a scenario against a new server process over the same files."""
    paths = Paths(tmp_path)
    pki.ensure(paths, ClusterSettings(node_name="n1", advertise_address="127.0.0.1"), CLOCK)
    (port,) = free_ports(1)

    async def run(term: str, scenario: Callable[[RestClient, subprocess.Popen[bytes]], Awaitable[None]]) -> None:
        with api_server(paths, port, {failpoints.VARIABLE: term}) as server:
            ca, cert, key = (paths.pki / name for name in ("ca.crt", "admin.crt", "admin.key"))
            client = RestClient(HttpTransport(f"https://127.0.0.1:{port}", ca=ca, cert=cert, key=key))
            try:
                await scenario(client, server)
            finally:
                await client.close()

    return lambda term, scenario: asyncio.run(run(term, scenario))


def test_what_an_api_server_has_answered_outlives_its_kill(serve: Serve) -> None:
    rng = random.Random(1)
    history = History()
    for number in range(_ROUNDS):
        # By turns from outside, and by itself with a write that is durable and not answered.
        outside = number % 2 == 0
        term = "" if outside else f"beforeAcknowledge=kill@{rng.randrange(50, 200)}"
        serve(term, functools.partial(one_life, history=history, rng=rng, life_s=rng.uniform(0.1, 0.5) if outside else 0.0))
    serve("", functools.partial(last_look, history=history))
    assert len(history.answered) > 20 * _ROUNDS and history.resumed


async def last_look(client: RestClient, server: subprocess.Popen[bytes], history: History) -> None:
    await ready(client, server)
    listed = await client.list(CONFIG_MAPS, "default")
    history.compare({name_of(item): item for item in listed["items"]})
    history.check_watch()
