"""The cache of a converted version, beneath the requests: nobody waits for one that is closed, or for what has stumbled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import pytest

from steersman.apiserver.crd.converting import Converting
from steersman.apiserver.crd.versions import ConvertedCache
from steersman.apiserver.storage import Form
from steersman.apiserver.watchcache.cache import WatchCache
from steersman.apiserver.watchcache.feed import Feed
from steersman.machinery.clock import VirtualClock
from steersman.machinery.errors import StatusError
from steersman.machinery.gvk import Resource

RESOURCE = Resource("example.com", "v1", "widgets", kind="Widget")


class SlowFeed:
    """A feed that is level when `level` is set."""

    def __init__(self) -> None:
        self.revision, self.ring = 10, 100
        self.level = asyncio.Event()

    async def settle(self) -> None:
        await self.level.wait()


class Conversion:
    """Leaves everything as it is, after raising these."""

    def __init__(self, *faults: Exception) -> None:
        self._faults = list(faults)

    async def read(self, values: Sequence[bytes], version: str) -> list[bytes]:
        if self._faults:
            raise self._faults.pop(0)
        return list(values)


def run(conversion: Conversion, scenario: Callable[[ConvertedCache, SlowFeed, VirtualClock], Awaitable[None]]) -> None:
    async def main() -> None:
        clock, feed = VirtualClock(), SlowFeed()
        source = WatchCache(Form(RESOURCE, {}), 100, feed.settle)
        source.load([], 10)
        followers: list[asyncio.Task[None]] = []
        async with asyncio.TaskGroup() as tasks:

            def spawn(work: Any) -> asyncio.Task[None]:
                followers.append(tasks.create_task(work))
                return followers[-1]

            form, converting = Form(RESOURCE, {}), cast(Converting, conversion)
            await scenario(ConvertedCache(source, form, converting, cast(Feed, feed), clock, spawn), feed, clock)
            for follower in followers:
                follower.cancel()

    asyncio.run(main())


def test_a_request_that_comes_to_wait_when_the_version_has_been_closed_is_told_so() -> None:
    async def scenario(cache: ConvertedCache, feed: SlowFeed, clock: VirtualClock) -> None:
        async def arrive() -> str:
            try:
                await cache.ready.wait()
            except StatusError as fault:
                return fault.message
            return "arrived"

        async with asyncio.TaskGroup() as tasks:
            arriving = tasks.create_task(arrive())
            # Closed in the same turn of the loop: what follows the source has had none yet, so nothing has come through.
            tasks.create_task(close(cache))
            await clock.advance(1)
            feed.level.set()
            await clock.advance(1)
            ended = arriving.done()
            arriving.cancel()
        assert ended and arriving.result() == "the kind is served differently now"

    run(Conversion(), scenario)


async def close(cache: ConvertedCache) -> None:
    cache.close()


def test_a_conversion_that_stumbles_is_told_to_who_waits_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(cache: ConvertedCache, feed: SlowFeed, clock: VirtualClock) -> None:
        feed.level.set()
        async with asyncio.TaskGroup() as tasks:
            with pytest.raises(StatusError, match="stored objects cannot be followed: odd"):
                await cache.ready.wait()
            arriving = tasks.create_task(cache.ready.wait())
            await clock.advance(2)
            assert arriving.done()

    with caplog.at_level(logging.ERROR):
        run(Conversion(AttributeError("odd")), scenario)
    assert "stored objects cannot be followed: resource=widgets.example.com" in caplog.text
