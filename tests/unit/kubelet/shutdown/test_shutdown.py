"""Graceful node shutdown: which pods end when, and what shows of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from steersman.kubelet.kit import NodeFacts
from steersman.kubelet.run import Kubelet
from steersman.kubelet.shutdown.manager import Shutdown, Unavailable
from steersman.kubelet.shutdown.plan import Group, grace_s, groups
from steersman.machinery.clock import VirtualClock
from steersman.machinery.meta import Obj, condition, name_of

if TYPE_CHECKING:
    from tests.unit.kubelet.conftest import World

CRITICAL = 2_000_000_000


def pod(name: str, priority: int | None = None, grace: int | None = 30, **meta: Any) -> Obj:
    spec: Obj = {} if priority is None else {"priority": priority}
    if grace is not None:
        spec["terminationGracePeriodSeconds"] = grace
    return {"metadata": {"name": name, **meta}, "spec": spec}


@pytest.mark.parametrize(
    ("periods", "expected"),
    [
        (((0, 20.0), (CRITICAL, 10.0)), [(20.0, ["low", "none", "high"]), (10.0, ["critical", "static"])]),
        (((0, 5.0),), [(5.0, ["low", "none", "high", "critical", "static"])]),
        (((100, 5.0), (1000, 6.0)), [(5.0, ["low", "none"]), (6.0, ["high", "critical", "static"])]),
        (
            ((0, 1.0), (500, 2.0), (600, 3.0), (CRITICAL, 4.0)),
            [(1.0, ["low", "none"]), (3.0, ["high"]), (4.0, ["critical", "static"])],
        ),
    ],
)
def test_pods_end_in_groups_by_priority(periods: tuple[tuple[int, float], ...], expected: list[tuple[float, list[str]]]) -> None:
    static = pod("static", annotations={"kubernetes.io/config.source": "file"})
    found = groups(periods, [pod("low", -5), pod("none"), pod("high", 1000), pod("critical", CRITICAL + 1000), static])
    assert [(group.seconds, [name_of(each) for each in group.pods]) for group in found] == expected


@pytest.mark.parametrize(("grace", "expected"), [(30, 10), (3, 3), (None, 10), (0, 0)])
def test_a_pod_gets_its_own_grace_period_but_not_more_than_its_group(grace: int | None, expected: int) -> None:
    assert grace_s(pod("a", grace=grace), Group(10.0, ())) == expected


class Told:
    """A Notice that tells what the test wants."""

    def __init__(self) -> None:
        self.news: asyncio.Queue[bool] = asyncio.Queue()
        self.held: list[float] = []
        self.released = 0

    async def hold(self, seconds: float) -> None:
        self.held.append(seconds)

    def release(self) -> None:
        self.released += 1

    async def shutdowns(self) -> AsyncIterator[bool]:
        while True:
            yield await self.news.get()

    async def close(self) -> None: ...


def with_notice(monkeypatch: pytest.MonkeyPatch, notice: Any) -> None:
    async def awaiting(self: Kubelet) -> None:
        made = Shutdown(
            self.config.shutdown, self.parts.node, self.clock, self.recorder, lambda: self.workers, self.agent.report_soon
        )  # fmt: skip
        await made.run(lambda: notice)

    monkeypatch.setattr(Kubelet, "_await_shutdown", awaiting)


def ready(world: World) -> Obj:
    return condition(world.api.objects["nodes"]["", "n1"], "Ready") or {}


def test_pods_end_in_order_and_the_machine_waits_for_them(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    notice = Told()
    with_notice(monkeypatch, notice)
    world.config = replace(world.config, shutdown=((0, 20.0), (CRITICAL, 10.0)))
    world.runtime.stop_s = 4.0

    async def scenario() -> None:
        async with world.kubelet():
            world.create()
            important = {"name": "vital", "image": "busybox:1"}
            made = world.api.pod()
            world.api.put(
                "pods",
                {
                    **made,
                    "metadata": {**made["metadata"], "name": "vip", "uid": "u2"},
                    "spec": {**made["spec"], "priority": CRITICAL, "containers": [important]},
                },
            )
            await world.until(lambda: all(world.api.pod(name)["status"]["phase"] == "Running" for name in ("web", "vip")))
            notice.news.put_nowait(True)
            await world.until(lambda: ready(world)["status"] == "False")
            assert ready(world)["message"] == "node is shutting down"
            assert "stop app 20" in world.runtime.log and "stop vital 10" not in world.runtime.log
            late = {**made, "metadata": {**made["metadata"], "name": "late", "uid": "u3"}, "status": {"phase": "Pending"}}
            world.api.put("pods", late)
            await world.until(lambda: world.api.pod("late")["status"]["phase"] == "Failed")
            assert world.api.pod("late")["status"]["reason"] == "NodeShutdown"
            await world.until(lambda: notice.released == 1)
            assert "stop vital 10" in world.runtime.log
            for name in ("web", "vip"):
                status = world.api.pod(name)["status"]
                assert (status["phase"], status["reason"]) == ("Failed", "Terminated")
                assert status["message"] == "Pod was terminated in response to imminent node shutdown."
                disrupted = condition(status["conditions"], "DisruptionTarget") or {}
                assert (disrupted["status"], disrupted["reason"]) == ("True", "TerminationByKubelet")
            # It does not go down after all: the node is ready again, and the next time it is waited for as well.
            notice.news.put_nowait(False)
            await world.until(lambda: ready(world)["status"] == "True")
            assert notice.held == [30.0, 30.0]

    asyncio.run(scenario())


def test_a_pod_that_does_not_end_in_time_does_not_hold_up_the_rest(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    notice = Told()
    with_notice(monkeypatch, notice)
    world.config = replace(world.config, shutdown=((0, 5.0), (CRITICAL, 0.0)))

    async def scenario() -> None:
        async with world.kubelet():
            world.create()
            await world.until(lambda: world.api.pod()["status"]["phase"] == "Running")

            async def stuck(container_id: str, timeout_s: float) -> None:
                await world.clock.sleep(1000)

            monkeypatch.setattr(world.runtime, "stop_container", stuck)
            notice.news.put_nowait(True)
            began_s = world.clock.monotonic()
            await world.until(lambda: notice.released == 1)
            assert 5 <= world.clock.monotonic() - began_s < 7

    asyncio.run(scenario())


def test_without_logind_the_kubelet_says_so_once_and_works(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Nobody(Told):
        async def hold(self, seconds: float) -> None:
            raise Unavailable("no systemd-logind: no such file")

    with_notice(monkeypatch, Nobody())
    world.config = replace(world.config, shutdown=((0, 5.0),))

    async def scenario() -> None:
        async with world.kubelet():
            await world.clock.advance(300)
            world.create()
            await world.until(lambda: world.api.pod()["status"]["phase"] == "Running")
        said = [record for record in caplog.records if "nobody will tell of shutdowns" in record.getMessage()]
        assert len(said) == 1

    asyncio.run(scenario())


class Lock(Told):
    """As logind has it: one lock, taken if there is none."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self.held_now, self._clock = False, clock

    async def hold(self, seconds: float) -> None:
        self.held_now = True
        await self._clock.sleep(0)

    def release(self) -> None:
        self.held_now = False


def test_a_shutdown_that_is_called_off_while_pods_end_is_waited_for_the_next_time() -> None:
    """The lock was still there when it was asked for anew, and was let go right after, by what had been called off."""

    async def scenario() -> None:
        clock = VirtualClock()
        lock = Lock(clock)
        ending: Any = SimpleNamespace(pod=pod("web"), status={}, kill=lambda *_: None, stopped=asyncio.Event())
        recorder: Any = None
        shutdown = Shutdown(((0, 30.0),), NodeFacts(), clock, recorder, lambda: [ending], lambda: None)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(shutdown.run(lambda: lock))
            await clock.advance(0)
            for coming in (True, False):
                lock.news.put_nowait(coming)
                await clock.advance(1)
            assert lock.held_now
            running.cancel()

    asyncio.run(scenario())
