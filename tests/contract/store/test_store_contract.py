"""The store's contract: one suite, every implementation."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from tests.fakes.etcd import START_S, members

from steersman.apiserver.encryption.ciphers import AESGCMCipher
from steersman.apiserver.encryption.config import Encryption
from steersman.apiserver.encryption.store import EncryptedStore
from steersman.apiserver.encryption.transformer import Keyed, Transformer
from steersman.machinery.clock import RealClock, VirtualClock
from steersman.store.etcd import EtcdStore
from steersman.store.etcd_calls import TLS
from steersman.store.interface import Compacted, Delete, Event, FutureRevision, Guard, Put, Store, Unavailable
from steersman.store.memory import MemoryStore
from steersman.store.sqlite import SQLiteStore

Scenario = Callable[[Store], Awaitable[None]]
PREFIX = "/registry/pods/"


@pytest.fixture(scope="session")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real etcd, one for all tests of a worker."""
    (member,) = members(tmp_path_factory.mktemp("etcd"))
    member.start()
    try:
        yield member.url
    finally:
        member.kill()


async def emptied(store: Store) -> Store:
    """Without keys; what has been revised and compacted before is no matter to the contract."""
    found = await store.range("/registry/")
    for at in range(0, len(found.entries), 100):
        await store.commit([], [Delete(entry.key) for entry in found.entries[at : at + 100]])
    return store


def encrypted(inner: Store) -> EncryptedStore:
    """All that is a resource's is ciphertext in `inner`."""
    cipher = Keyed(b"k8s:enc:aesgcm:v1:", "AES", (("key1", AESGCMCipher(b"k" * 32)),))
    return EncryptedStore(inner, Encryption({("*", "*"): Transformer([cipher])}, ""), ["pods"], [])


@pytest.fixture(params=["memory", "sqlite", "etcd", "encrypted"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Scenario], None]:
    """Runs a scenario on an empty store of each implementation."""
    url = request.getfixturevalue("etcd") if request.param == "etcd" else ""

    async def main(scenario: Scenario) -> None:
        store: Store
        if request.param == "memory":
            store = MemoryStore(RealClock())
        elif request.param == "encrypted":
            store = encrypted(MemoryStore(RealClock()))
        elif request.param == "etcd":
            store = await emptied(await EtcdStore.open([url], TLS(), RealClock(), patience_s=START_S))
        else:
            store = await SQLiteStore.open(tmp_path / "store.db", RealClock())
        try:
            await asyncio.wait_for(scenario(store), 180)
        finally:
            await store.close()

    return lambda scenario: asyncio.run(main(scenario))


async def put(store: Store, key: str, value: bytes = b"v") -> int:
    outcome = await store.commit([], [Put(PREFIX + key, value)])
    assert outcome.ok
    return outcome.revision


async def take(events: AsyncIterator[list[Event]], count: int) -> list[Event]:
    found: list[Event] = []
    while len(found) < count:
        found += await anext(events)
    return found


def test_a_commit_makes_one_revision_and_its_values_are_read_back(run: Callable[[Scenario], None]) -> None:
    async def scenario(store: Store) -> None:
        _, before = await store.get(PREFIX + "a")
        outcome = await store.commit([], [Put(PREFIX + "a", b"1"), Put(PREFIX + "b", b"2")])
        assert outcome.ok and outcome.revision == before + 1
        entry, revision = await store.get(PREFIX + "a")
        assert entry is not None and revision == outcome.revision
        assert (entry.value, entry.mod_revision, entry.create_revision) == (b"1", outcome.revision, outcome.revision)
        again = await put(store, "a", b"3")
        entry, _ = await store.get(PREFIX + "a")
        assert entry is not None
        assert (entry.value, entry.mod_revision, entry.create_revision) == (b"3", again, outcome.revision)

    run(scenario)


def test_what_does_not_exist_is_not_mistaken_for_the_key_after_it(run: Callable[[Scenario], None]) -> None:
    async def scenario(store: Store) -> None:
        revision = await put(store, "aa")
        for missing in ("", "a", "a\0", "b"):
            assert await store.get(PREFIX + missing) == (None, revision)
        refused = await store.commit([Guard(PREFIX + "a", 0), Guard(PREFIX + "aa", 0)], [Delete(PREFIX + "aa")])
        assert not refused.ok and refused.current[PREFIX + "a"] is None
        assert (await store.commit([Guard(PREFIX + "a", 0)], [Delete(PREFIX + "a")])).revision == revision
        assert [entry.key for entry in (await store.range(PREFIX)).entries] == [PREFIX + "aa"]

    run(scenario)


def test_a_commit_that_changes_nothing_makes_no_revision(run: Callable[[Scenario], None]) -> None:
    async def scenario(store: Store) -> None:
        before = await put(store, "a")
        assert (await store.commit([], [Delete(PREFIX + "missing")])).revision == before

    run(scenario)


def test_a_guard_that_does_not_hold_refuses_the_whole_commit_and_tells_what_is_there(run: Callable[[Scenario], None]) -> None:
    async def scenario(store: Store) -> None:
        revision = await put(store, "a", b"1")
        for guards in ([Guard(PREFIX + "a", 0)], [Guard(PREFIX + "a", revision), Guard(PREFIX + "b", 7)]):
            outcome = await store.commit(guards, [Put(PREFIX + "a", b"2"), Put(PREFIX + "c", b"3")])
            assert not outcome.ok
            current = outcome.current[PREFIX + "a"]
            assert current is not None and current.value == b"1"
        assert (await store.get(PREFIX + "c"))[0] is None
        good = await store.commit([Guard(PREFIX + "a", revision), Guard(PREFIX + "c", 0)], [Delete(PREFIX + "a")])
        assert good.ok and (await store.get(PREFIX + "a"))[0] is None

    run(scenario)


def test_concurrent_compare_and_swap_lets_exactly_one_win_each_round(run: Callable[[Scenario], None]) -> None:
    async def scenario(store: Store) -> None:
        async def increment() -> None:
            while True:
                entry, _ = await store.get(PREFIX + "n")
                guard = Guard(PREFIX + "n", entry.mod_revision if entry else 0)
                value = int(entry.value) + 1 if entry else 1
                if (await store.commit([guard], [Put(PREFIX + "n", b"%d" % value)])).ok:
                    return

        async with asyncio.TaskGroup() as group:
            for _ in range(40):
                group.create_task(increment())
        entry, _ = await store.get(PREFIX + "n")
        assert entry is not None and entry.value == b"40"

    run(scenario)


def test_ranges_page_in_key_order_and_at_an_exact_revision(run: Callable[[Scenario], None]) -> None:
    async def scenario(store: Store) -> None:
        for name in "dbeac":
            await put(store, name)
        await store.commit([], [Put("/registry/podsx/z", b"other prefix")])
        first = await store.range(PREFIX, limit=2)
        assert [e.key[-1] for e in first.entries] == ["a", "b"] and first.more and first.count == 5
        await store.commit([], [Delete(PREFIX + "c"), Put(PREFIX + "d", b"changed"), Put(PREFIX + "f", b"new")])
        await store.commit([], [Delete(PREFIX + "d")])
        await put(store, "d", b"made again")
        rest = await store.range(PREFIX, start=PREFIX + "b\0", limit=10, revision=first.revision)
        assert [(e.key[-1], e.value) for e in rest.entries] == [("c", b"v"), ("d", b"v"), ("e", b"v")]
        assert not rest.more and rest.revision == first.revision
        newest = await store.range(PREFIX)
        assert [e.key[-1] for e in newest.entries] == ["a", "b", "d", "e", "f"]
        assert (await store.range(PREFIX, count_only=True)).count == 5
        with pytest.raises(FutureRevision):
            await store.range(PREFIX, revision=newest.revision + 10)

    run(scenario)


def test_a_watch_gets_the_past_after_its_revision_then_what_comes_without_gap_or_repeat(run: Callable[[Scenario], None]) -> None:
    async def scenario(store: Store) -> None:
        start = await put(store, "a", b"0")
        await put(store, "a", b"1")
        await store.commit([], [Put("/registry/nodes/n", b"elsewhere")])
        await store.commit([], [Delete(PREFIX + "a")])
        async with store.watch(PREFIX, after=start) as events:
            past = await take(events, 2)
            await put(store, "a", b"2")
            live = await take(events, 1)
        seen = [(e.value, e.previous.value if e.previous else None) for e in past + live]
        assert seen == [(b"1", b"0"), (None, b"1"), (b"2", None)]
        revisions = [e.revision for e in past + live]
        assert revisions == sorted(set(revisions))

    run(scenario)


def test_watches_started_while_writers_run_see_every_change_once_and_in_order(run: Callable[[Scenario], None]) -> None:
    async def scenario(store: Store) -> None:
        total = 200
        begin = await store.progress()

        async def write(writer: int) -> None:
            for number in range(total // 4):
                await put(store, f"{writer}-{number}")

        async def follow(delay_writes: int) -> list[int]:
            for _ in range(delay_writes):
                await put_marker()
            async with store.watch(PREFIX, after=begin) as events:
                return [event.revision for event in await take(events, total)]

        async def put_marker() -> None:
            await store.commit([], [Put("/registry/marker", b"")])

        async with asyncio.TaskGroup() as group:
            for writer in range(4):
                group.create_task(write(writer))
            follows = [group.create_task(follow(delay)) for delay in (0, 5, 20)]
        for task in follows:
            revisions = task.result()
            assert len(revisions) == total and revisions == sorted(set(revisions))

    run(scenario)


def test_compaction_keeps_the_newest_values_and_refuses_older_reads_and_watches(run: Callable[[Scenario], None]) -> None:
    async def scenario(store: Store) -> None:
        old = await put(store, "a", b"1")
        await put(store, "gone")
        await store.commit([], [Delete(PREFIX + "gone")])
        middle = await put(store, "a", b"2")
        last = await put(store, "a", b"3")
        await store.compact(middle)
        at_middle = await store.range(PREFIX, revision=middle)
        assert [(e.key[-1], e.value) for e in at_middle.entries] == [("a", b"2")]
        with pytest.raises(Compacted) as refused:
            await store.range(PREFIX, revision=old)
        assert refused.value.oldest == middle
        async with store.watch(PREFIX, after=old) as events:
            with pytest.raises(Compacted):
                await anext(events)
        async with store.watch(PREFIX, after=middle) as events:
            assert [e.revision for e in await take(events, 1)] == [last]
        await store.compact(last)
        entry, revision = await store.get(PREFIX + "a")
        assert entry is not None and entry.value == b"3" and revision == last

    run(scenario)


def test_closing_ends_watches_and_refuses_further_calls(run: Callable[[Scenario], None]) -> None:
    async def scenario(store: Store) -> None:
        async with store.watch(PREFIX, after=await store.progress()) as events:
            await store.close()
            with pytest.raises(StopAsyncIteration):
                await anext(events)
        with pytest.raises(Unavailable):
            await store.get(PREFIX + "a")

    run(scenario)


def test_random_histories_agree_with_a_plain_dict(run: Callable[[Scenario], None]) -> None:
    async def scenario(store: Store) -> None:
        rng = random.Random(7)
        state: dict[str, bytes] = {}
        past: dict[int, dict[str, bytes]] = {await store.progress(): {}}
        for step in range(300):
            key = f"{PREFIX}{rng.randrange(12)}"
            if rng.random() < 0.4:
                outcome = await store.commit([], [Delete(key)])
                state.pop(key, None)
            else:
                outcome = await store.commit([], [Put(key, b"%d" % step)])
                state[key] = b"%d" % step
            past[outcome.revision] = dict(state)
            if rng.random() < 0.03:
                oldest = rng.choice(list(past))
                await store.compact(oldest)
                past = {revision: kept for revision, kept in past.items() if revision >= oldest}
            revision = rng.choice(list(past))
            found = await store.range(PREFIX, revision=revision)
            assert {e.key: e.value for e in found.entries} == past[revision]

    run(scenario)


def test_sqlite_brings_everything_back_when_opened_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "store.db"
        store = await SQLiteStore.open(path, RealClock())
        first = await put(store, "a", b"1")
        await store.commit([], [Delete(PREFIX + "a"), Put(PREFIX + "b", b"2")])
        last = (await store.commit([], [Delete(PREFIX + "b")])).revision
        await store.compact(last)
        await store.close()
        store = await SQLiteStore.open(path, RealClock())
        assert await store.progress() == last > first
        assert (await store.range(PREFIX)).entries == []
        assert await put(store, "c") == last + 1
        await store.close()
        assert path.stat().st_mode & 0o777 == 0o600

    asyncio.run(scenario())


def test_keys_with_a_time_to_live_vanish_and_watches_see_it() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        store = MemoryStore(clock)
        await store.commit([], [Put(PREFIX + "event", b"", ttl_s=60)])
        async with store.watch(PREFIX, after=await store.progress()) as events:
            await clock.advance(61)
            await store.progress()
            assert (await take(events, 1))[0].value is None
        assert (await store.get(PREFIX + "event"))[0] is None
        await store.close()

    asyncio.run(scenario())


def test_sqlite_removes_what_expired_while_it_was_closed(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        store = await SQLiteStore.open(tmp_path / "store.db", clock)
        await store.commit([], [Put(PREFIX + "event", b"", ttl_s=60), Put(PREFIX + "pod", b"")])
        await store.close()
        await clock.advance(61)
        store = await SQLiteStore.open(tmp_path / "store.db", clock)
        await store.reap()
        assert [e.key for e in (await store.range(PREFIX)).entries] == [PREFIX + "pod"]
        await store.close()

    asyncio.run(scenario())


def test_sqlite_says_in_one_sentence_that_a_file_is_not_a_database(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(Unavailable, match="cannot be"):
        asyncio.run(SQLiteStore.open(path, RealClock()))
