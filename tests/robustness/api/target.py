"""An API server as it is shipped, in this process, and the one question of all tests here: was that an answer?

An answer is not a fault of the server's own (5xx), leaves no error in the log, and comes in time. A few things that clients do
wrong upstream itself answers with a bare 500; those are named here, word for word, and nothing else is let through.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson
from tests.fakes import certs
from tests.fakes.server import ALICE, config

from steersman.api.resources import SERVICE_ACCOUNTS
from steersman.apiserver.http import Request, Response
from steersman.apiserver.run import APIServer
from steersman.client.interface import Answer
from steersman.machinery.clock import RealClock
from steersman.store.memory import MemoryStore

PATIENCE_S = 30
"""Processor time for one answer: far more than any takes, so that a busy machine fails no test."""
_STREAM_S = 0.02
UPSTREAMS_OWN = re.compile(
    "resourceVersion should not be set on objects to be created"
    "|resourceVersion: Invalid value: "
    "|unable to convert unstructured object to "
    "|failed to create (typed patch|typed live|manager for existing fields)"
    "|error calculating structured merge diff"
    '|the spec replicas field ".*" does not exist'
    "|unknown patch type: |map: map\\[.*\\] does not contain declared merge key: "
    "|The order in patch list:|list element types are not identical: |cannot merge lists without merge key for "
    "|expected a \\[\\]interface \\{\\}, but received a |unable to find api field in struct |invalid object type: ",
    re.DOTALL,
)
"""Answers of code 500 that upstream gives to clients' mistakes (facts: patches.md, apiserver.md)."""


class _Faults(logging.Handler):
    """Gathers what is logged as an error, by anybody."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(self.format(record))


class Target:
    """`send` gives the answer, and fails the test if it is none."""

    def __init__(self, folder: Path) -> None:
        (folder / "sa.key").write_bytes(certs.key_pem())
        certs.authority(folder / "ca.crt")
        clock = RealClock()
        self._store = MemoryStore(clock)
        settings = replace(config(folder), advertise_address="10.0.0.1", secure_port=6443)
        self.server = APIServer(settings, self._store, clock)
        self._handler = self.server.pipeline.acting_as(ALICE)
        self._faults = _Faults()
        self._up, self._end = asyncio.Event(), asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._running = self._loop.create_task(self._run())
        self._loop.run_until_complete(self._up.wait())
        if self._running.done():
            self._running.result()

    async def _run(self) -> None:
        try:
            await self.server.start(listen=False)
            account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "default"}}
            await self.server.client.create(SERVICE_ACCOUNTS, account)
        finally:
            self._up.set()
        await self._end.wait()
        await self.server.stop()
        await self._store.close()

    def close(self) -> None:
        self._end.set()
        self._loop.run_until_complete(self._running)
        self._loop.close()

    def send(
        self, method: str, target: str, body: Any = b"", media_type: str | None = "application/json", **headers: str
    ) -> Answer:
        """headers: by their names, with underscores. The path of the target is escaped as on the wire."""
        data = body if isinstance(body, bytes) else _encoded(body)
        path, _, query = target.partition("?")
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if media_type is not None:
            sent["content-type"] = media_type

        async def read_body() -> bytes:
            return data

        request = Request(method, _unescaped(path), query, sent, remote="tests", read_body=read_body)
        with self._listening() as told, in_time(f"{method} {target[:200]} {data[:200]!r}"):
            answer = self._loop.run_until_complete(self._answer(request))
        what = f"{method} {target[:500]} {sent} {data[:2000]!r} ({len(data)} bytes): {answer.status} {answer.body[:1000]!r}"
        assert not told, f"{what}\n{told[0][-3000:]}"
        assert answer.status < 500 or _may_be(answer), what
        return answer

    async def _answer(self, request: Request) -> Answer:
        response = await self._handler(request)
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, {"content-type": response.content_type, **headers}, await _all(response))

    @contextmanager
    def _listening(self) -> Iterator[list[str]]:
        root = logging.getLogger()
        self._faults.told.clear()
        root.addHandler(self._faults)
        try:
            yield self._faults.told
        finally:
            root.removeHandler(self._faults)


async def _all(response: Response) -> bytes:
    """What is answered; of a stream, what comes at once."""
    if response.chunks is None:
        return response.whole()
    pieces: list[bytes] = []
    try:
        async with asyncio.timeout(_STREAM_S):
            async for chunk in response.chunks:
                pieces.append(chunk)
    except TimeoutError:
        pass
    close: Any = getattr(response.chunks, "aclose", None)
    if close is not None:
        await close()
    return b"".join(pieces)


def _encoded(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value).encode()  # it goes deeper


def _unescaped(path: str) -> str:
    return unquote_to_bytes(path).decode("utf-8", "replace")


def _may_be(answer: Answer) -> bool:
    """Whether an answer from 500 on is what upstream gives."""
    status: Mapping[str, Any] = orjson.loads(answer.body)
    if answer.status == 504:
        # A resourceVersion that has not been reached yet.
        return "Too large resource version" in str(status["message"])
    if answer.status == 503:
        # A node or a Service that is asked, and is not there.
        return bool(status["reason"] == "ServiceUnavailable")
    if "more than one PodDisruptionBudget" in status["message"]:
        return answer.status == 500
    return answer.status == 500 and "reason" not in status and UPSTREAMS_OWN.search(status["message"]) is not None


@contextmanager
def in_time(what: str) -> Iterator[None]:
    """Interrupts what takes too long."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"no answer after {PATIENCE_S} s: {what}")

    before = signal.signal(signal.SIGVTALRM, interrupt)
    signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
