"""The informer's promises: no change is missed or told twice, across resumed and lost watches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.fakes.client import FakeClient

from steersman.api.resources import PODS
from steersman.client.informer import Informer
from steersman.machinery.clock import VirtualClock
from steersman.machinery.errors import Expired
from steersman.machinery.meta import Obj


def pod(name: str, **spec: Any) -> Obj:
    return {"metadata": {"name": name, "namespace": "x", "labels": {"app": "a"}}, "spec": spec}


class Follower:
    """An informer under test, with what its handler was told, as short text."""

    def __init__(self, client: FakeClient, clock: VirtualClock, **options: Any) -> None:
        self.informer = Informer(client, PODS, clock=clock, **options)
        self.told: list[str] = []
        self.informer.add_handler(self._tell)

    def _tell(self, old: Obj | None, new: Obj | None) -> None:
        def text(obj: Obj | None) -> str:
            return f"{obj['metadata']['name']}{obj['spec'].get('v', '')}" if obj else "-"

        self.told.append(f"{text(old)}>{text(new)}")


def run_with(client: FakeClient, scenario: Callable[[Follower, VirtualClock], Awaitable[None]], **options: Any) -> Follower:
    async def main() -> Follower:
        clock = VirtualClock()
        follower = Follower(client, clock, **options)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(follower.informer.run())
            await clock.advance(0)
            await scenario(follower, clock)
            running.cancel()
        return follower

    return asyncio.run(main())


def test_handlers_see_the_first_list_and_then_each_change() -> None:
    client = FakeClient()
    client.put(PODS, pod("a", v=1))

    async def scenario(follower: Follower, clock: VirtualClock) -> None:
        assert follower.informer.synced.is_set()
        client.put(PODS, pod("a", v=2))
        client.put(PODS, pod("b"))
        client.drop(PODS, "x", "a")
        await clock.advance(0)

    follower = run_with(client, scenario)
    assert follower.told == ["->a1", "a1>a2", "->b", "a2>-"]
    assert [obj["metadata"]["name"] for obj in follower.informer.list("x")] == ["b"]
    assert follower.informer.last_seen == client.version


def test_a_broken_watch_goes_on_from_where_it_was_without_listing_again() -> None:
    client = FakeClient()
    client.put(PODS, pod("a", v=1))

    async def scenario(follower: Follower, clock: VirtualClock) -> None:
        client.break_watches(ConnectionError("gone"))
        await clock.advance(0)
        client.put(PODS, pod("a", v=2))
        client.fail_next("list", AssertionError("listed again"))
        await clock.advance(1)

    assert run_with(client, scenario).told == ["->a1", "a1>a2"]


def test_after_410_the_difference_is_told_including_deletions_and_objects_made_anew() -> None:
    client = FakeClient()
    for name in ("kept", "changed", "gone", "anew"):
        client.put(PODS, pod(name, v=1))

    async def scenario(follower: Follower, clock: VirtualClock) -> None:
        client.hold_watches.clear()
        client.put(PODS, pod("changed", v=2))
        client.drop(PODS, "x", "gone")
        client.drop(PODS, "x", "anew")
        client.put(PODS, pod("anew", v=2))
        client.put(PODS, pod("new", v=1))
        client.break_watches(Expired("too old resource version"))
        follower.told.clear()
        client.hold_watches.set()
        client.compact()
        await clock.advance(1)

    # The watch ends at once with 410, before it could deliver anything.
    follower = run_with(client, scenario)
    assert sorted(follower.told) == sorted(["gone1>-", "changed1>changed2", "anew1>-", "->anew2", "->new1"])
    assert len(follower.informer) == 4


def test_bookmarks_advance_what_has_been_seen_and_wake_waiters() -> None:
    client = FakeClient()
    client.put(PODS, pod("a"))

    async def scenario(follower: Follower, clock: VirtualClock) -> None:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(follower.informer.wait_for(client.version + 1))
            await clock.advance(0)
            assert not waiting.done()
            client.bookmark(PODS)
            await clock.advance(0)
            assert waiting.done()

    assert run_with(client, scenario).told == ["->a"]


def test_wait_until_follows_one_key() -> None:
    client = FakeClient()
    client.put(PODS, pod("a"))

    async def scenario(follower: Follower, clock: VirtualClock) -> None:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(follower.informer.wait_until(("x", "a"), lambda obj: obj is None))
            client.put(PODS, pod("a", v=2))
            await clock.advance(0)
            assert not waiting.done()
            client.drop(PODS, "x", "a")
            await clock.advance(0)
            assert waiting.done()

    run_with(client, scenario)


def test_indexes_follow_changes_and_forget_what_is_gone() -> None:
    client = FakeClient()
    client.put(PODS, pod("a", node="n1"))
    client.put(PODS, pod("b", node="n1"))
    owned = pod("c", node="n2")
    owned["metadata"]["ownerReferences"] = [{"uid": "other"}, {"uid": "rs", "controller": True}]
    client.put(PODS, owned)

    async def scenario(follower: Follower, clock: VirtualClock) -> None:
        informer = follower.informer

        def on(node: str) -> list[str]:
            return [obj["metadata"]["name"] for obj in informer.indexed("node", node)]

        assert (on("n1"), on("n2")) == (["a", "b"], ["c"])
        client.put(PODS, pod("a", node="n2"))
        client.drop(PODS, "x", "c")
        await clock.advance(0)
        assert (on("n1"), on("n2"), informer.owned_by("rs")) == (["b"], ["a"], [])

    run_with(client, scenario, indexes={"node": lambda obj: (obj["spec"]["node"],)})


def test_an_object_that_leaves_the_selection_is_gone() -> None:
    client = FakeClient()
    client.put(PODS, pod("a", nodeName="n1"))
    client.put(PODS, pod("b", nodeName="n2"))
    follower = run_with(client, lambda follower, clock: clock.sleep(0), field_selector="spec.nodeName=n1")
    assert follower.told == ["->a"]


def test_a_handler_that_fails_stops_neither_the_others_nor_the_informer() -> None:
    client = FakeClient()

    async def scenario(follower: Follower, clock: VirtualClock) -> None:
        def fails(old: Obj | None, new: Obj | None) -> None:
            raise RuntimeError("broken handler")

        follower.informer.add_handler(fails)
        late: list[Obj | None] = []
        follower.informer.add_handler(lambda old, new: late.append(new))
        client.put(PODS, pod("a"))
        client.put(PODS, pod("b"))
        await clock.advance(0)
        assert len(late) == 2

    assert run_with(client, scenario).told == ["->a", "->b"]


def test_an_object_that_an_index_cannot_read_is_kept_all_the_same() -> None:
    client = FakeClient()
    client.put(PODS, pod("odd"))
    client.put(PODS, pod("plain", node="n1"))
    follower = run_with(client, lambda follower, clock: clock.sleep(0), indexes={"node": lambda obj: [obj["spec"]["node"]]})
    assert (len(follower.informer), len(follower.informer.indexed("node", "n1"))) == (2, 1)


def test_managed_fields_are_not_kept() -> None:
    client = FakeClient()
    noisy = pod("a")
    noisy["metadata"]["managedFields"] = [{"manager": "kubectl"}]
    client.put(PODS, noisy)
    follower = run_with(client, lambda follower, clock: clock.sleep(0))
    assert "managedFields" not in (follower.informer.get("x", "a") or {})["metadata"]


def test_a_watch_that_makes_no_sense_is_logged_and_made_good_by_a_list(caplog: pytest.LogCaptureFixture) -> None:
    client = FakeClient()
    client.put(PODS, pod("a"))

    async def scenario(follower: Follower, clock: VirtualClock) -> None:
        client.break_watches(AttributeError("an object that is none"))
        await clock.advance(0)
        client.put(PODS, pod("b"))
        await clock.advance(1)
        assert follower.told == ["->a", "->b"]

    with caplog.at_level(logging.ERROR):
        run_with(client, scenario)
    assert "list or watch makes no sense resource=pods" in caplog.text
