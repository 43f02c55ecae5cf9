"""Leader election: one leader at a time, take-over after 15 s or at once on release, loss when renewal fails."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from tests.fakes.client import FakeClient

from steersman.api.resources import LEASES
from steersman.client.leases import LeaderElector, LeadershipLost
from steersman.machinery.clock import VirtualClock
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj


def elector(client: FakeClient, clock: VirtualClock, identity: str) -> LeaderElector:
    return LeaderElector(client, "kube-system", "kube-scheduler", identity, clock, rng=random.Random(1))


def lease(client: FakeClient) -> Obj:
    found: Obj = client.tables[(LEASES.group, "leases")].objects[("kube-system", "kube-scheduler")]["spec"]
    return found


async def forever() -> None:
    await asyncio.Event().wait()


class SlowClient(FakeClient):
    """Once `slow` is set, renewals are taken, and never answered."""

    def __init__(self) -> None:
        super().__init__()
        self.slow, self.taken = False, asyncio.Event()

    async def update(self, resource: Resource, obj: Obj, *, subresource: str = "") -> Obj:
        taken = await super().update(resource, obj, subresource=subresource)
        if self.slow and obj["spec"]["holderIdentity"]:
            self.taken.set()
            await forever()
        return taken


def run(scenario: Callable[[FakeClient, VirtualClock, asyncio.TaskGroup], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            await scenario(FakeClient(), VirtualClock(), group)

    asyncio.run(main())


def test_a_leader_writes_the_lease_as_upstream_does_and_renews_it() -> None:
    async def scenario(client: FakeClient, clock: VirtualClock, group: asyncio.TaskGroup) -> None:
        one = elector(client, clock, "one")
        task = group.create_task(one.run(forever))
        await clock.advance(0)
        assert one.leading
        assert lease(client) == {
            "holderIdentity": "one",
            "leaseDurationSeconds": 15,
            "acquireTime": "2026-01-01T00:00:00.000000Z",
            "renewTime": "2026-01-01T00:00:00.000000Z",
            "leaseTransitions": 0,
        }
        await clock.advance(7)
        assert lease(client)["renewTime"] == "2026-01-01T00:00:06.000000Z"
        assert lease(client)["acquireTime"] == "2026-01-01T00:00:00.000000Z"
        task.cancel()

    run(scenario)


def test_a_second_candidate_leads_only_when_the_first_gives_up() -> None:
    async def scenario(client: FakeClient, clock: VirtualClock, group: asyncio.TaskGroup) -> None:
        one, two = elector(client, clock, "one"), elector(client, clock, "two")
        first = group.create_task(one.run(forever))
        await clock.advance(0)
        second = group.create_task(two.run(forever))
        await clock.advance(60)
        assert (one.leading, two.leading) == (True, False)
        first.cancel()
        await clock.advance(0)
        assert lease(client)["holderIdentity"] == ""
        await clock.advance(5)
        assert (one.leading, two.leading) == (False, True)
        assert lease(client)["leaseTransitions"] == 1
        second.cancel()

    run(scenario)


def test_a_lease_whose_holder_died_is_taken_after_its_duration_by_the_candidates_own_clock() -> None:
    async def scenario(client: FakeClient, clock: VirtualClock, group: asyncio.TaskGroup) -> None:
        # The dead holder's clock was an hour ahead: its renewTime must not be believed.
        spec = {"holderIdentity": "dead", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T01:00:00.000000Z"}
        client.put(LEASES, {"metadata": {"name": "kube-scheduler", "namespace": "kube-system"}, "spec": spec})
        one = elector(client, clock, "one")
        task = group.create_task(one.run(forever))
        await clock.advance(14)
        assert not one.leading
        await clock.advance(6)
        assert one.leading
        task.cancel()

    run(scenario)


def test_a_leader_that_cannot_renew_stops_leading_before_another_may_start() -> None:
    async def scenario(client: FakeClient, clock: VirtualClock, group: asyncio.TaskGroup) -> None:
        stopped: list[float] = []

        async def lead() -> None:
            try:
                await forever()
            finally:
                stopped.append(clock.monotonic())

        async def run_one() -> None:
            with pytest.raises(LeadershipLost):
                await elector(client, clock, "one").run(lead)

        task = group.create_task(run_one())
        await clock.advance(1)
        for verb in ("get", "update"):
            client.fail_next(verb, *[ConnectionError("unreachable")] * 100)
        await clock.advance(12)
        assert stopped and stopped[0] < 15
        assert task.done()

    run(scenario)


def test_the_lease_is_given_back_when_the_work_ends_by_itself() -> None:
    async def scenario(client: FakeClient, clock: VirtualClock, group: asyncio.TaskGroup) -> None:
        await elector(client, clock, "one").run(lambda: clock.sleep(0))
        assert lease(client)["holderIdentity"] == ""

    run(scenario)


def test_a_lease_is_given_back_by_who_is_ended_in_the_middle_of_a_renewal() -> None:
    """The server had taken it, the answer was not waited for: what was given back then was refused, and nobody led for 15 s."""

    async def scenario(client: FakeClient, clock: VirtualClock, group: asyncio.TaskGroup) -> None:
        slow = SlowClient()
        task = group.create_task(elector(slow, clock, "one").run(forever))
        await clock.advance(1)
        slow.slow = True
        await clock.advance(2)
        assert slow.taken.is_set()
        task.cancel()
        await clock.advance(0)
        assert task.done()
        assert lease(slow)["holderIdentity"] == ""

    run(scenario)


def test_a_lease_that_another_has_taken_is_not_given_back_for_it() -> None:
    async def scenario(client: FakeClient, clock: VirtualClock, group: asyncio.TaskGroup) -> None:
        task = group.create_task(elector(client, clock, "one").run(forever))
        await clock.advance(1)
        found = client.tables[(LEASES.group, "leases")].objects[("kube-system", "kube-scheduler")]
        client.put(LEASES, {**found, "spec": {**found["spec"], "holderIdentity": "two"}})
        task.cancel()
        await clock.advance(0)
        assert lease(client)["holderIdentity"] == "two"

    run(scenario)


def test_an_answer_that_makes_no_sense_costs_a_try_and_not_the_lead() -> None:
    async def scenario(client: FakeClient, clock: VirtualClock, group: asyncio.TaskGroup) -> None:
        one = elector(client, clock, "one")
        client.fail_next("get", ValueError("a proxy's page"))
        task = group.create_task(one.run(forever))
        await clock.advance(1)
        assert one.leading
        client.fail_next("update", ValueError("a proxy's page"))
        await clock.advance(8)
        assert one.leading and not task.done()
        task.cancel()

    run(scenario)
