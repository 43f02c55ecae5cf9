"""Somebody sets the wall clock by hours while pods run: nothing is restarted, ended, kept waiting or forgotten for it."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from steersman.client.interface import Client
from steersman.cri.interface import RuntimeFault
from steersman.kubelet.configuration.fields import with_defaults
from steersman.kubelet.eviction.signals import Reading, Watch, settings
from steersman.kubelet.objects import TokenCache
from steersman.kubelet.steadytime import SteadyTime
from steersman.machinery.clock import VirtualClock
from steersman.machinery.meta import Obj, dig, format_time

if TYPE_CHECKING:
    from tests.unit.kubelet.conftest import World

HOURS = pytest.mark.parametrize("jump_s", [-3 * 3600, 3 * 3600], ids=["back", "forward"])


def app(**more: Any) -> Obj:
    return {"name": "app", "image": "busybox:1", "imagePullPolicy": "IfNotPresent", **more}


def is_running(world: World) -> bool:
    return bool(dig(world.api.pod(), "status", "containerStatuses", 0, "state", "running"))


def restarts(world: World) -> int:
    return int(dig(world.api.pod(), "status", "containerStatuses", 0, "restartCount", default=-1))


async def until_at(world: World, holds: Any) -> float:
    """When it came to pass, in seconds from now."""
    begun_s = world.clock.monotonic()
    await world.until(holds)
    return world.clock.monotonic() - begun_s


def test_a_stamp_ages_with_the_monotonic_clock() -> None:
    clock = VirtualClock(datetime(2026, 1, 1, tzinfo=UTC))
    steady, stamp = SteadyTime(clock), clock.now() - timedelta(seconds=5)

    def age_s() -> float:
        return (steady.now() - steady.of("a", stamp)).total_seconds()

    assert age_s() == 5
    clock.set_wall(-3600)
    assert age_s() == 5
    clock.set_wall(7200)
    asyncio.run(clock.advance(2))
    assert age_s() == 7
    # One that is first seen with a clock that was set back since: it has just been.
    assert steady.of("b", clock.now() + timedelta(hours=1)) == steady.now()
    # Another stamp of the same: as old as it says.
    assert steady.now() - steady.of("a", clock.now() - timedelta(seconds=1)) == timedelta(seconds=1)


@HOURS
def test_a_crash_loops_back_off_is_as_long_as_ever(world: World, jump_s: float) -> None:
    async def scenario() -> None:
        async with world.kubelet():
            world.create()
            await world.until(lambda: is_running(world))
            world.runtime.exit("app", 1)
            await world.until(lambda: restarts(world) == 1 and is_running(world))
            world.runtime.exit("app", 1)
            await world.until(lambda: not is_running(world))
            world.clock.set_wall(jump_s)
            waited_s = await until_at(world, lambda: restarts(world) == 2)
            assert 9 <= waited_s <= 11

    asyncio.run(scenario())


@HOURS
def test_a_deadline_is_as_far_as_it_was(world: World, jump_s: float) -> None:
    async def scenario() -> None:
        async with world.kubelet():
            world.create(activeDeadlineSeconds=100)
            await world.until(lambda: is_running(world))
            world.clock.set_wall(jump_s)
            waited_s = await until_at(world, lambda: dig(world.api.pod(), "status", "phase") == "Failed")
            assert 98 <= waited_s <= 101
            assert dig(world.api.pod(), "status", "reason") == "DeadlineExceeded"

    asyncio.run(scenario())


@HOURS
def test_a_probe_begins_when_it_would_have(world: World, jump_s: float) -> None:
    probe = {"exec": {"command": ["true"]}, "initialDelaySeconds": 60, "periodSeconds": 1}
    # The second probe waits for the first, and asks for the container's age only then.
    first = {"exec": {"command": ["true"]}, "initialDelaySeconds": 20, "periodSeconds": 1}

    async def scenario() -> None:
        async with world.kubelet():
            world.create(containers=[app(startupProbe=first, readinessProbe=probe)])
            await world.until(lambda: is_running(world))
            world.clock.set_wall(jump_s)
            waited_s = await until_at(world, lambda: dig(world.api.pod(), "status", "containerStatuses", 0, "ready"))
            assert 58 <= waited_s <= 63

    asyncio.run(scenario())


@HOURS
def test_a_pod_that_runs_well_notices_nothing(world: World, jump_s: float) -> None:
    async def scenario() -> None:
        async with world.kubelet():
            world.create(containers=[app(livenessProbe={"exec": {"command": ["true"]}, "periodSeconds": 1})])
            await world.until(lambda: is_running(world))
            world.clock.set_wall(jump_s)
            await world.clock.advance(120)
            assert is_running(world) and restarts(world) == 0

    asyncio.run(scenario())


@HOURS
def test_a_failed_pull_is_tried_again_in_time(world: World, jump_s: float) -> None:
    async def scenario() -> None:
        async with world.kubelet():
            world.images.fault = RuntimeFault("no such host", reason="ErrImagePull")
            world.create(containers=[app(image="elsewhere:1")])
            await world.until(lambda: "waiting" in dig(world.api.pod(), "status", "containerStatuses", 0, "state", default={}))
            pulls = len(world.images.pulled)
            world.clock.set_wall(jump_s)
            waited_s = await until_at(world, lambda: len(world.images.pulled) > pulls)
            assert 4 <= waited_s <= 12

    asyncio.run(scenario())


@HOURS
def test_a_soft_threshold_is_not_passed_for_longer_than_it_is(jump_s: float) -> None:
    clock = VirtualClock()
    steady = SteadyTime(clock)
    soft = with_defaults({"evictionSoft": {"memory.available": "50%"}, "evictionSoftGracePeriod": {"memory.available": "1m"}})
    watch, low = Watch(settings(soft)), {"memory.available": Reading(40 << 30, 100 << 30)}
    assert watch.assess(low, steady.now()).due == ()
    clock.set_wall(jump_s)
    asyncio.run(clock.advance(59))
    assert watch.assess(low, steady.now()).due == ()
    asyncio.run(clock.advance(2))
    assert [each.signal for each in watch.assess(low, steady.now()).due] == ["memory.available"]


class Issuer:
    """Issues tokens for an hour by a wall clock that is right, whatever this machine's says."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock, self._begun, self.issued = clock, clock.now(), 0

    async def create(self, *_: Any, **__: Any) -> Obj:
        self.issued += 1
        expires = self._begun + timedelta(seconds=self._clock.monotonic() + 3600)
        return {"status": {"token": f"t{self.issued}", "expirationTimestamp": format_time(expires)}}


@HOURS
def test_a_token_is_renewed_before_it_expires(jump_s: float) -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        issuer = Issuer(clock)
        tokens = TokenCache(cast(Client, issuer), clock, random.Random(1))
        pod = {"metadata": {"name": "web", "namespace": "default", "uid": "u"}, "spec": {}}
        assert await tokens.get(pod, (), 3600) == "t1"
        clock.set_wall(jump_s)
        await clock.advance(2900)
        assert await tokens.get(pod, (), 3600) == "t2"

    asyncio.run(scenario())
