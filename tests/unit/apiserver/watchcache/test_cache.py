"""The watch cache: order, selection, resuming, fan-out, and the end of slow watchers."""

from __future__ import annotations

import asyncio

import pytest
from tests.fakes.server import pod

from steersman.api.resources import PODS
from steersman.apiserver.storage import Form, encode
from steersman.apiserver.watchcache import watcher as watchers
from steersman.apiserver.watchcache.cache import TooOld, WatchCache
from steersman.apiserver.watchcache.selection import Selection
from steersman.apiserver.watchcache.watcher import Watcher
from steersman.machinery import fields, labeltext
from steersman.store.interface import Entry, Event


def form() -> Form:
    return Form(PODS, {"spec.nodeName": lambda obj: str(obj["spec"].get("nodeName", ""))})


async def _settle() -> None:
    return None


def loaded(ring: int = 100) -> WatchCache:
    cache = WatchCache(form(), ring, _settle)
    cache.load([], 10)
    return cache


def put(name: str, revision: int, *, namespace: str = "default", node: str = "", **meta: object) -> Event:
    obj = pod(name, **meta)
    obj["metadata"]["namespace"] = namespace
    if node:
        obj["spec"]["nodeName"] = node
    return Event(f"/registry/pods/{namespace}/{name}", revision, encode(obj), revision, None)


def deletion(name: str, revision: int) -> Event:
    return Event(f"/registry/pods/default/{name}", revision, None, 0, None)


def names(cache: WatchCache, selection: Selection) -> list[str]:
    return [stored.name for stored in cache.select(selection)]


def got(watcher: Watcher) -> list[tuple[str, str, int]]:
    async def read() -> list[tuple[str, str, int]]:
        watcher.end()
        return [(item.type, item.stored.name, item.stored.revision) for item in await watcher.next()]

    return asyncio.run(read())


def test_objects_come_in_key_order_and_by_namespace() -> None:
    cache = loaded()
    for revision, (namespace, name) in enumerate([("b", "x"), ("a", "z"), ("a-b", "q"), ("a", "y")], 11):
        cache.apply(put(name, revision, namespace=namespace))
    assert names(cache, Selection()) == ["q", "y", "z", "x"]
    assert names(cache, Selection("a")) == ["y", "z"]
    assert names(cache, Selection("a", name="z")) == ["z"]


def test_selectors_are_evaluated_on_labels_and_fields() -> None:
    cache = loaded()
    cache.apply(put("one", 11, node="n1", labels={"app": "web"}))
    cache.apply(put("two", 12, node="n2", labels={"app": "web"}))
    cache.apply(put("three", 13, node="n1"))
    assert names(cache, Selection(labels=labeltext.parse("app=web"))) == ["one", "two"]
    assert names(cache, Selection(fields=fields.parse("spec.nodeName=n1"))) == ["one", "three"]
    assert names(cache, Selection(labels=labeltext.parse("app"), fields=fields.parse("spec.nodeName!=n1"))) == ["two"]


def test_changes_during_loading_are_applied_after_it_unless_the_load_had_them() -> None:
    cache = WatchCache(form(), 100, _settle)
    cache.apply(put("early", 19))
    cache.apply(put("late", 21))
    cache.load([Entry("/registry/pods/default/old", encode(pod("old")), 5, 5)], 20)
    assert names(cache, Selection()) == ["late", "old"]
    cache.apply(put("again", 20))
    assert names(cache, Selection()) == ["late", "old"]


def test_a_watcher_sees_objects_begin_and_cease_to_match() -> None:
    cache = loaded()
    cache.apply(put("web", 11))
    watcher = cache.watch(Selection(fields=fields.parse("spec.nodeName=n1")), 11)
    cache.apply(put("web", 12, node="n1"))
    cache.apply(put("web", 13, node="n1", labels={"a": "b"}))
    cache.apply(put("web", 14, node="n2"))
    cache.apply(deletion("web", 15))
    assert got(watcher) == [("ADDED", "web", 12), ("MODIFIED", "web", 13), ("DELETED", "web", 14)]


def test_a_deletion_shows_the_last_state_with_its_own_revision() -> None:
    cache = loaded()
    cache.apply(put("web", 11, labels={"a": "b"}))
    watcher = cache.watch(Selection(), 11)
    cache.apply(deletion("web", 17))
    watcher.end()
    (item,) = asyncio.run(watcher.next())
    assert item.type == "DELETED"
    assert item.stored.decode()["metadata"] == {
        "resourceVersion": "17", "name": "web", "namespace": "default", "labels": {"a": "b"},
    }  # fmt: skip


def test_a_watch_resumes_from_the_ring_and_is_refused_before_it() -> None:
    cache = loaded(ring=2)
    for revision, name in enumerate(["a", "b", "c"], 11):
        cache.apply(put(name, revision))
    assert got(cache.watch(Selection(), 11)) == [("ADDED", "b", 12), ("ADDED", "c", 13)]
    with pytest.raises(TooOld, match=r"^too old resource version: 10 \(11\)$"):
        cache.watch(Selection(), 10)
    cache.forget_before(13)
    with pytest.raises(TooOld):
        cache.watch(Selection(), 12)


def test_watchers_are_found_by_what_they_require() -> None:
    cache = loaded()
    mine = cache.watch(Selection(fields=fields.parse("spec.nodeName=n1")), 10)
    other = cache.watch(Selection(fields=fields.parse("spec.nodeName=n2")), 10)
    elsewhere = cache.watch(Selection("other"), 10)
    named = cache.watch(Selection("default", "web"), 10)
    cache.apply(put("web", 11, node="n1"))
    assert [len(got(watcher)) for watcher in (mine, other, elsewhere, named)] == [1, 0, 0, 1]
    for watcher in (mine, other, elsewhere, named):
        cache.unwatch(watcher)
        cache.unwatch(watcher)
    assert cache.watchers() == ()


def test_a_watcher_that_does_not_keep_up_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchers, "QUEUE_LIMIT", 2)
    cache = loaded()
    watcher = cache.watch(Selection(), 10)
    for revision in range(11, 15):
        cache.apply(put("web", revision))
    assert watcher.too_slow
    assert asyncio.run(watcher.next()) == []


def test_a_future_watch_waits_for_what_comes_after() -> None:
    cache = loaded()
    watcher = cache.watch(Selection(), 12)
    cache.apply(put("a", 11))
    cache.apply(put("b", 13))
    assert got(watcher) == [("ADDED", "b", 13)]


def test_a_spoilt_entry_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    cache = WatchCache(form(), 100, _settle)
    bad, fine = (
        Entry(f"/registry/pods/default/{name}", value, 5, 5) for name, value in (("bad", b"x"), ("ok", encode(pod("ok"))))
    )
    cache.load([bad, fine], 10)
    assert names(cache, Selection()) == ["ok"]
    cache.apply(Event("/registry/pods/default/ok", 11, b"[]", 6, None))
    assert names(cache, Selection()) == [] and caplog.text.count("cannot be read") == 2
