"""Asks every kubelet for its metrics: every 15 s, and only while somebody wants to know. An idle cluster pays nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from steersman.api.resources import NODES
from steersman.apiserver.contracts import Listers
from steersman.apiserver.metricsapi.exposition import Scrape, parse
from steersman.apiserver.metricsapi.readings import Readings
from steersman.apiserver.nodeproxy.backend import Backends, Unreachable
from steersman.apiserver.nodeproxy.locate import Target, kubelet_of
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj, name_of
from steersman.machinery.waiting import within

log = logging.getLogger(__name__)

PERIOD_S = 15.0
FIRST_WINDOW_S = 1.0
"""Between the first two rounds: whoever asks first waits that long, and gets rates over it."""
INTEREST_S = 180.0
SCRAPE_LIMIT_S = 10.0
_AT_ONCE = 32

Ask = Callable[[Obj], Awaitable[str]]
"""A node -> the text of its kubelet's /metrics/resource. Raises Unreachable, StatusError."""


class Poller:
    """`run()` must be running for `wanted()` to return."""

    def __init__(self, listers: Listers, ask: Ask, clock: Clock) -> None:
        self._listers, self._ask, self._clock = listers, ask, clock
        self.readings = Readings()
        self._asked_s = 0.0
        self._interest, self._ready = asyncio.Event(), asyncio.Event()

    async def wanted(self) -> Readings:
        """The readings; the first to ask in a while waits for them."""
        self._asked_s = self._clock.monotonic()
        self._interest.set()
        await self._ready.wait()
        return self.readings

    async def run(self) -> None:
        while True:
            await self._interest.wait()
            await self._round()
            await self._clock.sleep(FIRST_WINDOW_S)
            while self._clock.monotonic() - self._asked_s < INTEREST_S:
                await self._round()
                self._ready.set()
                await self._clock.sleep(PERIOD_S)
            self._interest.clear()
            self._ready.clear()
            self.readings.clear()

    async def _round(self) -> None:
        found: dict[str, Scrape] = {}
        gate = asyncio.Semaphore(_AT_ONCE)

        async def scrape(node: Obj) -> None:
            async with gate:
                try:
                    found[name_of(node)] = await self._scrape(node)
                except Exception as fault:
                    # Whatever a kubelet does or says: it has no metrics then, and the others go on.
                    log.info("node not scraped node=%s why=%s", name_of(node), fault or type(fault).__name__)

        async with asyncio.TaskGroup() as group:
            for node in self._listers(NODES).list():
                group.create_task(scrape(node))
        self.readings.take(found)

    async def _scrape(self, node: Obj) -> Scrape:
        texts: list[str] = []

        async def ask() -> None:
            texts.append(await self._ask(node))

        if not await within(self._clock, SCRAPE_LIMIT_S, ask):
            raise Unreachable("no answer in time")
        return parse(texts[0], self._clock.now().timestamp())


def asking(backends: Backends) -> Ask:
    """Over the API server's own connections to kubelets."""

    async def ask(node: Obj) -> str:
        host, port = kubelet_of(node)
        answer = await backends.fetch("GET", Target("https", host, port, "/metrics/resource", kubelet=True), {}, b"")
        body = b"".join([chunk async for chunk in answer.chunks]) if answer.chunks is not None else answer.whole()
        if answer.status != 200:
            raise Unreachable(f"status {answer.status}")
        return body.decode()

    return ask
