"""The example on a cluster whose user has changed it: it is asked as it is."""

from __future__ import annotations

import asyncio

import pytest
from tests.fakes.client import FakeClient

from steersman.api.resources import DEPLOYMENTS
from steersman.cluster.example import deploy
from steersman.machinery.clock import VirtualClock


def available(replicas: int) -> int:
    client = FakeClient()
    client.put(
        DEPLOYMENTS,
        {
            "metadata": {"name": "hello", "namespace": "default"},
            "spec": {"replicas": replicas},
            "status": {"availableReplicas": replicas},
        },
    )
    return asyncio.run(deploy.wait_available(client, VirtualClock()))


@pytest.mark.parametrize("replicas", [1, 2, 10])
def test_as_many_pods_are_asked_as_it_was_scaled_to(replicas: int) -> None:
    assert available(replicas) == replicas


def test_scaled_to_none_it_says_so_at_once() -> None:
    with pytest.raises(deploy.ExampleError, match="scaled to 0"):
        available(0)


def test_what_fails_between_two_good_answers_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {80: iter((["a", "a"], ["a", "b"], ["b", "a", "b"])), 30080: iter((["a"], [], ["a"]))}

    async def answers(address: str, port: int, count: int) -> list[str]:
        if not (found := next(said[port])):
            raise deploy.ExampleError("refused")
        return found

    async def scenario() -> None:
        clock = VirtualClock()
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(deploy.ask((("svc", 80, 2), ("node", 30080, 1)), 2, clock))
            await clock.advance(1)
        assert asking.result() == ["b", "a", "a"]

    monkeypatch.setattr(deploy, "answers", answers)
    asyncio.run(scenario())
