"""What only the store over etcd can get wrong: members that die or are replaced, leases, big answers, keys of others."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.fakes.certs import authority, signed
from tests.fakes.etcd import START_S, Member, members
from tests.fakes.ports import deaf

from steersman.machinery.clock import RealClock, VirtualClock
from steersman.machinery.errors import RequestEntityTooLarge
from steersman.store import etcd_calls
from steersman.store import etcd_wire as wire
from steersman.store.etcd import EtcdStore
from steersman.store.etcd_calls import TLS, Endpoints
from steersman.store.etcd_leases import Leases
from steersman.store.interface import Compacted, Delete, Event, Guard, NoSpace, Put, Unavailable

PODS = "/registry/pods/"


@contextmanager
def running(folder: Path, count: int = 1, tls: tuple[Path, Path, Path] | None = None) -> Iterator[Sequence[Member]]:
    """A new etcd cluster for a test."""
    made = members(folder, count, tls)
    try:
        for member in made:
            member.start()
        yield made
    finally:
        for member in made:
            member.kill()


def with_store(made: Sequence[Member], scenario: Callable[[EtcdStore], Awaitable[None]], tls: TLS | None = None) -> None:
    async def main() -> None:
        store = await EtcdStore.open([member.url for member in made], tls or TLS(), RealClock(), patience_s=START_S)
        try:
            await asyncio.wait_for(scenario(store), 180)
        finally:
            await store.close()

    asyncio.run(main())


async def take(events: AsyncIterator[list[Event]], count: int) -> list[Event]:
    found: list[Event] = []
    while len(found) < count:
        found += await anext(events)
    return found


async def persist(store: EtcdStore, name: str) -> None:
    """Write until it is there, as a client does that is told 503."""
    while True:
        try:
            if (await store.commit([Guard(PODS + name, 0)], [Put(PODS + name, b"v")])).ok:
                return
            if (await store.get(PODS + name))[0] is not None:
                return
        except Unavailable:
            await RealClock().sleep(0.05)


def test_a_watch_resumes_across_a_killed_etcd_without_loss_or_repeat(tmp_path: Path) -> None:
    async def scenario(store: EtcdStore) -> None:
        (member,) = made
        begin = await store.progress()
        async with store.watch(PODS, after=begin) as events:
            for number in range(5):
                await persist(store, f"before-{number}")
            member.kill()
            async with asyncio.TaskGroup() as group:
                writers = [group.create_task(persist(store, f"during-{number}")) for number in range(5)]
                member.start()
                await asyncio.wait(writers)
            last = await store.progress()
            seen = await take(events, 10)
        assert len({event.key for event in seen}) == 10
        assert [event.revision for event in seen] == list(range(begin + 1, last + 1))

    with running(tmp_path) as made:
        with_store(made, scenario)


def test_when_a_member_dies_calls_and_watches_go_on_with_the_others(tmp_path: Path) -> None:
    async def scenario(store: EtcdStore) -> None:
        begin = await store.progress()
        async with store.watch(PODS, after=begin) as events:
            for round_, victim in enumerate(made[:2]):
                await persist(store, f"{round_}-a")
                # Both turn out to be asked at first: the second after the first is gone.
                victim.kill()
                await persist(store, f"{round_}-b")
                assert await store.progress() >= begin + 2 * (round_ + 1)
                victim.start()
            seen = await take(events, 4)
        assert [event.key.removeprefix(PODS) for event in seen] == ["0-a", "0-b", "1-a", "1-b"]

    with running(tmp_path, 3) as made:
        with_store(made, scenario)


def test_a_dead_etcd_is_told_in_one_sentence_within_seconds_and_calls_recover_by_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etcd_calls, "PATIENCE_S", 0.5)

    async def scenario(store: EtcdStore) -> None:
        (member,) = made
        await persist(store, "a")
        member.kill()
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: store.get(PODS + "a"),
            lambda: store.range(PODS),
            lambda: store.commit([], [Put(PODS + "b", b"")]),
            store.progress,
            store.size_bytes,
        ]
        async with asyncio.timeout(60):
            for call in calls:
                with pytest.raises(Unavailable) as told:
                    await call()
                text = str(told.value)
                assert text.startswith(f"etcd does not answer at {member.url}: ") and "Connection refused" in text
        member.start()
        await persist(store, "b")
        assert (await store.range(PODS)).count == 2

    with running(tmp_path) as made:
        with_store(made, scenario)


def test_an_etcd_without_space_says_so_and_goes_on_reading(tmp_path: Path) -> None:
    async def scenario(store: EtcdStore) -> None:
        acknowledged = []
        with pytest.raises(NoSpace, match="etcd's database is full: compact and defragment it, then disarm its NOSPACE alarm"):
            for number in range(100):
                await store.commit([Guard(f"{PODS}{number}", 0)], [Put(f"{PODS}{number}", bytes(100_000))])
                acknowledged.append(f"{PODS}{number}")
        found = await store.range(PODS)
        assert {entry.key for entry in found.entries} == set(acknowledged) and acknowledged

    (member,) = made = members(tmp_path)
    member.options = ("--quota-backend-bytes", "1000000")
    try:
        member.start()
        with_store(made, scenario)
    finally:
        member.kill()


def test_a_store_that_is_not_the_one_that_was_watched_ends_the_watch_as_compacted(tmp_path: Path) -> None:
    async def scenario(store: EtcdStore) -> None:
        (member,) = made
        for number in range(5):
            await persist(store, f"{number}")
        async with store.watch(PODS, after=await store.progress()) as events:
            member.kill()
            shutil.rmtree(member.data)
            member.start()
            with pytest.raises(Compacted):
                await anext(events)

    with running(tmp_path) as made:
        with_store(made, scenario)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[Member]]:
    """An etcd for the tests that do it no harm."""
    with running(tmp_path_factory.mktemp("etcd")) as made:
        yield made


def test_ranges_and_the_past_are_whole_when_they_are_larger_than_one_message(single: Sequence[Member]) -> None:
    async def scenario(store: EtcdStore) -> None:
        begin = await store.progress()
        big = bytes(1_000_000)
        keys = [f"/registry/big/{number:04}" for number in range(1203)]
        for at in range(0, len(keys), 100):
            await store.commit([], [Put(key, b"") for key in keys[at : at + 100]])
        for key in keys[:6]:
            await store.commit([], [Put(key, big)])
        found = await store.range("/registry/big/")
        assert [entry.key for entry in found.entries] == keys and found.count == 1203 and not found.more
        page = await store.range("/registry/big/", start=keys[3], limit=700)
        assert [entry.key for entry in page.entries] == keys[3:703] and page.count == 1203 and page.more
        # etcd sends this past in fragments.
        async with store.watch("/registry/big/", after=begin) as events:
            past = await take(events, 1209)
        assert [event.key for event in past] == keys + keys[:6]
        assert all(event.value == big and event.previous is not None for event in past[-6:])
        with pytest.raises(RequestEntityTooLarge):
            await store.commit([], [Put(keys[0], bytes(3_000_000))])
        assert await store.size_bytes() > 6_000_000

    with_store(single, scenario)


def test_a_revision_is_never_cut_in_two_by_the_size_of_a_message(single: Sequence[Member]) -> None:
    async def scenario(store: EtcdStore) -> None:
        begin = await store.progress()
        keys = [f"/registry/wide/{number}" for number in range(10)]
        async with store.watch("/registry/wide/", after=begin) as events:
            for fill in (b"a", b"b"):
                # The second time, what was there before doubles the size of what etcd has to tell.
                await store.commit([], [Put(key, fill * 140_000) for key in keys])
                batch = await anext(events)
                assert [(event.key, event.value) for event in batch] == [(key, fill * 140_000) for key in keys]

    with_store(single, scenario)


def test_an_endpoint_where_nobody_is_is_passed_over(single: Sequence[Member]) -> None:
    async def scenario() -> None:
        with deaf() as port:
            store = await EtcdStore.open([f"http://127.0.0.1:{port}", single[0].url], TLS(), RealClock(), patience_s=START_S)
            await persist(store, "passed-over")
            await store.close()

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_other_keys_in_the_same_etcd_hold_nobody_up(single: Sequence[Member]) -> None:
    async def scenario(store: EtcdStore) -> None:
        begin = await store.progress()
        async with store.watch("/registry/", after=begin) as events:
            await store.commit([], [Put("/elsewhere/a", b"")])
            # A reader waits for the revision that it is told: it has to be one that its watch sees.
            assert await store.progress() == begin
            await persist(store, "ours")
            assert await store.progress() == (await anext(events))[-1].revision == begin + 2
            await store.commit([], [Delete(PODS + "ours")])

    with_store(single, scenario)


def test_keys_with_a_time_to_live_vanish_and_a_lease_that_etcd_lost_is_replaced(single: Sequence[Member]) -> None:
    async def scenario(store: EtcdStore) -> None:
        begin = await store.progress()
        endpoints = Endpoints([single[0].url], TLS(), RealClock())
        try:
            await store.commit([], [Put(PODS + "long", b"", ttl_s=3600)])
            # Field 1 is the lease's id, in a revocation as in the answer that grants one.
            lost = await store._leases.join(3600)
            await endpoints.call("/etcdserverpb.Lease/LeaseRevoke", wire.lease_request(lost), len)
            assert (await store.commit([], [Put(PODS + "other", b"", ttl_s=3600)])).ok
            await store.commit([], [Put(PODS + "short", b"", ttl_s=1)])
            async with store.watch(PODS, after=begin) as events:
                seen = await take(events, 5)
        finally:
            await endpoints.close()
        told = [(event.key.removeprefix(PODS), event.value is not None) for event in seen]
        assert told == [("long", True), ("long", False), ("other", True), ("short", True), ("short", False)]
        assert seen[-1].previous is not None and seen[-1].create_revision == seen[-2].revision

    with_store(single, scenario)


def test_keys_share_a_lease_for_a_while_that_makes_it_last_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        clock, ids, asked = VirtualClock(), itertools.count(1), []
        endpoints = Endpoints(["http://127.0.0.1:1"], TLS(), clock)

        async def grant(method: str, request: bytes, read: Callable[[bytes], int]) -> int:
            asked.append(request)
            return next(ids)

        monkeypatch.setattr(endpoints, "call", grant)
        leases = Leases(endpoints, clock)
        assert [await leases.join(3600) for _ in range(1001)] == [1] * 1000 + [2]
        await clock.advance(59)
        assert await leases.join(3600) == 2
        await clock.advance(1)
        assert [await leases.join(3600), await leases.join(100)] == [3, 4]
        assert asked == [wire.lease_request(3660)] * 3 + [wire.lease_request(105)]
        async with asyncio.TaskGroup() as group:
            group.create_task(endpoints.close())
            await clock.advance(1)

    asyncio.run(scenario())


def test_client_certificates_let_in_and_their_lack_is_told(tmp_path: Path) -> None:
    ca, key = authority(tmp_path / "ca.crt")
    server = signed(tmp_path / "server", "etcd", ca, key)
    client = signed(tmp_path / "client", "kube-apiserver-etcd-client", ca, key)

    async def scenario(store: EtcdStore) -> None:
        await persist(store, "a")
        for tls in (TLS(tmp_path / "ca.crt"), TLS(None, *client)):
            with pytest.raises(Unavailable, match=f"etcd does not answer at {made[0].url}: "):
                await EtcdStore.open([made[0].url], tls, RealClock(), patience_s=0)

    with running(tmp_path, tls=(tmp_path / "ca.crt", *server)) as made:
        with_store(made, scenario, TLS(tmp_path / "ca.crt", *client))


@pytest.mark.parametrize("address", ["127.0.0.1:2379", "unix:///run/etcd", "https://"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    async def scenario() -> None:
        with pytest.raises(ValueError, match="is no etcd address"):
            await EtcdStore.open([address], TLS(), RealClock())

    asyncio.run(scenario())
