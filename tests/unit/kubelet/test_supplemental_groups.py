"""supplementalGroupsPolicy: Strict, which not every runtime knows of."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.unit.kubelet.conftest import World

_STRICT = {"supplementalGroupsPolicy": "Strict", "supplementalGroups": [4000]}


def test_the_runtime_is_told_and_the_node_says_that_it_knows(world: World) -> None:
    async def scenario() -> None:
        async with world.kubelet():
            await world.until(lambda: "status" in world.api.objects.get("nodes", {}).get(("", "n1"), {}))
            assert world.api.objects["nodes"]["", "n1"]["status"]["features"] == {"supplementalGroupsPolicy": True}
            world.create(securityContext=_STRICT)
            await world.until(lambda: world.api.pod()["status"]["phase"] == "Running")
            (made,) = world.runtime.configs.values()
            assert (made.security.supplemental_groups, made.security.strict_groups) == ((4000,), True)

    asyncio.run(scenario())


def test_a_node_whose_runtime_would_add_groups_refuses_the_pod(world: World) -> None:
    world.runtime.knows_strict_groups = False

    async def scenario() -> None:
        async with world.kubelet():
            await world.until(lambda: "status" in world.api.objects.get("nodes", {}).get(("", "n1"), {}))
            world.create(securityContext=_STRICT)
            await world.until(lambda: world.api.pod()["status"]["phase"] == "Failed")
            status = world.api.pod()["status"]
            assert status["reason"] == "SupplementalGroupsPolicyNotSupported"
            assert status["message"] == "Pod was rejected: SupplementalGroupsPolicy=Strict is not supported in this node"
            assert not world.runtime.sandboxes

    asyncio.run(scenario())
