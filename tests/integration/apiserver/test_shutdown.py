"""An API server that is told to end: not ready first, what is under way is finished, watches end, and nothing is half said."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest
from tests.fakes.ports import reserved
from tests.fakes.server import config, config_map

from steersman.apiserver.run import APIServer
from steersman.apiserver.serving import ServingSettings
from steersman.cluster import pki
from steersman.cluster.settings import ClusterSettings, Paths
from steersman.machinery.clock import Clock, RealClock
from steersman.store.memory import MemoryStore
from steersman.store.sqlite import SQLiteStore

CLOCK = RealClock()
DELAY_S = 4711.0
MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    paths = Paths(tmp_path_factory.mktemp("state"))
    pki.ensure(paths, ClusterSettings(node_name="n1", advertise_address="127.0.0.1"), CLOCK)
    return paths.pki


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class HalfAnswer(Exception):
    """The server said something and not all of it."""


class Line:
    """A connection that sees what is really on the wire."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, method: str, target: str, body: bytes = b"", *, withheld: int = 0) -> None:
        head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode() + body[: len(body) - withheld])

    async def head(self) -> Answer | None:
        """Status and headers. None: the connection was closed before anything was said."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as ended:
            if ended.partial:
                raise HalfAnswer(ended.partial) from None
            return None
        except ConnectionError:
            return None
        status, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        return Answer(int(status.split(" ")[1]), headers, b"")

    async def answer(self) -> Answer | None:
        answer = await self.head()
        if answer is not None:
            try:
                answer.body = await self.reader.readexactly(int(answer.headers["content-length"]))
            except (asyncio.IncompleteReadError, ConnectionError) as ended:
                raise HalfAnswer(answer.headers) from ended
        return answer

    async def request(self, method: str, target: str, body: bytes = b"") -> Answer | None:
        try:
            self.send(method, target, body)
        except ConnectionError:
            return None
        return await self.answer()

    async def rest(self) -> bytes:
        return await self.reader.read()


@asynccontextmanager
async def line(certificates: Path, port: int) -> AsyncIterator[Line]:
    context = ssl.create_default_context(cafile=str(certificates / "ca.crt"))
    context.load_cert_chain(certificates / "admin.crt", certificates / "admin.key")
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        yield Line(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


class Delayed(RealClock):
    """The real one, but that the delay of a shutdown is over when the test says so, however slow the machine."""

    def __init__(self) -> None:
        self.over = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        if seconds == DELAY_S:
            await self.over.wait()
        else:
            await super().sleep(seconds)


@asynccontextmanager
async def serving(certificates: Path, settings: ServingSettings, clock: Clock) -> AsyncIterator[APIServer]:
    store = MemoryStore(CLOCK)
    server = APIServer(config(certificates, advertise_address="192.0.2.1", serving=settings), store, clock)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
        await store.close()


async def refused(certificates: Path, port: int) -> bool:
    try:
        async with line(certificates, port):
            return False
    except OSError:
        return True


def body(name: str) -> bytes:
    return orjson.dumps(config_map(name))


@pytest.mark.parametrize("come_back", [False, True])
def test_a_server_that_ends_is_not_ready_first_then_takes_nothing_new_and_finishes_what_it_has(
    certificates: Path, come_back: bool
) -> None:
    settings = ServingSettings(shutdown_delay_s=DELAY_S, shutdown_send_retry_after=come_back)

    async def scenario() -> None:
        clock = Delayed()
        async with serving(certificates, settings, clock) as server, contextlib.AsyncExitStack() as stack:
            port = server.port
            slow, idle, watch = [await stack.enter_async_context(line(certificates, port)) for _ in range(3)]
            assert (ready := await idle.request("GET", "/readyz")) is not None and ready.body == b"ok"
            watch.send("GET", f"{MAPS}?watch=1&allowWatchBookmarks=true")
            assert (begun := await watch.head()) is not None and begun.status == 200
            slow.send("POST", MAPS, body("slow"), withheld=5)
            async with asyncio.TaskGroup() as tasks:
                ending = tasks.create_task(server.stop())
                await until(server, ready=False)
                told = await idle.request("GET", "/readyz?verbose")
                assert told is not None and told.status == 500
                assert b"[-]shutdown failed: reason withheld\n" in told.body and b"[+]informer-sync ok\n" in told.body
                alive, written = await idle.request("GET", "/livez"), await idle.request("POST", MAPS, body("late"))
                assert alive is not None and alive.body == b"ok" and written is not None and written.status == 201
                clock.over.set()
                # Who waits for a next request is cut off, who is being served is not.
                assert await idle.rest() == b""
                if come_back:
                    async with line(certificates, port) as new:
                        later = await new.request("GET", MAPS)
                        assert later is not None and (later.status, later.headers["retry-after"]) == (429, "5")
                        assert later.headers["connection"] == "close" and await new.rest() == b""
                else:
                    assert await refused(certificates, port)
                assert not ending.done()
                slow.writer.write(body("slow")[-5:])
                finished = await slow.answer()
                assert finished is not None and finished.status == 201 and finished.headers["connection"] == "close"
                stream = await watch.rest()
            assert b'"late"' in stream and b'"slow"' in stream and stream.endswith(b"\r\n0\r\n\r\n")
            assert await refused(certificates, port)

    asyncio.run(scenario())


async def until(server: APIServer, *, ready: bool) -> None:
    while bool(server.ending) is ready:
        await CLOCK.sleep(0.01)


@dataclass
class Load:
    """Writers at work. `acknowledged`: what was confirmed."""

    acknowledged: list[str] = field(default_factory=list)
    refused: int = 0
    unanswered: int = 0
    names: itertools.count[int] = field(default_factory=itertools.count)

    async def write(self, certificates: Path, port: int) -> None:
        """Until the server will have no more."""
        while True:
            try:
                async with line(certificates, port) as connection:
                    while True:
                        name = f"c{next(self.names)}"
                        answer = await connection.request("POST", MAPS, body(name))
                        if answer is None:
                            self.unanswered += 1
                            break
                        if answer.status == 201:
                            assert orjson.loads(answer.body)["metadata"]["name"] == name
                            self.acknowledged.append(name)
                        else:
                            assert answer.status == 503 and answer.headers["retry-after"] == "1", answer
                            assert orjson.loads(answer.body)["reason"] == "ServiceUnavailable"
                            self.refused += 1
                            break
            except OSError:
                return


@asynccontextmanager
async def process(certificates: Path, store: Path, port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    command = [
        *("apiserver", "--store", str(store), "--bind-address", "127.0.0.1", "--secure-port", str(port)),
        *("--advertise-address", "192.0.2.1", "--client-ca-file", str(certificates / "ca.crt")),
        *("--tls-cert-file", str(certificates / "apiserver.crt"), "--tls-private-key-file", str(certificates / "apiserver.key")),
        *("--service-account-signing-key-file", str(certificates / "sa.key")),
    ]
    with open(store.with_suffix(".log"), "wb") as log:
        argv = [sys.executable, "-m", "steersman", *command]
        started = await asyncio.create_subprocess_exec(*argv, stderr=log, env=os.environ)  # noqa: TID251 asyncio's own loop
    try:
        while await refused(certificates, port):
            assert started.returncode is None, store.with_suffix(".log").read_text()
            await CLOCK.sleep(0.05)
        yield started
    finally:
        if started.returncode is None:
            started.kill()
            await started.wait()


def test_sigterm_under_load_loses_no_acknowledged_write_and_gives_no_half_answer(certificates: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        port, load, seen = reserved(), Load(), tmp_path / "store.db"
        async with process(certificates, seen, port) as server, line(certificates, port) as watch:
            watch.send("GET", f"{MAPS}?watch=1")
            assert (begun := await watch.head()) is not None and begun.status == 200
            async with asyncio.TaskGroup() as tasks:
                for _ in range(12):
                    tasks.create_task(load.write(certificates, port))
                while len(load.acknowledged) < 300:
                    await CLOCK.sleep(0.01)
                server.send_signal(signal.SIGTERM)
                stream = await watch.rest()
            assert await server.wait() == 0
        assert stream.endswith(b"\r\n0\r\n\r\n")
        store = await SQLiteStore.open(seen, CLOCK)
        try:
            kept = {entry.key.rpartition("/")[2] for entry in (await store.range("/registry/configmaps/default/")).entries}
        finally:
            await store.close()
        assert set(load.acknowledged) <= kept
        for name in load.acknowledged:
            assert b'"%b"' % name.encode() in stream
        # What was neither confirmed nor refused is at most what was on its way on each connection.
        assert load.unanswered <= 12

    asyncio.run(scenario())
