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
