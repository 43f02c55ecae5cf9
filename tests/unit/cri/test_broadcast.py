"""Broadcast: from when a listener hears, and what one that does not listen any more costs."""

from __future__ import annotations

import asyncio
import gc
import weakref

from steersman.cri.broadcast import Broadcast
from steersman.cri.messages import EventKind, RuntimeEvent

FIRST, SECOND, THIRD = (RuntimeEvent(EventKind.STARTED, name, "uid") for name in ("a", "b", "c"))


class Told(RuntimeEvent):
    """One that can be watched going away."""


def test_a_listener_hears_from_its_call_on_and_every_listener_the_same() -> None:
    async def scenario() -> None:
        news = Broadcast()
        news.tell(FIRST)
        early = news.listen()
        news.tell(SECOND)
        late = news.listen()
        news.tell(THIRD)
        assert [await anext(early), await anext(early), await anext(late)] == [SECOND, THIRD, THIRD]

    asyncio.run(scenario())


def test_a_slow_listener_loses_what_is_beyond_its_limit() -> None:
    async def scenario() -> None:
        news = Broadcast(1)
        slow = news.listen()
        news.tell(FIRST)
        news.tell(SECOND)
        assert await anext(slow) is FIRST
        news.tell(THIRD)
        assert await anext(slow) is THIRD

    asyncio.run(scenario())


def test_nothing_is_kept_for_a_listener_that_let_go() -> None:
    async def scenario() -> None:
        news = Broadcast()
        listener = news.listen()
        event = Told(EventKind.STARTED, "held", "uid")
        told = weakref.ref(event)
        news.tell(event)
        del event
        gc.collect()
        assert told() is not None
        del listener
        gc.collect()
        assert told() is None

    asyncio.run(scenario())
