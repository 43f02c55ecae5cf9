"""The node's heartbeat: at its pace, and sooner after a failure."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.fakes.client import FakeClient

from steersman.api.resources import LEASES
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.kit import NodeFacts
from steersman.kubelet.lease import renew_forever
from steersman.machinery.clock import VirtualClock


def test_a_lease_that_could_not_be_renewed_is_tried_again_at_once_and_not_an_interval_later(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, client = VirtualClock(), FakeClient()
        config = KubeletConfig(node_name="n1", root_dir=tmp_path)

        async def renewed() -> str:
            return str((await client.get(LEASES, "n1", "kube-node-lease"))["spec"]["renewTime"])

        async with asyncio.TaskGroup() as group:
            renewing = group.create_task(renew_forever(client, clock, config, NodeFacts()))
            await clock.advance(1)
            first = await renewed()
            client.fail_next("update", ConnectionError("cut off"))
            client.fail_next("get", *[ConnectionError("cut off")] * 3)
            await clock.advance(9.5)
            assert client.failures["update"] == [], "it was due"
            await clock.advance(5)
            assert client.failures["get"] == []
            assert await renewed() > first, "three more failures, and still within seconds"
            renewing.cancel()

    asyncio.run(scenario())
